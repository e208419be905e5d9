//! The program under attack, and what must hold after the attack.

use std::{fs, net::SocketAddr};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{FakeExecutors, Program, process::Process, soon};

/// The memory of the idle program: some 50 MiB in a debug build, most of it code, and
/// the buffers of a test's small requests. The rest allows for allocators that do not
/// return memory.
pub const AT_REST_MIB: u64 = 64;

/// A program under attack.
pub struct Target {
    pub process: Process,
    pub executors: FakeExecutors,
    program: Program,
    /// The address to attack, if it is not the API's.
    operator: Option<SocketAddr>,
}

/// The answers on one connection, in their order.
#[derive(Debug)]
pub struct Replies(pub Vec<Reply>);

/// One answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Target {
    /// Starts the program with executors and these variables.
    pub async fn start(vars: &[(&str, &str)]) -> Self {
        let executors = FakeExecutors::start();
        let program = Program::with_executors(&executors);
        let program = vars.iter().fold(program, |program, (name, value)| program.var(name, value));
        Self { process: program.start().await, executors, program, operator: None }
    }

    /// [`Target::start`] with a log that is text.
    pub async fn start_in_text(vars: &[(&str, &str)]) -> Self {
        let executors = FakeExecutors::start();
        let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "text");
        let program = vars.iter().fold(program, |program, (name, value)| program.var(name, value));
        Self { process: program.start_in_text().await, executors, program, operator: None }
    }

    /// Starts the program with an operator API, which is attacked.
    pub async fn start_with_operator(vars: &[(&str, &str)]) -> Self {
        let listen = ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", "127.0.0.1:0");
        let target = Self::start(&[&[listen], vars].concat()).await;
        let line = target.process.logged("listening for operators", 1).await;
        let address = line["address"].as_str().expect("an address").parse().expect("an address");
        Self { operator: Some(address), ..target }
    }

    pub async fn connect(&self) -> TcpStream {
        let api = || self.process.url().trim_start_matches("http://").parse().expect("an address");
        TcpStream::connect(self.operator.unwrap_or_else(api)).await.expect("a connection")
    }

    /// Sends these bytes; returns the answers until the connection is closed.
    pub async fn send(&self, bytes: &[u8]) -> Replies {
        let (mut reader, mut writer) = self.connect().await.into_split();
        // The server may answer and close the connection before everything is sent.
        let write = async {
            let _ = writer.write_all(bytes).await;
            writer
        };
        let read = async {
            let mut answer = Vec::new();
            let _ = reader.read_to_end(&mut answer).await;
            answer
        };
        let (_writer, answer) = soon("the end of the connection", async { tokio::join!(write, read) }).await;
        Replies::read(&answer)
    }

    /// Posts a JSON body; returns the only answer.
    pub async fn post(&self, path: &str, body: &[u8]) -> Reply {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await.only()
    }

    /// The peak memory of the process, in MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        kib / 1024
    }

    /// The number of rows in each table of the journal.
    pub fn written(&self) -> Vec<(&'static str, i64)> {
        let file = Connection::open_with_flags(self.program.journal(), OpenFlags::SQLITE_OPEN_READ_ONLY);
        let file = file.expect("the journal");
        let count = |table| {
            let sql = format!("SELECT count(*) FROM {table}");
            (table, file.query_row(&sql, [], |row| row.get(0)).expect("a count"))
        };
        ["runs", "node_runs", "events", "attempts", "outbox"].map(count).into()
    }

    /// Asserts that the program is healthy, has written and called nothing, and never
    /// had more memory than this. Stops it; returns its log.
    pub async fn unharmed(self, peak_mib: u64) -> String {
        let written = self.written();
        assert!(written.iter().all(|(_, rows)| *rows == 0), "{written:?}");
        assert!(self.executors.calls().is_empty(), "{:?}", self.executors.calls());
        let (_, health) = self.process.get("/v1/health").await;
        // That it refused some, and counts a hostile registry as unavailable, is right.
        let is_well = |check: &Value| {
            check["status"] == "ok" || check["name"] == "admission" || check["name"] == "node_registry"
        };
        assert!(health["checks"].as_array().is_some_and(|checks| checks.iter().all(is_well)), "{health}");
        self.alive(peak_mib).await
    }

    /// Asserts that the program lives, never had more memory than this, and stops on a
    /// signal. It may have written and called something, and health may be `degraded`.
    pub async fn alive(self, peak_mib: u64) -> String {
        let (status, health) = self.process.get("/v1/health").await;
        assert_eq!(status, 200, "{health}");
        assert_ne!(health["status"], "down", "{health}");
        let peak = self.peak_mib();
        println!("peak memory: {peak} MiB of {peak_mib}");
        assert!(peak <= peak_mib, "{peak} MiB of {peak_mib}");
        self.process.terminate().await.stdout
    }
}

impl Replies {
    fn read(mut bytes: &[u8]) -> Self {
        let mut replies = Vec::new();
        while !bytes.is_empty() {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(bytes.len() - end);
            let stop = (end + length).min(bytes.len());
            let body = String::from_utf8_lossy(&bytes[end..stop]).into_owned();
            replies.push(Reply { status, body });
            bytes = &bytes[stop..];
        }
        Self(replies)
    }

    pub fn statuses(&self) -> Vec<u16> {
        self.0.iter().map(|reply| reply.status).collect()
    }

    /// Asserts that there was one answer, and returns it.
    #[track_caller]
    pub fn only(mut self) -> Reply {
        assert_eq!(self.0.len(), 1, "{self:?}");
        self.0.remove(0)
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Asserts an error envelope of this status and code, and returns its error.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        let error = self.json()["error"].clone();
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{self:?}");
        error
    }
}
