//! PostgreSQL servers of tests and benchmarks: private, on loopback, gone with their
//! process.
//!
//! ```text
//!   Server::start ─▶ initdb ─▶ running ──stop(mode)──▶ stopped ──start_again──▶ running
//!                                │  ▲                                            │
//!                          freeze│  │thaw                          drop, or the end of this
//!                                ▼  │                              process ─▶ no server, no files
//!                               frozen
//! ```
//!
//! The programs are those in the folder `PRIVATE_POSTGRES_BIN`, else the newest that the
//! system has. A server refuses to run as root: then it runs as `postgres`, or as the
//! user 65534.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

mod programs;

pub use self::programs::Programs;

/// The variable that names the folder with the programs.
pub const BIN: &str = "PRIVATE_POSTGRES_BIN";

/// How long a server may take to start, or to stop.
const WITHIN: Duration = Duration::from_secs(60);

const FIRST_PORT: u16 = 12_000;
const PORTS: u32 = 8_000;

/// What a server says when one before it on the same files has not quite ended.
const IN_USE: &str = "is still in use";

/// The superuser of a server, who needs no password.
pub const USER: &str = "tests";

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Connections are closed, everything is written.
    Fast,
    /// As if it had crashed.
    Immediate,
    /// All of its processes are killed.
    Kill,
}

/// A private server.
pub struct Server {
    programs: Programs,
    data: PathBuf,
    port: u16,
    running: Option<Child>,
    _folder: TempDir,
}

impl Server {
    /// Creates a cluster and starts it. `settings` are those of `postgresql.conf`.
    pub fn start(programs: &Programs, settings: &[&str]) -> Result<Self> {
        let mut server = Self::prepare(programs)?;
        let init = programs
            .command("initdb")
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", USER, "-D"])
            .arg(&server.data)
            .output()
            .context("start initdb")?;
        ensure!(init.status.success(), "initdb: {}", String::from_utf8_lossy(&init.stderr));
        server.configure(settings)?;
        server.start_again()?;
        Ok(server)
    }

    /// A standby of another server, which follows it. `slot`: by which the other knows
    /// it, in `synchronous_standby_names`.
    pub fn standby_of(primary: &Self, name: &str) -> Result<Self> {
        let mut server = Self::prepare(&primary.programs)?;
        let copied = primary
            .programs
            .command("pg_basebackup")
            .args(["--checkpoint=fast", "--wal-method=stream", "--no-sync", "--write-recovery-conf", "-D"])
            .arg(&server.data)
            .args([
                "-d",
                &format!("host=127.0.0.1 port={} user={USER} application_name={name}", primary.port),
            ])
            .output()
            .context("start pg_basebackup")?;
        ensure!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        server.configure(&[])?;
        server.start_again()?;
        Ok(server)
    }

    fn prepare(programs: &Programs) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("private-postgres-").tempdir()?;
        programs.own(folder.path())?;
        let data = folder.path().join("data");
        Ok(Self { programs: programs.clone(), data, port: free_port()?, running: None, _folder: folder })
    }

    fn configure(&self, settings: &[&str]) -> Result<()> {
        let file = self.data.join("postgresql.auto.conf");
        let mut text = fs::read_to_string(&file).unwrap_or_default();
        let here = self.data.parent().context("a folder")?;
        text += &format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\n\
             logging_collector = off\nlog_min_messages = warning\n",
            self.port,
            here.display()
        );
        settings.iter().for_each(|setting| text += &format!("{setting}\n"));
        fs::write(&file, text)?;
        self.programs.own(&file)
    }

    /// Changes settings. They are in effect after the next start.
    pub fn set(&self, settings: &[&str]) -> Result<()> {
        self.configure(settings)
    }

    /// Gives a file of its folder to who runs it, for no other to read.
    pub fn own(&self, file: &str) -> Result<()> {
        let file = self.data.join(file);
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        self.programs.own(&file)
    }

    /// Starts a server that was stopped.
    pub fn start_again(&mut self) -> Result<()> {
        let mut child = self.spawn()?;
        let until = Instant::now() + WITHIN;
        loop {
            if let Some(status) = child.try_wait()? {
                // Processes of a server that was killed are still about to end.
                if self.read_log().trim_end().lines().rev().take(4).any(|line| line.contains(IN_USE))
                    && Instant::now() < until
                {
                    thread::park_timeout(Duration::from_millis(100));
                    child = self.spawn()?;
                    continue;
                }
                bail!("the server ended: {status}\n{}", self.read_log());
            }
            if self.is_ready(child.id()) {
                break;
            }
            if Instant::now() > until {
                _ = child.kill();
                bail!("the server is not ready after {WITHIN:?}\n{}", self.read_log());
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        self.running = Some(child);
        Ok(())
    }

    fn spawn(&self) -> Result<Child> {
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(&self.data).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        spawn_for_life(command)
    }

    /// Whether it takes connections: its file says so. (That of a server that was killed is
    /// still there.)
    fn is_ready(&self, process: u32) -> bool {
        let state = fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
        state.lines().next().and_then(|id| id.trim().parse().ok()) == Some(process)
            && matches!(state.lines().nth(7).map(str::trim_end), Some("ready" | "standby"))
    }

    pub fn stop(&mut self, how: Stop) -> Result<()> {
        let Some(mut child) = self.running.take() else { return Ok(()) };
        match how {
            Stop::Fast => signal(child.id(), "INT")?,
            Stop::Immediate => signal(child.id(), "QUIT")?,
            Stop::Kill => {
                let backends = children(child.id());
                for backend in &backends {
                    _ = signal(*backend, "KILL");
                }
                child.kill()?;
                child.wait()?;
                // A server does not start while one of them still has its memory.
                let until = Instant::now() + WITHIN;
                while backends.iter().any(|backend| is_running(*backend)) {
                    ensure!(Instant::now() < until, "killed processes are there after {WITHIN:?}");
                    thread::park_timeout(Duration::from_millis(5));
                }
            }
        }
        child.wait()?;
        Ok(())
    }

    /// Stops all of its processes where they are.
    pub fn freeze(&self) -> Result<()> {
        self.signal_all("STOP")
    }

    pub fn thaw(&self) -> Result<()> {
        self.signal_all("CONT")
    }

    fn signal_all(&self, name: &str) -> Result<()> {
        let Some(child) = &self.running else { return Ok(()) };
        signal(child.id(), name)?;
        for backend in children(child.id()) {
            // It may have ended meanwhile.
            _ = signal(backend, name);
        }
        Ok(())
    }

    /// Sends a signal to its processes of a type, by the words of `pg_stat_activity`.
    /// Returns how many there were.
    pub fn signal_backends(&self, backend_type: &str, name: &str) -> Result<usize> {
        let listed = self.query(&format!(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = '{backend_type}' AND pid <> pg_backend_pid()"
        ))?;
        let backends = listed.lines().filter_map(|line| line.trim().parse().ok());
        // It may have ended meanwhile.
        Ok(backends.filter(|backend| signal(*backend, name).is_ok()).count())
    }

    /// What a statement returns, by `psql`: one row a line, columns separated by `|`.
    pub fn query(&self, sql: &str) -> Result<String> {
        let mut command = self.programs.command("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url("postgres"), "-c", sql]);
        let done = command.env("PGCONNECT_TIMEOUT", "10").stdin(Stdio::null()).output()?;
        ensure!(done.status.success(), "psql: {}: {}", sql, String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8(done.stdout)?)
    }

    /// The database as SQL.
    pub fn dump(&self) -> Result<Vec<u8>> {
        let mut command = self.programs.command("pg_dump");
        let done = command.args(["-d", &self.url("postgres")]).stdin(Stdio::null()).output()?;
        ensure!(done.status.success(), "pg_dump: {}", String::from_utf8_lossy(&done.stderr));
        Ok(done.stdout)
    }

    /// Makes a standby the primary.
    pub fn promote(&self) -> Result<()> {
        let mut command = self.programs.command("pg_ctl");
        let done = command.args(["promote", "--wait", "-D"]).arg(&self.data).output()?;
        ensure!(done.status.success(), "pg_ctl promote: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The process of the server, for measurements.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Child::id)
    }

    /// The folder of the cluster.
    pub fn data(&self) -> &Path {
        &self.data
    }

    fn log(&self) -> PathBuf {
        self.data.with_file_name("log")
    }

    /// What the server has logged.
    pub fn read_log(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Frozen processes do not end.
        _ = self.thaw();
        _ = self.stop(Stop::Immediate);
    }
}

/// A port that is free now. If another takes it first, the start fails. It is below the
/// ephemeral ports: while the server is stopped, no connection gets its port.
fn free_port() -> Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() * 97 % PORTS;
    for _ in 0..PORTS {
        let port = FIRST_PORT + ((first + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port from {FIRST_PORT} on")
}

/// Starts a child from a thread that lives as long as this process: the child ends with
/// the thread that started it.
fn spawn_for_life(mut command: Command) -> Result<Child> {
    let (sender, started) = mpsc::sync_channel(1);
    thread::spawn(move || {
        _ = sender.send(command.spawn());
        loop {
            thread::park();
        }
    });
    Ok(started.recv()??)
}

fn signal(process: u32, name: &str) -> Result<()> {
    let status =
        Command::new("kill").args(["-s", name, &process.to_string()]).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "kill -s {name} {process}: {status}");
    Ok(())
}

/// Whether a process exists, and has not just ended.
fn is_running(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains("zombie"))
}

fn children(parent: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}
