//! How attempts end in the model.

use super::{Model, Outcome, Sort};
use crate::{engine::Work, record::Job, time::Timestamp, types::NodeRunState::Failed};

impl Model {
    pub(super) fn finish(
        &mut self,
        at: usize,
        back: u32,
        outcome: Outcome,
        now: Timestamp,
        again: Timestamp,
    ) {
        if back > 0 || !self.nodes[at].is_live() {
            self.logged += 1;
            return;
        }
        let work = match outcome {
            Outcome::Answered(_) if self.nodes[at].repeated.1 == self.nodes[at].attempt => return,
            Outcome::Answered(Failed) if self.repeats(at, again) => {
                let node = &mut self.nodes[at];
                node.retries += 1;
                node.repeated = (node.repeated.0 + 1, node.attempt);
                node.job = Some(Job::Dispatch);
                self.logged += 1;
                return;
            }
            Outcome::Answered(state) => return self.end(at, state, false, now),
            Outcome::CallFailed(work) => work,
        };
        let node = &mut self.nodes[at];
        if node.job != Some(Job::Deadline) {
            return;
        }
        let unclear = matches!(work, Work::Unanswered | Work::Uncertain);
        let earlier = node.attempt > 1;
        if node.children > 0 && (unclear || earlier && work == Work::NotStarted) {
            return;
        }
        let harmless = matches!(node.sort, Sort::Composite | Sort::Reader);
        let worth_it = work == Work::NotStarted || unclear && harmless;
        if worth_it && node.retries < self.max_retries && again < node.deadline {
            node.retries += 1;
            node.superseded_may_run |= unclear && node.sort != Sort::Composite;
            node.job = Some(Job::Dispatch);
            self.logged += 1;
        } else {
            self.end(at, Failed, unclear, now);
        }
    }

    /// The type of readers allows three executions.
    fn repeats(&self, at: usize, again: Timestamp) -> bool {
        let node = &self.nodes[at];
        node.sort == Sort::Reader
            && node.job == Some(Job::Deadline)
            && node.repeated.0 < 2
            && node.retries < self.max_retries
            && again < node.deadline
    }

    pub(super) fn lost(&mut self, at: usize, now: Timestamp) {
        let node = &self.nodes[at];
        let harmless = matches!(node.sort, Sort::Composite | Sort::Reader);
        let again = harmless && node.retries < self.max_retries;
        let waits = node.sort == Sort::Composite && (node.children > 0 || !again);
        if node.job != Some(Job::Deadline) {
            return;
        }
        if waits {
            return self.watch(at, now);
        }
        self.logged += 1;
        if again {
            let node = &mut self.nodes[at];
            node.retries += 1;
            node.job = Some(Job::Dispatch);
            node.superseded_may_run |= node.sort == Sort::Reader;
        } else {
            self.end(at, Failed, true, now);
        }
    }
}
