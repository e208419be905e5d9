//! The coordinator: the real binary, process after process on one journal.
//!
//! ```text
//!   start ──▶ (starting) ──listens──▶ up ──kill, terminate──▶ down ──▶ start
//! ```

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use super::{disk::Disk, executors::Executors, history::History, signal::Signals};
use xtask_support::process::Process;

/// How long the process may take to end after SIGTERM, beyond its shutdown
/// timeout.
const DRAIN: Duration = Duration::from_secs(2);
const DRAIN_GRACE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// Settings that make everything happen soon, but leave a coordinator that is
/// stopped for a while enough time for its nodes.
const VARS: [(&str, &str); 11] = [
    ("ARP_AUTH_PROFILE", "dev-insecure"),
    ("JARVIS_POLICY_PROFILE", "dev-allow"),
    ("JARVIS_RUN_COORDINATOR_APPROVALS", "park"),
    ("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json"),
    ("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", "8"),
    ("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", "16"),
    ("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "3"),
    ("JARVIS_RUN_COORDINATOR_CONNECT_TIMEOUT_SECS", "2"),
    ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "5"),
    ("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", "2"),
    ("RUST_BACKTRACE", "1"),
];

/// One process of the coordinator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) started: Instant,
    /// The process before it was killed rather than asked to end.
    pub(super) after_kill: bool,
    pub(super) listened: Option<Instant>,
}

/// What stays the same for all processes.
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) address: SocketAddr,
    /// Of the operator API.
    pub(super) operator_address: SocketAddr,
    pub(super) disk: Arc<Disk>,
    pub(super) logs: PathBuf,
    /// The maximum number of concurrent calls to one executor.
    pub(super) in_flight: usize,
    /// Variables that replace the usual ones.
    pub(super) vars: &'static [(&'static str, &'static str)],
    pub(super) executors: Arc<Executors>,
    pub(super) history: Arc<History>,
}

pub(super) struct Coordinator {
    place: Place,
    process: Option<Process>,
    lives: Mutex<Vec<Life>>,
    killed: bool,
    /// The size limit of the journal, from the next process on.
    pub(super) max_bytes: Option<u64>,
}

impl Coordinator {
    pub(super) fn new(place: Place) -> Self {
        Self { place, process: None, lives: Mutex::default(), killed: false, max_bytes: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.place.address)
    }

    /// The processes so far; the first has the number 0.
    pub(super) fn lives(&self) -> MutexGuard<'_, Vec<Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process, which does not listen yet.
    pub(super) fn start(&mut self) -> Result<()> {
        let number = self.lives().len();
        let Place { program, address, operator_address, disk, logs, in_flight, executors, .. } = &self.place;
        let mut vars: Vec<(&str, String)> =
            VARS.iter().chain(self.place.vars).map(|(name, value)| (*name, (*value).to_owned())).collect();
        vars.extend(executors.variables(number));
        vars.push(("JARVIS_RUN_COORDINATOR_JOURNAL", disk.journal().display().to_string()));
        vars.push(("JARVIS_RUN_COORDINATOR_PUBLIC_URL", self.url()));
        vars.push(("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", operator_address.to_string()));
        vars.push(("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", in_flight.to_string()));
        vars.extend(
            self.max_bytes.map(|bytes| ("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", bytes.to_string())),
        );
        let mut command = disk.command(program, logs, vars);
        command.args(["--port", &address.port().to_string()]);
        let after_kill = std::mem::take(&mut self.killed);
        let log = logs.join(format!("coordinator-{number}.log"));
        self.lives().push(Life { started: Instant::now(), after_kill, listened: None });
        self.process = Some(Process::start("coordinator", command, Some(&log))?);
        Ok(())
    }

    /// Waits until the process listens.
    pub(super) fn wait_up(&self) -> Result<()> {
        let process = self.process.as_ref().context("the coordinator is not running")?;
        process.log().line("that it listens", |line| line.contains("listening").then_some(()))?;
        if let Some(life) = self.lives().last_mut() {
            life.listened = Some(Instant::now());
        }
        Ok(())
    }

    /// Kills the process with SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.killed = true;
            self.look_for_panics(&process);
        }
    }

    /// Stops the process with SIGSTOP for this time.
    pub(super) fn stop(&self, time: Duration, signals: &Signals) -> Result<()> {
        let process = self.process.as_ref().context("the coordinator is not running")?;
        process.signal("STOP")?;
        signals.over.raised_within(time);
        process.signal("CONT")
    }

    /// Asks the process to end, without waiting for it.
    pub(super) fn signal_end(&self) -> Result<()> {
        self.process.as_ref().context("the coordinator is not running")?.signal("TERM")
    }

    /// Waits until the process has ended after `signal_end`.
    pub(super) fn wait_end(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = end_of(&mut process, DRAIN + DRAIN_GRACE)?
            .context("the coordinator does not end after SIGTERM")?;
        self.look_for_panics(&process);
        ensure!(status.success(), "after SIGTERM the coordinator ended with {status}");
        Ok(())
    }

    /// Fails if the process has ended by itself.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process
            && let Some(status) = process.ended()?
        {
            bail!("the coordinator ended by itself: {status}");
        }
        Ok(())
    }

    /// Whether the newest process ends with this code soon.
    pub(super) fn has_exited(&mut self, code: i32) -> bool {
        let Some(process) = &mut self.process else { return false };
        end_of(process, DRAIN).ok().flatten().is_some_and(|status| status.code() == Some(code))
    }

    fn look_for_panics(&self, process: &Process) {
        let panics = process.log().count(&["panicked"]);
        if panics > 0 {
            let number = self.lives().len().saturating_sub(1);
            let what = format!("{panics} lines of its log say that it panicked");
            self.place.history.violation("coordinator", &format!("process {number}"), what);
        }
    }
}

/// The exit status of a process that ends within this time.
fn end_of(process: &mut Process, time: Duration) -> Result<Option<ExitStatus>> {
    let begin = Instant::now();
    loop {
        let status = process.ended()?;
        if status.is_some() || begin.elapsed() > time {
            return Ok(status);
        }
        thread::park_timeout(LOOK);
    }
}
