//! Where it all happens: the coordinator on its disk, its executors, and those
//! who talk to it, all on loopback and in one folder.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{
    api::Api,
    bell::Bells,
    coordinator::{Coordinator, Place},
    disk::Disk,
    executors::Executors,
    history::History,
    ledger::Ledger,
    plans::Planner,
    ports::Ports,
};

pub(super) struct Ground {
    // First, so that it ends before what it stands on.
    pub(super) coordinator: Coordinator,
    pub(super) api: Arc<Api>,
    pub(super) bells: Arc<Bells>,
    pub(super) history: Arc<History>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) disk: Arc<Disk>,
    folder: TempDir,
}

/// What is to be set.
pub(super) struct Settings {
    pub(super) program: PathBuf,
    pub(super) seed: u64,
    pub(super) disk_bytes: u64,
    pub(super) in_flight: usize,
    /// Of the coordinator, instead of the usual ones.
    pub(super) vars: &'static [(&'static str, &'static str)],
}

impl Ground {
    pub(super) fn new(settings: Settings, bells: Arc<Bells>) -> Result<Self> {
        let Settings { program, seed, disk_bytes, in_flight, vars } = settings;
        let folder = tempfile::Builder::new().prefix("jarvis-chaos-").tempdir().context("make a folder")?;
        let disk = Arc::new(Disk::new(folder.path(), disk_bytes)?);
        let (history, ledger) = (Arc::new(History::default()), Arc::new(Ledger::default()));
        let mut ports = Ports::new();
        let address = ports.free()?;
        let api = Arc::new(Api::new(&format!("http://{address}"), Arc::clone(&bells), Arc::clone(&history)));
        let planner =
            Arc::new(Planner::new(Arc::clone(&api), Arc::clone(&ledger), Arc::clone(&history), seed));
        let executors = Arc::new(Executors::start(&mut ports, seed, &ledger, &planner)?);
        let coordinator = Coordinator::new(Place {
            program,
            address,
            disk: Arc::clone(&disk),
            logs: folder.path().to_owned(),
            in_flight,
            vars,
            executors,
            history: Arc::clone(&history),
        });
        Ok(Self { coordinator, api, bells, history, ledger, disk, folder })
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Keeps the logs, and the journal with them: where.
    pub(super) fn keep(mut self) -> Result<PathBuf> {
        self.coordinator.kill();
        self.disk.copy_journal(self.folder.path())?;
        self.folder.disable_cleanup(true);
        Ok(self.folder.path().to_owned())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.bells.over.ring();
        self.ledger.over();
    }
}
