//! The testbed: the coordinator on its disk, its executors and its callers, all
//! on loopback and in one folder.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{
    api::Api,
    coordinator::{Coordinator, Place},
    disk::Disk,
    executors::Executors,
    history::History,
    ledger::Ledger,
    plans::Planner,
    ports::Ports,
    signal::Signals,
};

pub(super) struct Testbed {
    // The first field, so that it is dropped before what it depends on.
    pub(super) coordinator: Coordinator,
    pub(super) api: Arc<Api>,
    /// The operator API.
    pub(super) operators: Arc<Api>,
    pub(super) signals: Arc<Signals>,
    pub(super) history: Arc<History>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) disk: Arc<Disk>,
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
}

impl Testbed {
    pub(super) fn new(settings: Settings, signals: Arc<Signals>) -> Result<Self> {
        let Settings { program, seed, disk_bytes, in_flight, vars } = settings;
        let folder = tempfile::Builder::new().prefix("jarvis-chaos-").tempdir().context("make a folder")?;
        let disk = Arc::new(Disk::new(folder.path(), disk_bytes)?);
        let (history, ledger) = (Arc::new(History::default()), Arc::new(Ledger::default()));
        let mut ports = Ports::new();
        let address = ports.free()?;
        let api =
            Arc::new(Api::new(&format!("http://{address}"), Arc::clone(&signals), Arc::clone(&history)));
        let operator_address = ports.free()?;
        let operators = format!("http://{operator_address}");
        let operators = Arc::new(Api::new(&operators, Arc::clone(&signals), Arc::clone(&history)));
        let planner =
            Arc::new(Planner::new(Arc::clone(&api), Arc::clone(&ledger), Arc::clone(&history), seed));
        let executors = Arc::new(Executors::start(&mut ports, seed, &ledger, &planner)?);
        let coordinator = Coordinator::new(Place {
            program,
            address,
            operator_address,
            disk: Arc::clone(&disk),
            logs: folder.path().to_owned(),
            in_flight,
            vars,
            executors,
            history: Arc::clone(&history),
        });
        Ok(Self { coordinator, api, operators, signals, history, ledger, disk, folder })
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Keeps the logs and the journal; returns their folder.
    pub(super) fn keep(mut self) -> Result<PathBuf> {
        self.coordinator.kill();
        self.disk.copy_journal(self.folder.path())?;
        self.folder.disable_cleanup(true);
        Ok(self.folder.path().to_owned())
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        self.signals.over.raise();
        self.ledger.over();
    }
}
