//! A small HTTP server: each request is answered once, on a thread of its own,
//! however long that takes, or not at all. It understands what a coordinator
//! sends to executors, and no more.
//!
//! ```text
//!   connection ──▶ thread: head, body ──▶ answer(request) ──▶ response ──▶ closed
//!                                                └── none ───────────────────┘
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

use crate::{
    Reply,
    arrivals::{Arrivals, Connection, Door},
};

/// The largest body that is read.
const LARGEST: u64 = 64 << 20;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When the first byte was there.
    pub arrived: Instant,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Serves until it is dropped; then its port is free. A request that waits for
/// its answer by then may still get one.
pub struct Server {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers each request; with `None` it breaks the connection off.
    pub fn start<R: Into<Option<Reply>>>(
        address: SocketAddr,
        answer: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_among(&Arc::default(), address, answer)
    }

    /// The same as one of several servers whose requests arrive in one order.
    pub fn start_among<R: Into<Option<Reply>>>(
        arrivals: &Arc<Arrivals>,
        address: SocketAddr,
        answer: impl Fn(&Request) -> R + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let answer = Arc::new(answer);
        let door = Door::open(listener, arrivals, move |connection| {
            let answer = Arc::clone(&answer);
            // The client may be gone before there is an answer.
            thread::spawn(move || serve(&connection, &*answer).ok());
        })?;
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let accepting = thread::spawn(move || {
            while door.wait().is_ok() && !seen.load(Ordering::SeqCst) {
                if door.accept_all().is_err() {
                    // There is no room for more connections at the moment.
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
        // The accepting thread looks at the flag when a connection comes.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            // A panic there has been printed already.
            let _ = accepting.join();
        }
    }
}

fn serve<R: Into<Option<Reply>>>(connection: &Connection, answer: &impl Fn(&Request) -> R) -> io::Result<()> {
    let arrived = connection.arrived()?;
    let stream = &connection.stream;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, path, headers: Vec::new(), body: Vec::new(), arrived };
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    // Chunked bodies are not understood: a coordinator sends none to executors.
    let length = match request.header("transfer-encoding") {
        Some(_) => None,
        None => request.header("content-length").unwrap_or("0").parse().ok(),
    };
    let reply = match length.filter(|length| *length <= LARGEST) {
        Some(length) => {
            reader.take(length).read_to_end(&mut request.body)?;
            answer(&request).into()
        }
        None => Some(Reply { content_type: "text/plain", ..Reply::json(411, "content-length is required") }),
    };
    let Some(Reply { status, content_type, retry_after, body, broken }) = reply else { return Ok(()) };
    let retry_after = retry_after.map_or_else(String::new, |secs| format!("retry-after: {secs}\r\n"));
    let promised = body.len() + usize::from(broken);
    let length = if status == 204 { String::new() } else { format!("content-length: {promised}\r\n") };
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
    fn requests_are_answered_unless_their_length_is_unknown() {
        let answer = |request: &Request| {
            let Request { method, path, body, .. } = request;
            Reply::json(201, format!("{method} {path} {}", String::from_utf8_lossy(body)))
        };
        let server = Server::start(([127, 0, 0, 1], 0).into(), answer).expect("it listens");
        for (request, status, body) in [
            ("POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\nxyz", "201", "POST /a xyz"),
            ("GET /b HTTP/1.1\r\nhost: x\r\n\r\n", "201", "GET /b "),
            ("POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411", "content-length is required"),
        ] {
            let mut stream = TcpStream::connect(server.address).expect("a connection");
            stream.write_all(request.as_bytes()).expect("it is sent");
            let mut text = String::new();
            stream.read_to_string(&mut text).expect("an answer, and the end");
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")) && text.ends_with(body), "{text}");
        }
    }

    #[test]
    fn no_answer_breaks_the_connection_and_a_drop_frees_the_port() {
        let server = Server::start(([127, 0, 0, 1], 0).into(), |_: &Request| None).expect("it listens");
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the end");
        assert_eq!(text, "");
        let address = server.address();
        drop(server);
        let busy = |_: &Request| Reply { retry_after: Some(2), ..Reply::json(503, "{}") };
        let server = Server::start(address, busy).expect("the same port");
        let mut stream = TcpStream::connect(server.address()).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it is sent");
        stream.read_to_string(&mut text).expect("an answer, and the end");
        assert!(text.contains("\r\nretry-after: 2\r\n"), "{text}");
    }
}
