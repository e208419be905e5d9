//! A proxy in front of a service, which injects faults into its answers.
//!
//! ```text
//!   coordinator ──▶ Proxy ──▶ service
//!              ◀── fault │ its answer
//! ```

use std::{
    io::{BufRead, BufReader, Read, Result, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use xtask_support::process::PATIENCE;

/// The fault of all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The request is not forwarded; the answer is this status and a text.
    Status(u16),
    /// The request is forwarded, but not answered. When the fault ends, the connection is
    /// closed.
    Silence,
}

/// A running proxy.
pub struct Proxy {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    fault: Fault,
    /// Requests that met the fault.
    met: usize,
}

impl Proxy {
    /// Starts a proxy in front of the service at this URL.
    pub fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = format!("http://{}", listener.local_addr().expect("an address"));
        let upstream = url.strip_prefix("http://").expect("an http URL").to_owned();
        let state = Mutex::new(State { fault: Fault::None, met: 0 });
        let shared = Arc::new(Shared { upstream, state, changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        // The thread ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                // A broken connection is what the proxy is for.
                thread::spawn(move || serving.serve(client).ok());
            }
        });
        Self { url: own, shared }
    }

    /// Sets the fault of further requests.
    pub fn set(&self, fault: Fault) {
        *self.shared.state() = State { fault, met: 0 };
        self.shared.changed.notify_all();
    }

    /// Waits until `count` requests have met the present fault.
    pub fn met(&self, count: usize) {
        let waiting = |state: &mut State| state.met < count;
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), PATIENCE, waiting);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{:?}: {} requests of {count} met it", state.fault, state.met);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Releases the threads of unanswered requests.
        self.set(Fault::None);
    }
}

impl Shared {
    /// Serves one request; each has a connection of its own.
    fn serve(&self, mut client: TcpStream) -> Result<()> {
        let request = read_request(&client)?;
        let fault = {
            let mut state = self.state();
            state.met += 1;
            self.changed.notify_all();
            state.fault
        };
        match fault {
            Fault::None => client.write_all(&self.forward(&request)?),
            Fault::Status(status) => {
                let words = "refused, as the test demands";
                let length = words.len();
                write!(
                    client,
                    "HTTP/1.1 {status} No\r\ncontent-type: text/plain\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{words}"
                )
            }
            Fault::Silence => {
                self.forward(&request)?;
                let silent = |state: &mut State| state.fault == Fault::Silence;
                drop(self.changed.wait_while(self.state(), silent));
                Ok(())
            }
        }
    }

    fn forward(&self, request: &[u8]) -> Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(&self.upstream)?;
        upstream.write_all(request)?;
        let mut answer = Vec::new();
        // The service closes the connection, as the request demands.
        upstream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a request with a content length, and makes it close its connection.
fn read_request(client: &TcpStream) -> Result<Vec<u8>> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "connection" => continue,
            "content-length" => {
                length = line.split(':').nth(1).and_then(|value| value.trim().parse().ok()).unwrap_or(0);
            }
            _ => {}
        }
        if line.trim().is_empty() {
            break;
        }
        request.extend(line.bytes());
    }
    request.extend(b"connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.extend(body);
    Ok(request)
}
