//! The figures of a run among replicas.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{coordinator::Life, times::Times};

/// The number of faults of each kind, and what came of them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(super) kills: u64,
    pub(super) drains: u64,
    pub(super) freezes: u64,
    /// Replicas that did not reach the database for a time.
    pub(super) cut_offs: u64,
    /// Replicas that ended because others had declared them dead.
    pub(super) declared_dead: u64,
    /// Starts that failed because there was no database.
    pub(super) starts_without_journal: u64,
    pub(super) executor_restarts: u64,
    pub(super) database_crashes: u64,
    pub(super) database_freezes: u64,
    /// All connections were ended.
    pub(super) disconnects: u64,
    /// All processes of connections were killed.
    pub(super) backend_kills: u64,
    pub(super) outages: u64,
    pub(super) failovers: u64,
    /// From the freeze of the primary to the first run on the new one.
    pub(super) longest_failover: Duration,
    /// From SIGTERM to the end of a replica.
    pub(super) longest_drain: Duration,
}

/// What is only known of several replicas.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    pub(super) replicas: usize,
    pub(super) processes: usize,
    pub(super) faults: Counts,
    /// How often a replica declared another one dead.
    pub(super) declarations: usize,
    /// The answers that were asked for again, through any replica.
    pub(super) asked_again: u64,
    /// Calls that arrived after a cancel was answered by another replica.
    pub(super) late_calls: Times,
    /// From the answer to a cancel until followers at all replicas had the end.
    pub(super) stream_ends: Times,
    /// From the last fault until all replicas were up, and no others were registered.
    pub(super) until_calm: f64,
    /// The sums of metrics of all processes, as far as they were read.
    pub(super) metrics: BTreeMap<String, f64>,
}

impl Section {
    pub(super) fn count_declarations(lives: &[Life]) -> usize {
        lives.iter().map(|life| life.declared).sum()
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { replicas, processes, faults, declarations, asked_again, .. } = self;
        let Counts { kills, drains, freezes, cut_offs, declared_dead, .. } = faults;
        let Counts { starts_without_journal, longest_drain, .. } = faults;
        writeln!(
            f,
            "  replicas         {replicas}, {processes} processes; {kills} x kill -9, {drains} x SIGTERM \
             (at most {longest_drain:.1?}), {freezes} x SIGSTOP, {cut_offs} x cut off"
        )?;
        writeln!(
            f,
            "  declared dead    {declared_dead} ended for it, {declarations} declarations; \
             {starts_without_journal} starts without a database"
        )?;
        let Counts { database_crashes, database_freezes, disconnects, backend_kills, .. } = faults;
        writeln!(
            f,
            "  database         {database_crashes} crashes, {database_freezes} freezes, {disconnects} x all \
             connections ended, {backend_kills} x all backends killed"
        )?;
        let Counts { outages, failovers, longest_failover, executor_restarts, .. } = faults;
        writeln!(
            f,
            "                   {outages} outages of 30 s, {failovers} failovers (at most {longest_failover:.1?})"
        )?;
        writeln!(f, "  executors        {executor_restarts} restarts")?;
        writeln!(f, "  asked again      {asked_again} answers")?;
        writeln!(f, "  late calls       {}", self.late_calls)?;
        writeln!(f, "  streams          end within {} after a cancel elsewhere", self.stream_ends)?;
        writeln!(f, "  calm             after {:.1} s", self.until_calm)?;
        let metrics: Vec<String> =
            self.metrics.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(f, "  metrics          {}", metrics.join(", "))
    }
}
