//! The testbed: the coordinator on its disk, or its replicas on a database, its executors
//! and its callers, all on loopback and in one folder.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{
    api::Api,
    coordinator::{Coordinator, Lives, Place},
    disk::Disk,
    executors::Executors,
    history::History,
    ledger::Ledger,
    plans::Planner,
    ports::Ports,
    signal::Signals,
};

/// The time limit of a call, longer than any stop of the only coordinator.
const ANSWER: Duration = Duration::from_secs(10);
/// The same among replicas: the next one may do better.
const ANSWER_OF_A_REPLICA: Duration = Duration::from_secs(3);

pub(super) struct Testbed {
    // The first field, so that it is dropped before what it depends on.
    pub(super) replicas: Vec<Coordinator>,
    /// For calls to all replicas in turn.
    pub(super) api: Arc<Api>,
    /// The operator API.
    pub(super) operators: Arc<Api>,
    /// The APIs of each replica, and its operator APIs.
    pub(super) each: Vec<[Arc<Api>; 2]>,
    pub(super) signals: Arc<Signals>,
    pub(super) history: Arc<History>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) disk: Arc<Disk>,
    pub(super) executors: Arc<Executors>,
    pub(super) lives: Arc<Lives>,
    folder: TempDir,
}

/// The settings of a testbed.
pub(super) struct Settings {
    pub(super) program: PathBuf,
    pub(super) seed: u64,
    pub(super) disk_bytes: u64,
    pub(super) in_flight: usize,
    /// Variables of the coordinator that replace the usual ones.
    pub(super) vars: &'static [(&'static str, &'static str)],
    pub(super) replicas: usize,
    /// The URL of the journal of each replica. Empty: it is on the disk.
    pub(super) databases: Vec<String>,
    /// The library that sets the clocks of replicas wrong.
    pub(super) wrong_clocks: Option<PathBuf>,
    /// The wall time limit of node types that have none of their own.
    pub(super) usual_wall_time_ms: Option<u64>,
}

/// The maximum number of concurrent calls to one executor.
const IN_FLIGHT: usize = 64;

impl Settings {
    /// Of one coordinator with its journal on the disk.
    pub(super) fn of_one(program: PathBuf, seed: u64, disk_bytes: u64) -> Self {
        let (in_flight, vars, replicas) = (IN_FLIGHT, &[][..], 1);
        Self {
            program,
            seed,
            disk_bytes,
            in_flight,
            vars,
            replicas,
            databases: Vec::new(),
            wrong_clocks: None,
            usual_wall_time_ms: None,
        }
    }
}

impl Testbed {
    pub(super) fn new(settings: Settings, signals: Arc<Signals>) -> Result<Self> {
        let Settings {
            program,
            seed,
            disk_bytes,
            in_flight,
            vars,
            replicas,
            databases,
            wrong_clocks,
            usual_wall_time_ms,
        } = settings;
        let folder = tempfile::Builder::new().prefix("jarvis-chaos-").tempdir().context("make a folder")?;
        let disk = Arc::new(Disk::new(folder.path(), disk_bytes)?);
        let (history, ledger) = (Arc::new(History::default()), Arc::new(Ledger::default()));
        let mut ports = Ports::new();
        let mut free = || Ok([ports.free()?, ports.free()?]);
        let addresses = (0..replicas).map(|_| free()).collect::<Result<Vec<[SocketAddr; 2]>>>()?;
        let limit = if replicas > 1 { ANSWER_OF_A_REPLICA } else { ANSWER };
        let for_calls = |addresses: &[[SocketAddr; 2]]| {
            [0, 1].map(|which| {
                let urls = addresses.iter().map(|both| format!("http://{}", both[which])).collect();
                Arc::new(Api::new(urls, limit, Arc::clone(&signals), Arc::clone(&history)))
            })
        };
        let [api, operators] = for_calls(&addresses);
        let each = addresses.chunks(1).map(for_calls).collect();
        let planner =
            Arc::new(Planner::new(Arc::clone(&api), Arc::clone(&ledger), Arc::clone(&history), seed));
        let executors = Arc::new(Executors::start(&mut ports, seed, &ledger, &planner, usual_wall_time_ms)?);
        let lives = Arc::<Lives>::default();
        let coordinator = |(replica, [address, operator_address]): (usize, [SocketAddr; 2])| {
            Coordinator::new(Place {
                replica,
                program: program.clone(),
                address,
                operator_address,
                disk: Arc::clone(&disk),
                database: databases.get(replica).cloned(),
                clock: clock(wrong_clocks.as_deref(), replica),
                logs: folder.path().to_owned(),
                in_flight,
                vars,
                executors: Arc::clone(&executors),
                history: Arc::clone(&history),
                lives: Arc::clone(&lives),
            })
        };
        let replicas = addresses.into_iter().enumerate().map(coordinator).collect();
        Ok(Self { replicas, api, operators, each, signals, history, ledger, disk, executors, lives, folder })
    }

    /// The only coordinator, or the first of its replicas.
    pub(super) fn coordinator(&mut self) -> &mut Coordinator {
        &mut self.replicas[0]
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the logs and the journal; returns their folder.
    pub(super) fn keep(mut self) -> Result<PathBuf> {
        self.replicas.iter_mut().for_each(Coordinator::kill);
        self.disk.copy_journal(self.folder.path())?;
        self.folder.disable_cleanup(true);
        Ok(self.folder.path().to_owned())
    }
}

/// The variables that set the clock of a replica a minute fast or slow. The first one's is
/// right, and so is the time between two moments everywhere.
fn clock(library: Option<&Path>, replica: usize) -> Vec<(&'static str, String)> {
    let wrong = match (library, replica % 3) {
        (None, _) | (_, 0) => return Vec::new(),
        (_, 1) => "+60s",
        (_, _) => "-60s",
    };
    let library = library.map(|library| library.display().to_string()).unwrap_or_default();
    vec![
        ("LD_PRELOAD", library),
        ("FAKETIME", wrong.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.signals.over.raise();
        self.ledger.over();
    }
}
