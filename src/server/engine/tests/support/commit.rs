//! The world as a journal: what a change set must keep to.

use std::time::Duration;

use super::World;
use crate::{
    engine::{Decision, Rejection, lifecycle},
    record::{ChangeSet, NodeHead, NodeRecord, RunRecord},
    time::Timestamp,
    types::NodeRun,
};

impl World {
    pub(super) fn tick(&mut self) -> Timestamp {
        self.wait(Duration::from_millis(1))
    }

    pub(crate) fn wait(&mut self, time: Duration) -> Timestamp {
        self.now = self.now + time;
        self.now
    }

    pub(super) fn commit<T>(&mut self, decision: Result<Decision<T>, Rejection>) -> Result<T, Rejection> {
        decision.map(|decision| self.apply(decision))
    }

    pub(crate) fn apply<T>(&mut self, decision: Decision<T>) -> T {
        if let Some(changes) = decision.changes {
            self.store(*changes);
        }
        decision.answer
    }

    /// Writes an adopted run, which brings events with numbers of their own.
    pub(crate) fn import(&mut self, changes: ChangeSet) {
        let ChangeSet {
            run_id,
            at: _,
            run,
            held: _,
            nodes,
            heads,
            events,
            attempts,
            audit,
            outbox: _,
            notices: _,
            pauses: _,
        } = changes;
        assert!(attempts.is_empty() && heads.is_empty() && audit.is_empty());
        let run = run.expect("a whole run");
        self.runs.insert(run_id, RunRecord { version: 1, ..run });
        self.nodes
            .extend(nodes.into_iter().map(|node| (node.id().clone(), NodeRecord { version: 1, ..node })));
        self.events.extend(events);
    }

    /// Writes all of a change set, after the checks that a store makes, and
    /// those of the lifecycle tables.
    pub(super) fn store(&mut self, changes: ChangeSet) {
        let ChangeSet {
            run_id,
            at: _,
            run,
            held,
            mut nodes,
            heads,
            events,
            attempts,
            audit,
            outbox: _,
            notices: _,
            pauses: _,
        } = changes;
        // Of a head counts what a cascade changes; the rest is as it was read.
        for head in heads {
            let mut node = self.nodes[&head.node_run_id].clone();
            assert!(nodes.iter().all(|other| other.id() != node.id()), "a node changes once in a decision");
            let NodeHead { version, state, ended_at, ref wake, .. } = head;
            (node.node.state, node.node.ended_at, node.wake) = (state, ended_at, wake.clone());
            node.version = version;
            assert_eq!(node.head(), head, "nothing else of a head changes");
            nodes.push(node);
        }
        let seq_before = self.runs.get(&run_id).map_or(0, |run| run.last_seq);
        for (event, seq) in events.iter().zip(seq_before + 1..) {
            assert_eq!(
                (&event.event.run_id, event.event.seq),
                (&run_id, seq),
                "events are numbered without gaps"
            );
            assert_eq!(event.event.time, self.now);
        }
        match &run {
            Some(run) => {
                assert_eq!(run.last_seq, seq_before + events.len() as u64, "the run counts its events")
            }
            None => assert!(events.is_empty(), "events change the run"),
        }
        if let Some(mut run) = run {
            assert_eq!(*run.id(), run_id);
            let stored = self.runs.get(&run_id);
            assert_eq!(run.version, stored.map_or(0, |stored| stored.version), "the version that was read");
            if let Some(stored) = stored {
                assert!(lifecycle::run_may(stored.run.state, run.run.state), "{stored:?} -> {run:?}");
                assert!(!stored.is_terminal() || stored.run == run.run, "an ended run never changes");
            }
            let was_held = stored.is_some_and(|stored| stored.hold.is_some());
            let changes = run.version > 0 && run.hold.is_some() != was_held;
            assert_eq!(held, changes.then_some(run.hold.is_some()), "lists of runs know of a hold");
            run.version += 1;
            self.runs.insert(run_id.clone(), run);
        }
        for mut node in nodes {
            assert_eq!(node.node.run_id, run_id);
            let stored = self.nodes.get(node.id());
            assert_eq!(node.version, stored.map_or(0, |stored| stored.version), "the version that was read");
            if let Some(stored) = stored {
                let (from, to) = (&stored.node, &node.node);
                assert!(lifecycle::node_run_may(from.state, to.state), "{from:?} -> {to:?}");
                let end = |node: &NodeRun| {
                    let mut extensions = node.extensions.clone();
                    // It may still be evaluated, which changes these.
                    for key in [
                        "jarvis.recovery_actions_dropped",
                        "jarvis.evaluations",
                        "jarvis.evaluations_dropped",
                    ] {
                        extensions.iter_mut().for_each(|map| map.remove(key));
                    }
                    (
                        node.state,
                        node.ended_at,
                        node.outputs.clone(),
                        extensions.filter(|map| !map.is_empty()),
                    )
                };
                assert!(!stored.is_terminal() || end(from) == end(to), "an ended node never changes");
            }
            node.version += 1;
            self.nodes.insert(node.id().clone(), node);
        }
        self.events.extend(events);
        self.attempts.extend(attempts);
        self.audit.extend(audit);
    }
}
