//! When the executors of composites were last heard from.
//!
//! | a sign of life of | |
//! |---|---|
//! | any request with an assignment token | the executor of that composite |
//! | creating children under a composite, evaluating it | its executor |
//! | whatever names one of its children: asking for it, following its events, … | its executor |
//! | the end of a child | its executor, which has waited for that |
//!
//! Asking for the composite itself is none: those do it who wait for it, its
//! parent's executor and whoever looks on. That a request came from somebody
//! else than the executor cannot always be told, so it counts: to wait in vain
//! is better than to end what is at work. For the executors further above, the
//! composite below them that lives is reason enough to be waited for.
//!
//! Kept in memory only: polls are many, and none of them may cost a commit. A
//! new process has heard everybody when it started. What the record says of it
//! is when to look here again (`engine::silence_check`).
//!
//! Bounded: nodes that live, and holders of tokens, make entries; a node that is
//! over only renews those of its ancestors. What is older than the silence that
//! is allowed says no more than that nothing is there, and is dropped.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    auth::{Principal, Scope},
    record::{ChangeSet, NodePath, NodeRecord},
    time::Timestamp,
    types::RunId,
};

/// Beyond so many entries, old ones are looked for.
const TIDY_FROM: usize = 1024;

pub(super) struct Liveness {
    /// None: nobody asks.
    silence: Option<Duration>,
    /// Of this process.
    start: Timestamp,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// By run, and by the composite's place in it.
    runs: HashMap<RunId, HashMap<String, Timestamp>>,
    entries: usize,
    /// At so many entries old ones are dropped.
    tidy_at: usize,
}

impl Liveness {
    pub(super) fn new(silence: Option<Duration>, start: Timestamp) -> Self {
        Self { silence, start, last: Mutex::default() }
    }

    /// A caller has named this node.
    pub(super) fn node_used(&self, caller: &Principal, node: &NodeRecord, to: Use, now: Timestamp) {
        let Some(silence) = self.silence else { return };
        let run = &node.node.run_id;
        let mut last = self.last();
        if node.is_terminal() {
            last.renew(run, &node.path, now);
        } else {
            match to {
                Use::Read => {}
                Use::Report => last.note(run, node.path.as_str(), now),
            }
            if let Some(parent) = node.path.above().next() {
                last.note(run, parent, now);
            }
        }
        last.note_bearer(caller, now);
        last.tidy(silence, now);
    }

    /// A caller has asked for something that is no node.
    pub(super) fn run_used(&self, caller: &Principal, now: Timestamp) {
        let Some(silence) = self.silence else { return };
        let Scope::Subtree(_) = caller.scope() else { return };
        let mut last = self.last();
        last.note_bearer(caller, now);
        last.tidy(silence, now);
    }

    /// What a commit has ended. Of nodes that end together the highest is the
    /// one that somebody has waited for.
    pub(super) fn ended(&self, run: &RunId, end: &Ended, now: Timestamp) {
        let Some(silence) = self.silence else { return };
        match end {
            Ended::Nothing => {}
            Ended::Run => self.last().forget(run),
            Ended::Node { parent } => {
                let mut last = self.last();
                last.note(run, parent, now);
                last.tidy(silence, now);
            }
        }
    }

    /// The last sign of life of the executor of the composite at this place.
    pub(super) fn last_contact(&self, run: &RunId, path: &NodePath) -> Timestamp {
        let last = self.last();
        let noted = last.runs.get(run).and_then(|places| places.get(path.as_str())).copied();
        noted.map_or(self.start, |noted| noted.max(self.start))
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a node is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    /// As its executor does.
    Report,
}

/// What a change ends.
pub(super) enum Ended {
    Nothing,
    /// All of it.
    Run,
    /// A node below this place.
    Node {
        parent: String,
    },
}

impl Ended {
    /// What is canceled with a node is below it and comes as heads, of which
    /// none is looked at: only with its run does a node end as a head by itself.
    pub(super) fn by(changes: &ChangeSet) -> Self {
        if changes.run.as_ref().is_some_and(|run| run.is_terminal()) {
            return Self::Run;
        }
        let has_ended = |node: &&NodeRecord| node.is_terminal() && node.node.ended_at == Some(changes.at);
        let highest = changes.nodes.iter().rev().find(has_ended);
        match highest.and_then(|node| node.path.above().next()) {
            Some(parent) => Self::Node { parent: parent.to_owned() },
            None => Self::Nothing,
        }
    }
}

impl Last {
    fn note(&mut self, run: &RunId, place: &str, now: Timestamp) {
        if !self.runs.contains_key(run) {
            self.runs.insert(run.clone(), HashMap::new());
        }
        let Some(places) = self.runs.get_mut(run) else { return };
        match places.get_mut(place) {
            Some(noted) => *noted = now,
            None => {
                places.insert(place.to_owned(), now);
                self.entries += 1;
            }
        }
    }

    /// Of a node that is over, and of its ancestors, those that are here.
    fn renew(&mut self, run: &RunId, path: &NodePath, now: Timestamp) {
        let Some(places) = self.runs.get_mut(run) else { return };
        for place in path.above() {
            if let Some(noted) = places.get_mut(place) {
                *noted = now;
            }
        }
    }

    fn note_bearer(&mut self, caller: &Principal, now: Timestamp) {
        match caller.scope() {
            Scope::Everything => {}
            Scope::Subtree(own) => self.note(&own.run, own.path.as_str(), now),
        }
    }

    fn forget(&mut self, run: &RunId) {
        let gone = self.runs.remove(run).map_or(0, |places| places.len());
        self.entries -= gone;
    }

    /// Drops what is old, each time there are twice as many as were left.
    fn tidy(&mut self, silence: Duration, now: Timestamp) {
        if self.entries < self.tidy_at.max(TIDY_FROM) {
            return;
        }
        self.runs.retain(|_, places| {
            places.retain(|_, noted| now.since(*noted) < silence);
            !places.is_empty()
        });
        self.entries = self.runs.values().map(HashMap::len).sum();
        self.tidy_at = self.entries * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::conformance::{at, node},
        types::NodeRunState,
    };

    const SILENCE: Duration = Duration::from_secs(10);
    const START: i64 = 1_000_000;

    fn heard() -> Liveness {
        Liveness::new(Some(SILENCE), at(START))
    }

    fn user() -> Principal {
        Principal::for_test("somebody")
    }

    fn last(heard: &Liveness, path: &str) -> i64 {
        heard.last_contact(&"r".into(), &NodePath::from(path.to_owned())).as_micros()
    }

    fn over(path: &str) -> NodeRecord {
        let mut node = node("r", path);
        node.node.state = NodeRunState::Succeeded;
        node
    }

    #[test]
    fn a_node_that_lives_is_a_sign_of_its_parent_and_of_it_if_something_is_done_to_it() {
        for (to, own) in [(Use::Read, 0), (Use::Report, 5)] {
            let heard = heard();
            heard.node_used(&user(), &node("r", "1.4.9"), to, at(START + 5));
            let places = ["1", "1.4", "1.4.9", "1.40"].map(|path| last(&heard, path) - START);
            assert_eq!(places, [0, 5, own, 0]);
        }
    }

    #[test]
    fn a_node_that_is_over_renews_what_is_known_of_its_ancestors_and_adds_nothing() {
        let heard = heard();
        heard.node_used(&user(), &over("1.4.9"), Use::Report, at(START + 5));
        assert_eq!(heard.last().entries, 0);
        heard.node_used(&user(), &node("r", "1"), Use::Report, at(START + 6));
        heard.node_used(&user(), &over("1.4.9"), Use::Read, at(START + 7));
        assert_eq!([last(&heard, "1"), last(&heard, "1.4")], [START + 7, START]);
    }

    #[test]
    fn the_end_of_a_node_is_a_sign_of_its_parent_and_that_of_the_run_forgets_all() {
        let heard = heard();
        let run = "r".into();
        heard.ended(&run, &Ended::Node { parent: "1.4".into() }, at(START + 5));
        assert_eq!(last(&heard, "1.4"), START + 5);
        heard.ended(&run, &Ended::Run, at(START + 6));
        assert_eq!((last(&heard, "1.4"), heard.last().entries), (START, 0));
    }

    #[test]
    fn what_is_old_is_dropped_and_says_the_same_as_before() {
        let heard = heard();
        for number in 0..TIDY_FROM - 1 {
            heard.node_used(&user(), &node("r", &format!("9{number}")), Use::Report, at(START + 1));
        }
        let later = at(START) + SILENCE + SILENCE;
        heard.node_used(&user(), &node("r", "1"), Use::Report, later);
        let last = heard.last();
        assert_eq!((last.entries, last.runs.values().map(HashMap::len).sum::<usize>()), (1, 1));
    }

    #[test]
    fn where_nobody_asks_nothing_is_kept() {
        let heard = Liveness::new(None, at(START));
        heard.node_used(&user(), &node("r", "1.4"), Use::Report, at(START + 5));
        heard.ended(&"r".into(), &Ended::Node { parent: "1".into() }, at(START + 5));
        assert_eq!(heard.last().entries, 0);
    }
}
