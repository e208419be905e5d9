//! What all measurements of a run share.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    coordinator::Var,
    database::{self, Database},
    executor::{Executors, Learn},
    limits,
    load::{Call, Clients, Load},
    procfs,
    report::{Results, clients},
    settings::Settings,
    world::{Store, World},
};

/// The bare rate of the disk is measured for this time before each measurement.
pub(crate) const LOOK_AT_DISK: Duration = Duration::from_millis(500);

pub(crate) struct Bed<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) executors: Executors,
    /// On the same disk as the results; removed at the end.
    folder: TempDir,
}

/// Something that is measured under load.
pub(crate) struct Subject<'s> {
    pub(crate) label: String,
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) call: Call,
    /// The processes of the server itself.
    pub(crate) processes: Vec<u32>,
    /// Those of its stores and workers; but not those of a database.
    pub(crate) others: Vec<u32>,
    pub(crate) database: Option<&'s Database>,
}

impl<'s> Bed<'s> {
    pub(crate) async fn make(settings: &'s Settings) -> Result<Self> {
        let executors = Executors::start(Learn::Follow).await?;
        let folder = tempfile::Builder::new().prefix("journals-").tempdir_in(&settings.out);
        Ok(Self { settings, executors, folder: folder.context("make a folder for journals")? })
    }

    /// An empty folder.
    pub(crate) fn folder(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.folder.path()).context("make a folder for a journal")
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A world for each of ours, with these variables. In every other round in the other
    /// order.
    pub(crate) async fn worlds(&self, round: usize, vars: &[Var]) -> Result<Vec<World>> {
        let mut worlds = Vec::new();
        for ours in &self.settings.ours {
            worlds.push(World::start(self, ours, vars).await?);
        }
        if round % 2 == 1 {
            worlds.reverse();
        }
        Ok(worlds)
    }

    /// Measures runs by this many clients.
    pub(crate) async fn measure(
        &self,
        workload: &'static str,
        subject: &Subject<'_>,
        count: usize,
        results: &mut Results,
    ) -> Result<()> {
        let fdatasyncs = limits::fdatasyncs(self.path(), LOOK_AT_DISK).await?;
        let at_work = Clients::connect(&subject.servers, count, &subject.call).await;
        let at_work = at_work.with_context(|| format!("{workload}: {}", subject.label))?;
        let before = subject.spent().await?;
        let load = at_work.work(self.settings.each).await;
        let load = load.with_context(|| format!("{workload}: {}", subject.label))?;
        let spent = subject.spent().await?;
        self.report(workload, &subject.label, count, spent.figures(&before, &load), fdatasyncs, results);
        Ok(())
    }

    /// Adds the figures of clients at work, beside what the disk could do just before.
    pub(crate) fn report(
        &self,
        workload: &'static str,
        label: &str,
        count: usize,
        mut figures: Vec<(&'static str, f64)>,
        fdatasyncs: f64,
        results: &mut Results,
    ) {
        // Where no one has any, they say nothing.
        let others = !self.settings.peers.is_empty()
            || self.settings.ours.iter().any(|ours| ours.store != Store::File);
        figures.retain(|(name, _)| others || *name != CPU_OF_ALL);
        let rate = figures.first().map_or(f64::NAN, |(_, rate)| *rate);
        figures.extend([("fdatasync/s", fdatasyncs), ("runs/fdatasync", rate / fdatasyncs)]);
        results.add(workload, label, clients(count), &figures);
    }
}

/// That of stores, workers and databases as well.
const CPU_OF_ALL: &str = "CPU ms/run, all";

/// What a subject has spent so far.
pub(crate) struct Spent {
    server: Duration,
    /// The others', if it has any.
    others: Option<Duration>,
    database: Option<database::Spent>,
}

impl Subject<'_> {
    pub(crate) async fn spent(&self) -> Result<Spent> {
        let all = |processes: &[u32]| processes.iter().copied().map(procfs::cpu).sum::<Duration>();
        let database = match self.database {
            Some(database) => Some(database.spent().await?),
            None => None,
        };
        let of_database = database.iter().map(|spent| spent.cpu).sum::<Duration>();
        let has_others = !self.others.is_empty() || database.is_some();
        Ok(Spent {
            server: all(&self.processes),
            others: has_others.then(|| all(&self.others) + of_database),
            database,
        })
    }
}

impl Spent {
    /// The processor time of the server alone.
    pub(crate) fn server_since(&self, before: &Self) -> Duration {
        self.server - before.server
    }

    /// What a run has cost since then.
    pub(crate) fn figures(&self, before: &Self, load: &Load) -> Vec<(&'static str, f64)> {
        let server = self.server_since(before);
        let mut figures = vec![
            ("runs/s", load.per_second()),
            ("p50 ms", load.p50_ms()),
            ("p99 ms", load.p99_ms()),
            ("CPU ms/run", load.each_ms(server)),
        ];
        let others = self.others.zip(before.others).map_or(Duration::ZERO, |(now, then)| now - then);
        figures.push((CPU_OF_ALL, load.each_ms(server + others)));
        if let (Some(now), Some(then)) = (&self.database, &before.database) {
            figures.push(("flushes/run", (now.flushes - then.flushes) / load.count()));
            figures.push(("log KiB/run", (now.log_kib - then.log_kib) / load.count()));
        }
        figures
    }
}
