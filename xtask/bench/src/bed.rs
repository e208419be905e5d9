//! What all measurements of a run share.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    coordinator::Var,
    executor::{Executors, Learn},
    limits,
    load::Clients,
    plan::{Ours, Store},
    report::{Results, clients},
    settings::Settings,
    subject::{self, Subject},
    world::World,
};

/// The bare rate of the disk is measured for this time before each measurement.
pub(crate) const LOOK_AT_DISK: Duration = Duration::from_millis(500);

pub(crate) struct Bed<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) executors: Executors,
    /// On the same disk as the results; removed at the end.
    folder: TempDir,
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

    /// A world around one of ours, with these variables.
    pub(crate) async fn world(&self, ours: &Ours, vars: &[Var]) -> Result<World> {
        World::start(ours, &self.executors.url(), self.folder()?, vars).await
    }

    /// A world for each of ours, with these variables. In every other round in the other
    /// order.
    pub(crate) async fn worlds(&self, round: usize, vars: &[Var]) -> Result<Vec<World>> {
        let mut worlds = Vec::new();
        for ours in &self.settings.ours {
            worlds.push(self.world(ours, vars).await?);
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
        figures.retain(|(name, _)| others || *name != subject::CPU_OF_ALL);
        let rate = figures.first().map_or(f64::NAN, |(_, rate)| *rate);
        figures.extend([("fdatasync/s", fdatasyncs), ("runs/fdatasync", rate / fdatasyncs)]);
        results.add(workload, label, clients(count), &figures);
    }
}
