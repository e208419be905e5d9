//! A small HTTP server: whoever comes is answered on a thread of its own, once,
//! however long that takes, or not at all. Enough for what a coordinator sends
//! to executors.
//!
//! ```text
//!   connection ──▶ thread: head, body ──▶ answer(path, body) ──▶ response ──▶ closed
//!                                                     └── none ──────────────────┘
//! ```

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::{Context, Result};

use super::arrivals::{Arrivals, Connection, Door};

/// The largest body that is read.
const LARGEST: u64 = 64 << 20;

/// What is answered: a status, a content type, a body.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    /// In so many seconds it may be asked again.
    pub retry_after: Option<u64>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "application/json", retry_after: None, body: body.into() }
    }
}

/// What somebody asked for.
pub struct Asked<'a> {
    pub path: &'a str,
    pub body: &'a [u8],
    /// When the request arrived.
    pub arrived: Instant,
}

/// Serves until it is dropped: then its port is free. Who waits for an answer by
/// then may still get one.
pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request by its path and body; with `None` it breaks the
    /// connection off.
    pub fn start<R: Into<Option<Reply>>>(
        address: SocketAddr,
        answer: impl Fn(&str, &[u8]) -> R + Send + Sync + 'static,
    ) -> Result<Self> {
        let answer = move |Asked { path, body, arrived: _ }: Asked<'_>| answer(path, body);
        Self::start_among(&Arc::default(), address, answer)
    }

    /// The same among others, all of whose requests arrive in one order.
    pub fn start_among<R: Into<Option<Reply>>>(
        arrivals: &Arc<Arrivals>,
        address: SocketAddr,
        answer: impl Fn(Asked<'_>) -> R + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr().context("where we listen")?;
        let answer = Arc::new(answer);
        let door = Door::open(listener, arrivals, move |connection| {
            let answer = Arc::clone(&answer);
            // Who has asked may be gone before there is an answer.
            thread::spawn(move || serve(&connection, &*answer).ok());
        });
        let door = door.context("wait for connections")?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let accepting = thread::spawn(move || {
            while door.wait().is_ok() && !seen.load(Ordering::SeqCst) {
                if door.accept_all().is_err() {
                    // No room for more connections, for a moment.
                    thread::yield_now();
                }
            }
        });
        Ok(Self { address, over, accepting: Some(accepting) })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It looks when somebody comes.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            // It has nothing to tell but that it is over.
            let _ = accepting.join();
        }
    }
}

fn serve<R: Into<Option<Reply>>>(
    connection: &Connection,
    answer: &impl Fn(Asked<'_>) -> R,
) -> io::Result<()> {
    let arrived = connection.arrived()?;
    let stream = &connection.stream;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = Some(0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok(),
            // Not worth the trouble: nobody here does that.
            "transfer-encoding" => length = None,
            _ => {}
        }
    }
    let reply = match length.filter(|length| *length <= LARGEST) {
        Some(length) => {
            let mut body = Vec::new();
            reader.take(length).read_to_end(&mut body)?;
            answer(Asked { path: &path, body: &body, arrived }).into()
        }
        None => Some(Reply {
            status: 411,
            content_type: "text/plain",
            retry_after: None,
            body: "say how long it is".into(),
        }),
    };
    let Some(Reply { status, content_type, retry_after, body }) = reply else { return Ok(()) };
    let retry_after = retry_after.map_or_else(String::new, |secs| format!("retry-after: {secs}\r\n"));
    let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: {content_type}\r\n{retry_after}{length}connection: close\r\n\r\n"
    );
    let mut stream = stream;
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_answered_and_those_of_unknown_length_are_refused() {
        let answer = |path: &str, body: &[u8]| Reply {
            status: 201,
            content_type: "text/plain",
            retry_after: None,
            body: format!("{path} {}", String::from_utf8_lossy(body)),
        };
        let server = Server::start(([127, 0, 0, 1], 0).into(), answer).expect("it listens");
        for (request, status, body) in [
            ("POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyz", "201", "/a xyz"),
            ("GET /b HTTP/1.1\r\nhost: x\r\n\r\n", "201", "/b "),
            ("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411", "say how long it is"),
        ] {
            let mut stream = TcpStream::connect(server.address).expect("a connection");
            stream.write_all(request.as_bytes()).expect("it is sent");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer, and the end");
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.ends_with(body), "{text}");
        }
    }

    #[test]
    fn without_an_answer_the_connection_breaks_off_and_a_dropped_server_frees_its_port() {
        let server = Server::start(([127, 0, 0, 1], 0).into(), |_: &str, _: &[u8]| None).expect("it listens");
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the end");
        assert_eq!(text, "");
        let address = server.address();
        drop(server);
        let busy = |_: &str, _: &[u8]| Reply { retry_after: Some(2), ..Reply::json(503, "{}") };
        let server = Server::start(address, busy).expect("the same port");
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is sent");
        stream.read_to_string(&mut text).expect("an answer, and the end");
        assert!(text.contains("\r\nretry-after: 2\r\n"), "{text}");
    }
}
