//! The coordinator, or one of its replicas: the real binary, process after process on one
//! journal.
//!
//! ```text
//!   start ──▶ (starting) ──listens──▶ up ──kill, terminate──▶ down ──▶ start
//! ```
//!
//! The processes of all replicas are numbered together: [`Lives`].

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

/// What a process logs when it listens.
const LISTENS: &str = "listening";
/// The exit code after a failure of an essential part, and of who was declared dead.
const BROKEN: i32 = 4;

/// What a process logs when it learns that others have declared it dead, and what the
/// others log.
const DECLARED_DEAD: &str = "another process has declared this worker dead";
const DECLARES_DEAD: &str = "declared a worker dead";

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
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) replica: usize,
    pub(super) started: Instant,
    /// The process before it was killed rather than asked to end.
    pub(super) after_kill: bool,
    pub(super) listened: Option<Instant>,
    /// From when to when it was stopped with SIGSTOP.
    pub(super) frozen: Vec<[Instant; 2]>,
    /// Whether it did not reach the database at some time.
    pub(super) was_cut_off: bool,
    pub(super) ended: Option<(Instant, End)>,
    /// How many others it has declared dead.
    pub(super) declared: usize,
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Killed,
    /// It was asked to.
    Asked,
    /// Others have declared it dead.
    DeclaredDead,
    ByItself,
}

/// All processes so far, of all replicas; the first has the number 0.
#[derive(Default)]
pub(super) struct Lives(Mutex<Vec<Life>>);

impl Lives {
    pub(super) fn all(&self) -> MutexGuard<'_, Vec<Life>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    pub(super) fn new(replica: usize, started: Instant) -> Self {
        Self {
            replica,
            started,
            after_kill: false,
            listened: None,
            frozen: Vec::new(),
            was_cut_off: false,
            ended: None,
            declared: 0,
        }
    }
}

/// What stays the same for all processes.
pub(super) struct Place {
    pub(super) replica: usize,
    pub(super) program: PathBuf,
    pub(super) address: SocketAddr,
    /// Of the operator API.
    pub(super) operator_address: SocketAddr,
    pub(super) disk: Arc<Disk>,
    /// The URL of the journal, if it is not on the disk.
    pub(super) database: Option<String>,
    pub(super) logs: PathBuf,
    /// Variables that set its clock.
    pub(super) clock: Vec<(&'static str, String)>,
    /// The maximum number of concurrent calls to one executor.
    pub(super) in_flight: usize,
    /// Variables that replace the usual ones.
    pub(super) vars: &'static [(&'static str, &'static str)],
    pub(super) executors: Arc<Executors>,
    pub(super) history: Arc<History>,
    pub(super) lives: Arc<Lives>,
}

impl Place {
    /// The journal, for the variable of that name and for the command of that name.
    pub(super) fn journal(&self) -> String {
        self.database.clone().unwrap_or_else(|| self.disk.journal().display().to_string())
    }
}

pub(super) struct Coordinator {
    place: Place,
    process: Option<Process>,
    /// The number of the newest process.
    number: usize,
    killed: bool,
    /// The size limit of the journal, from the next process on.
    pub(super) max_bytes: Option<u64>,
}

impl Coordinator {
    pub(super) fn new(place: Place) -> Self {
        Self { place, process: None, number: 0, killed: false, max_bytes: None }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.place.address)
    }

    /// The processes so far, with those of the other replicas.
    pub(super) fn lives(&self) -> MutexGuard<'_, Vec<Life>> {
        self.place.lives.all()
    }

    /// Starts a process, which does not listen yet.
    pub(super) fn start(&mut self) -> Result<()> {
        let number = {
            let mut life = Life::new(self.place.replica, Instant::now());
            life.after_kill = std::mem::take(&mut self.killed);
            let mut lives = self.place.lives.all();
            lives.push(life);
            lives.len() - 1
        };
        self.number = number;
        let Place { program, address, operator_address, disk, logs, in_flight, executors, .. } = &self.place;
        let mut vars: Vec<(&str, String)> =
            VARS.iter().chain(self.place.vars).map(|(name, value)| (*name, (*value).to_owned())).collect();
        vars.extend(executors.variables(number));
        vars.push(("JARVIS_RUN_COORDINATOR_JOURNAL", self.place.journal()));
        vars.push(("JARVIS_RUN_COORDINATOR_PUBLIC_URL", self.url()));
        vars.push(("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", operator_address.to_string()));
        vars.push(("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", in_flight.to_string()));
        vars.extend(self.place.clock.iter().map(|(name, value)| (*name, value.clone())));
        vars.extend(
            self.max_bytes.map(|bytes| ("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", bytes.to_string())),
        );
        let mut command = disk.command(program, logs, vars);
        command.args(["--port", &address.port().to_string()]);
        let log = logs.join(format!("coordinator-{number}.log"));
        self.process = Some(Process::start("coordinator", command, Some(&log))?);
        Ok(())
    }

    /// Waits until the process listens.
    pub(super) fn wait_up(&self) -> Result<()> {
        let process = self.process.as_ref().context("the coordinator is not running")?;
        process.log().line("that it listens", |line| line.contains(LISTENS).then_some(()))?;
        self.note(|life| life.listened = Some(Instant::now()));
        Ok(())
    }

    /// Whether the process listens by now.
    pub(super) fn is_up(&self) -> bool {
        let is_up = self.process.as_ref().is_some_and(|process| process.log().count(&[LISTENS]) > 0);
        if is_up {
            self.note(|life| _ = life.listened.get_or_insert_with(Instant::now));
        }
        is_up
    }

    fn note(&self, note: impl FnOnce(&mut Life)) {
        if let Some(life) = self.lives().get_mut(self.number) {
            note(life);
        }
    }

    /// Kills the process with SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.killed = true;
            self.look_back(&process, End::Killed);
        }
    }

    /// Stops the process with SIGSTOP for this time.
    pub(super) fn stop(&self, time: Duration, signals: &Signals) -> Result<()> {
        self.freeze()?;
        signals.over.raised_within(time);
        self.thaw()
    }

    pub(super) fn freeze(&self) -> Result<()> {
        self.process.as_ref().context("the coordinator is not running")?.signal("STOP")?;
        self.note(|life| life.frozen.push([Instant::now(); 2]));
        Ok(())
    }

    /// Notes that the process does not reach the database.
    pub(super) fn was_cut_off(&self) {
        self.note(|life| life.was_cut_off = true);
    }

    pub(super) fn thaw(&self) -> Result<()> {
        self.note(|life| _ = life.frozen.last_mut().map(|frozen| frozen[1] = Instant::now()));
        self.process.as_ref().context("the coordinator is not running")?.signal("CONT")
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
        self.look_back(&process, End::Asked);
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

    /// How the process has ended, if it has. There is none then.
    pub(super) fn take_end(&mut self, asked: bool) -> Result<Option<(End, ExitStatus)>> {
        let Some(mut process) = self.process.take() else { return Ok(None) };
        let Some(status) = process.ended()? else {
            self.process = Some(process);
            return Ok(None);
        };
        let end = match status.code() {
            Some(BROKEN) if process.log().count(&[DECLARED_DEAD]) > 0 => End::DeclaredDead,
            Some(_) | None if asked => End::Asked,
            Some(_) | None => End::ByItself,
        };
        self.look_back(&process, end);
        Ok(Some((end, status)))
    }

    /// Whether the newest process ends with this code soon.
    pub(super) fn has_exited(&mut self, code: i32) -> bool {
        let Some(process) = &mut self.process else { return false };
        end_of(process, DRAIN).ok().flatten().is_some_and(|status| status.code() == Some(code))
    }

    /// Notes what the log of a process says when it has ended.
    fn look_back(&self, process: &Process, end: End) {
        let declared = process.log().count(&[DECLARES_DEAD]);
        self.note(|life| (life.ended, life.declared) = (Some((Instant::now(), end)), declared));
        let panics = process.log().count(&["panicked"]);
        if panics > 0 {
            let number = self.number;
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
