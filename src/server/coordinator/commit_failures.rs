//! Commits that failed, and the journal's way back.
//!
//! ```text
//!   commit failed ──▶ health: down ──▶ probe, each second ──▶ health: ok
//!        └─ in doubt: it may be durable ──▶ next sweep: announce again what the journal says
//! ```

use std::collections::BTreeSet;

use slog::{debug, error};

use super::{committer::Committer, error::CoordinatorError, liveness::Unnoted};
use crate::{
    events::Newest,
    health::WriteFailure,
    journal::JournalError,
    types::{NodeRunId, RunId},
};

/// How many runs the journal is asked about at once.
const REACHED_AT_ONCE: usize = 500;

impl Committer {
    /// Notes what a failed commit, which would have ended these nodes, says
    /// about the journal's health.
    pub(super) fn commit_failed(&self, failure: JournalError, ended: Vec<NodeRunId>) -> CoordinatorError {
        let now = self.clock.now();
        let is_news = match &failure {
            // The journal has refused it, and has logged that.
            JournalError::Conflict | JournalError::Reserved => false,
            // This process ends, or only this record is affected.
            JournalError::Fenced | JournalError::TooBig(_) => true,
            JournalError::Full(_) => self.health.not_written(WriteFailure::Full, now),
            JournalError::Failed(_) => {
                self.health.not_written(WriteFailure::Failed, now);
                true
            }
            JournalError::Damaged(_) => {
                self.health.damaged(now);
                true
            }
        };
        if is_news {
            error!(self.log, "journal commit failed"; "error" => %failure);
        } else {
            debug!(self.log, "journal refused a commit"; "error" => %failure);
        }
        if failure.is_in_doubt() {
            self.health.doubt(ended);
        }
        failure.into()
    }

    /// Probes a journal that could not be written or read. While health reports
    /// it as down, there may be no other traffic that would notice its return.
    /// (Whether a full journal has room again only a larger write will show.)
    pub(crate) async fn journal_probe(&self) {
        let (health, journal) = (&self.health, &self.journal);
        let now = self.clock.now();
        if health.is_write_probe_due(now) && journal.beat(self.queue.worker()).await.is_ok() {
            health.written();
        }
        if health.is_read_probe_due(now) && journal.wake_next(now).await.is_ok() {
            health.read();
        }
    }

    /// Notes that the journal was written by something else than a command.
    pub(crate) fn journal_written(&self) {
        self.health.written();
    }

    /// Announces to followers and the outbox pump what the journal says, if a
    /// commit has been in doubt since the last time: it may have been the last
    /// commit of its run. Drops the calls of the nodes that it has ended.
    pub(crate) async fn announce_doubtful(&self) -> Result<(), JournalError> {
        let Some(ended) = self.health.take_doubt() else { return Ok(()) };
        if let Some(outbox) = &self.outbox {
            outbox.entries_added();
        }
        for (at, node) in ended.iter().enumerate() {
            match self.journal.head_fetch(node).await {
                Ok(Some(found)) if found.is_terminal() => self.queue.node_ended(node),
                Ok(_) | Err(JournalError::Damaged(_)) => {}
                Err(failure) => {
                    self.health.doubt(ended[at..].to_vec());
                    return Err(failure);
                }
            }
        }
        if let Err(failure) = self.announce_followed().await {
            self.health.doubt(Vec::new());
            return Err(failure);
        }
        Ok(())
    }

    /// Notes in the journal what this process has heard of executors, for the others.
    pub(crate) async fn note_signs(&self) -> Result<(), JournalError> {
        let Some(unnoted) = self.liveness.unnoted(self.clock.now()) else { return Ok(()) };
        let Unnoted { signs, known_to, forget_before } = unnoted;
        let noted = self.journal.note_signs(self.queue.worker(), &signs, known_to, forget_before).await;
        match noted {
            Ok(()) => self.liveness.noted(known_to),
            Err(_) => self.liveness.not_noted(signs),
        }
        noted
    }

    /// Announces to the followers of runs what the journal says about them.
    pub(crate) async fn announce_followed(&self) -> Result<(), JournalError> {
        self.announce_reached(&self.events.hub.followed_runs()).await
    }

    /// The same to the followers of these runs, if they have any.
    pub(crate) async fn announce_if_followed(&self, runs: &BTreeSet<RunId>) -> Result<(), JournalError> {
        let followed = runs.iter().filter(|run| self.events.hub.is_followed(run));
        self.announce_reached(&followed.cloned().collect::<Vec<_>>()).await
    }

    async fn announce_reached(&self, runs: &[RunId]) -> Result<(), JournalError> {
        for some in runs.chunks(REACHED_AT_ONCE) {
            for reached in self.journal.runs_reached(some).await? {
                self.events.hub.publish(&reached.run_id, Newest::from(&reached));
                self.events.hub.nodes_ended(&reached.run_id);
            }
        }
        Ok(())
    }
}
