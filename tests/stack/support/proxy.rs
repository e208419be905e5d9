//! What stands in front of a service and spoils its answers.
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

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// They never get there: this status, and words that are no JSON.
    Status(u16),
    /// They get there and are done, but the answer never comes: not before the
    /// fault is over, and then the connection is closed instead.
    Silence,
}

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
    /// In front of the service at this URL.
    pub fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = format!("http://{}", listener.local_addr().expect("an address"));
        let upstream = url.strip_prefix("http://").expect("an http URL").to_owned();
        let state = Mutex::new(State { fault: Fault::None, met: 0 });
        let shared = Arc::new(Shared { upstream, state, changed: Condvar::new() });
        let serving = Arc::clone(&shared);
        // Ends with the process; nobody knows its address any more before that.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = Arc::clone(&serving);
                // Broken connections are what it is for.
                thread::spawn(move || serving.serve(client).ok());
            }
        });
        Self { url: own, shared }
    }

    /// From now on.
    pub fn set(&self, fault: Fault) {
        *self.shared.state() = State { fault, met: 0 };
        self.shared.changed.notify_all();
    }

    /// Waits until so many requests have met the present fault.
    pub fn met(&self, count: usize) {
        let waiting = |state: &mut State| state.met < count;
        let waited = self.shared.changed.wait_timeout_while(self.shared.state(), PATIENCE, waiting);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{:?}: {} requests of {count} met it", state.fault, state.met);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Nobody is to wait in silence for ever.
        self.set(Fault::None);
    }
}

impl Shared {
    /// One request a connection.
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
                let words = "no, as a test wants it";
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
        // It closes the connection, as the request says.
        upstream.read_to_end(&mut answer)?;
        Ok(answer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose length its head says, as one of a connection of its own.
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
