//! Commits of a process, in one line each, with what sabotages make of them.

use std::time::Duration;

use jarvis_run_coordinator::{
    journal::{Journal, JournalError, OutboxId},
    record::{ChangeSet, Job, NodeRecord},
};

use super::SimJournal;
use crate::scenario::Sabotage;

impl SimJournal {
    /// Commits a change, and counts what it is about.
    pub(super) async fn write_change(&self, change: &ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        let world = &self.world;
        if world.is_sabotaged(Sabotage::AnswersWithoutCommit) && world.one_in(20) {
            return Ok(None);
        }
        let mut change = change.clone();
        if world.is_sabotaged(Sabotage::IgnoresPausesOfOthers) {
            change.pauses = None;
        }
        if world.is_sabotaged(Sabotage::LosesEvents) && world.one_in(20) {
            change.events.pop();
        }
        if world.is_sabotaged(Sabotage::DelaysWakeUps) && world.one_in(10) {
            let whole = change.nodes.iter_mut().filter_map(|node| node.wake.as_mut());
            let wakes = whole.chain(change.heads.iter_mut().filter_map(|head| head.wake.as_mut()));
            wakes.for_each(|wake| wake.at = wake.at + Duration::from_secs(86_400));
        }
        if world.is_sabotaged(Sabotage::SplitsCommits) && world.one_in(20) && !change.nodes.is_empty() {
            let (run, events) = (change.run.take(), std::mem::take(&mut change.events));
            self.inner.commit(change.clone()).await?;
            (change.run, change.events, change.nodes) = (run, events, Vec::new());
        }
        let description = describe(&change);
        let written = change.clone();
        let was_dead = self.is_dead().await;
        let done = self.inner.commit(change).await;
        if was_dead && done.is_ok() {
            world.violated("a worker that was declared dead writes nothing", &description);
        }
        world.trace(format_args!("commit {description}: {}", if done.is_ok() { "done" } else { "refused" }));
        if done == Err(JournalError::Conflict) {
            world.count("conflict");
        }
        if done.is_ok() {
            written.events.iter().for_each(|record| world.count_waiting(&record.event));
            written.nodes.iter().for_each(|node| world.count_held_to_the_end(node));
            if written.nodes.iter().any(|node| node.version == 0 && node.attempt == 1) {
                world.count("begun in the commit of its creation");
            }
        }
        done
    }
}

/// Describes a change in one line.
pub(super) fn describe(change: &ChangeSet) -> String {
    use std::fmt::Write;
    let mut line = format!("of {}", change.run_id);
    let whole = change.nodes.iter().map(NodeRecord::head);
    for head in whole.chain(change.heads.iter().cloned()) {
        let wake = head.job().map_or("-", Job::as_str);
        let _ = write!(line, ", {} {} attempt {} wake {wake}", head.path, head.state, head.attempt);
    }
    if let Some(run) = &change.run {
        let _ = write!(line, ", run {}", run.run.state);
    }
    for event in &change.events {
        let _ = write!(line, ", {}:{}", event.event.seq, event.event.type_);
    }
    for attempt in &change.attempts {
        let _ = write!(line, ", attempt {}: {:?}", attempt.attempt, attempt.outcome);
    }
    line
}
