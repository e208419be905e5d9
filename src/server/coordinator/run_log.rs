//! The log lines about runs: one when a run starts, one when it has ended.
//!
//! ```text
//!   change set ──▶ RunLines ── the commit is durable ──▶ run started │ run ended
//! ```
//!
//! **Invariants.** What a line says is in the records of the commit that it follows,
//! and a commit that fails has no line. A run has at most one line of each kind a
//! process. Without the setting, or below its level, nothing is gathered.

use slog::{Drain, Level, Logger, info};

use crate::{
    record::{ChangeSet, Identity, Origin, RunRecord},
    time::Timestamp,
    types::{NodeTypeRef, RunId, RunState},
};

/// Whether runs have lines in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunLog {
    On,
    Off,
}

/// What is to be logged about a run once a change set is durable.
#[derive(Debug, Default)]
pub(super) struct RunLines {
    started: Option<Box<Started>>,
    ended: Option<Box<Ended>>,
}

#[derive(Debug)]
struct Started {
    run: RunId,
    node_type: Option<NodeTypeRef>,
    owner: Option<Identity>,
}

#[derive(Debug)]
struct Ended {
    run: RunId,
    state: RunState,
    error_code: Option<String>,
    /// `None`: it is unknown when the run began.
    seconds: Option<f64>,
    node_runs: u64,
    attempts: u64,
}

impl RunLog {
    /// The lines of a change set.
    pub(super) fn lines(self, changes: &ChangeSet, log: &Logger) -> RunLines {
        match (self, &changes.run) {
            (Self::On, Some(run)) if log.is_enabled(Level::Info) => RunLines {
                started: is_new(run).then(|| Box::new(Started::of(run, changes))),
                ended: Ended::of(run, changes.at).map(Box::new),
            },
            (Self::On | Self::Off, _) => RunLines::default(),
        }
    }
}

/// An adopted run was started elsewhere, and has a line of its own.
fn is_new(run: &RunRecord) -> bool {
    match run.origin {
        Origin::Request { .. } => run.version == 0,
        Origin::Adopted => false,
    }
}

impl Started {
    fn of(run: &RunRecord, changes: &ChangeSet) -> Self {
        let root = changes.nodes.iter().find(|node| *node.id() == run.run.root_node_run_id);
        Self {
            run: run.id().clone(),
            node_type: root.map(|root| root.node.node_type_ref.clone()),
            owner: run.owner.clone(),
        }
    }
}

impl Ended {
    /// `None`: it ended before, or not yet.
    fn of(run: &RunRecord, at: Timestamp) -> Option<Self> {
        let ended = run.run.ended_at.filter(|ended| *ended == at)?;
        Some(Self {
            run: run.id().clone(),
            state: run.run.state,
            error_code: run.error_code(),
            seconds: run.run.started_at.map(|started| ended.since(started).as_secs_f64()),
            node_runs: run.nodes,
            attempts: run.attempts,
        })
    }
}

impl RunLines {
    pub(super) fn log(&self, log: &Logger) {
        if let Some(started) = &self.started {
            let Started { run, node_type, owner } = &**started;
            let owner = owner.as_ref();
            info!(log, "run started"; "run_id" => %run,
                "node_type_id" => node_type.as_ref().map(|of| of.node_type_id.as_str()),
                "version" => node_type.as_ref().map(|of| of.version.as_str()),
                "subject" => owner.map(|owner| owner.subject.as_str()),
                "client" => owner.and_then(|owner| owner.client.as_deref()),
                "tenant" => owner.and_then(|owner| owner.tenant.as_deref()));
        }
        if let Some(ended) = &self.ended {
            let Ended { run, state, error_code, seconds, node_runs, attempts } = &**ended;
            info!(log, "run ended"; "run_id" => %run, "state" => %state, "error_code" => error_code.as_deref(),
                "seconds" => seconds, "node_runs" => node_runs, "attempts" => attempts);
        }
    }
}
