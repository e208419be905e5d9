//! The last sign of life of each composite's executor.
//!
//! | request or event | a sign of life of |
//! |---|---|
//! | any request with an assignment token | the executor of that composite |
//! | creating children under a composite, evaluating it | its executor |
//! | any request that names one of its children: reading it, following its events, … | its executor |
//! | the end of a child | its executor, which has waited for that |
//!
//! Reading the composite itself is no sign: its parent's executor and observers do
//! that. Whether a request came from the executor cannot always be decided; in
//! doubt it counts, because waiting in vain is better than ending work that is
//! under way. Executors further above need no sign: a live composite below them is
//! reason enough to wait.
//!
//! Signs are kept in memory: polls are frequent, and none of them may cost a
//! commit. A new process takes its own start as a sign of life of every executor.
//! The record only has the time of the next check (`engine::silence_check`).
//!
//! Where several processes hear them, each notes in the journal what it has heard, a few
//! times in the silence limit:
//!
//! ```text
//!   heard by A ─▶ noted by A: signs, "nothing else until then" ─▶ judged by B: the last sign of all,
//!                                                                 plus what some have not noted yet
//! ```
//!
//! While the journal is out, nothing is heard by anyone: that time does not count. What a
//! process has not noted yet counts as if it had heard something, and so does what
//! one that has crashed may not have noted.
//!
//! Bounded: live nodes and holders of assignment tokens make entries; a node that
//! has ended only renews those of its ancestors. An entry older than the silence
//! limit equals no entry, and is dropped.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::{
    auth::{Principal, Scope},
    journal::{Heard, SignOfLife},
    record::{ChangeSet, NodePath, NodeRecord},
    time::Timestamp,
    types::RunId,
};
use parking_lot::{Mutex, MutexGuard};

/// The number of entries from which old ones are dropped.
const TIDY_FROM: usize = 1024;

/// The last signs of life, by run and composite.
pub(super) struct Liveness {
    /// The silence limit. `None`: there are no checks.
    silence: Option<Duration>,
    /// When this process started, or was last unable to hear anything for a while.
    start: AtomicI64,
    /// Whether other processes hear signs, too.
    is_shared: bool,
    last: Mutex<Last>,
}

/// What this process has heard since it last noted something.
pub(super) struct Unnoted {
    pub(super) signs: Vec<SignOfLife>,
    pub(super) known_to: Timestamp,
    pub(super) forget_before: Timestamp,
}

#[derive(Default)]
struct Last {
    /// By run, and by the composite's path.
    runs: HashMap<RunId, HashMap<String, Timestamp>>,
    entries: usize,
    /// The number of entries at which old ones are dropped next.
    tidy_at: usize,
    /// What has to be noted in the journal, if other processes hear signs, too.
    unnoted: Option<BTreeMap<(RunId, String), Timestamp>>,
    /// When that was last begun, and when it last succeeded.
    noted_at: Option<Timestamp>,
    noted_last: Option<Timestamp>,
}

impl Liveness {
    pub(super) fn new(silence: Option<Duration>, start: Timestamp, is_shared: bool) -> Self {
        let last = Last { unnoted: is_shared.then(BTreeMap::new), ..Last::default() };
        Self { silence, start: AtomicI64::new(start.as_micros()), is_shared, last: Mutex::new(last) }
    }

    /// What is to be noted in the journal now, if it is time.
    pub(super) fn unnoted(&self, now: Timestamp) -> Option<Unnoted> {
        let silence = self.silence.filter(|_| self.is_shared)?;
        let mut last = self.last();
        if last.noted_at.is_some_and(|noted| now.since(noted) < note_every(silence)) {
            return None;
        }
        // While the journal is out, no process hears anything, because each request fails.
        if last.noted_last.is_some_and(|noted| now.since(noted) >= note_every(silence) * 3) {
            self.start.store(now.as_micros(), Ordering::SeqCst);
        }
        last.noted_at = Some(now);
        let unnoted = last.unnoted.as_mut().map(std::mem::take).unwrap_or_default();
        let signs =
            unnoted.into_iter().map(|((run_id, path), at)| SignOfLife { run_id, path: path.into(), at });
        Some(Unnoted { signs: signs.collect(), known_to: now, forget_before: now - silence * 2 })
    }

    /// That is noted.
    pub(super) fn noted(&self, known_to: Timestamp) {
        self.last().noted_last = Some(known_to);
    }

    /// That could not be noted: it is to be, next time.
    pub(super) fn not_noted(&self, signs: Vec<SignOfLife>) {
        let mut last = self.last();
        last.noted_at = None;
        for SignOfLife { run_id, path, at } in signs {
            last.is_unnoted(&run_id, path.as_str(), at);
        }
    }

    /// When the executor of a composite may have been heard last, by any process: this
    /// one has heard it at `here`.
    pub(super) fn last_contact_of_all(&self, here: Timestamp, heard: Heard, now: Timestamp) -> Timestamp {
        let (Some(known_to), Some(silence)) = (heard.known_to, self.silence) else { return now };
        let last = heard.last.map_or(here, |last| last.max(here));
        (last + now.since(known_to) + note_every(silence)).min(now.max(here))
    }

    /// Notes a request that names this node.
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

    /// Notes a request that reads a run.
    pub(super) fn run_used(&self, caller: &Principal, now: Timestamp) {
        let Some(silence) = self.silence else { return };
        let Scope::Subtree(_) = caller.scope() else { return };
        let mut last = self.last();
        last.note_bearer(caller, now);
        last.tidy(silence, now);
    }

    /// Notes what a commit has ended. Of nodes that end together, an executor has
    /// waited for the topmost.
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

    /// The last sign of life of the executor of the composite at this path.
    pub(super) fn last_contact(&self, run: &RunId, path: &NodePath) -> Timestamp {
        let last = self.last();
        let noted = last.runs.get(run).and_then(|places| places.get(path.as_str())).copied();
        let start = Timestamp::from_micros(self.start.load(Ordering::SeqCst));
        noted.map_or(start, |noted| noted.max(start))
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock()
    }
}

/// How a request uses a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Read,
    /// In the way that its executor does.
    Report,
}

/// What a change set ends.
pub(super) enum Ended {
    Nothing,
    /// The whole run.
    Run,
    /// A node below the composite at this path.
    Node {
        parent: String,
    },
}

impl Ended {
    /// Finds the topmost node that ends. Nodes that are canceled with it are heads,
    /// which need not be checked: a node ends by its head alone only with its run.
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
    fn is_unnoted(&mut self, run: &RunId, place: &str, now: Timestamp) {
        if let Some(unnoted) = &mut self.unnoted {
            let at = unnoted.entry((run.clone(), place.to_owned())).or_insert(now);
            *at = now.max(*at);
        }
    }

    fn note(&mut self, run: &RunId, place: &str, now: Timestamp) {
        self.is_unnoted(run, place, now);
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

    /// Renews the entries that the ancestors of an ended node have.
    fn renew(&mut self, run: &RunId, path: &NodePath, now: Timestamp) {
        let has = |places: &HashMap<_, _>, place: &str| places.contains_key(place);
        for place in path.above() {
            if self.runs.get(run).is_some_and(|places| has(places, place)) {
                self.note(run, place, now);
            }
        }
    }

    fn note_bearer(&mut self, caller: &Principal, now: Timestamp) {
        match caller.scope() {
            Scope::Identity | Scope::Anonymous => {}
            Scope::Subtree(own) => self.note(&own.run, own.path.as_str(), now),
        }
    }

    fn forget(&mut self, run: &RunId) {
        let gone = self.runs.remove(run).map_or(0, |places| places.len());
        self.entries -= gone;
    }

    /// Drops old entries each time their number has doubled.
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

/// The time between two notes in the journal.
fn note_every(silence: Duration) -> Duration {
    (silence / 8).clamp(Duration::from_millis(250), Duration::from_secs(5))
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

    fn liveness() -> Liveness {
        Liveness::new(Some(SILENCE), at(START), false)
    }

    fn user() -> Principal {
        Principal::for_test("user")
    }

    fn last(liveness: &Liveness, path: &str) -> i64 {
        liveness.last_contact(&"r".into(), &NodePath::from(path.to_owned())).as_micros()
    }

    fn over(path: &str) -> NodeRecord {
        let mut node = node("r", path);
        node.node.state = NodeRunState::Succeeded;
        node
    }

    #[test]
    fn live_node_is_a_sign_of_its_parent_and_if_reported_of_itself() {
        for (to, own) in [(Use::Read, 0), (Use::Report, 5)] {
            let liveness = liveness();
            liveness.node_used(&user(), &node("r", "1.4.9"), to, at(START + 5));
            let places = ["1", "1.4", "1.4.9", "1.40"].map(|path| last(&liveness, path) - START);
            assert_eq!(places, [0, 5, own, 0]);
        }
    }

    #[test]
    fn ended_node_only_renews_entries_of_its_ancestors() {
        let liveness = liveness();
        liveness.node_used(&user(), &over("1.4.9"), Use::Report, at(START + 5));
        assert_eq!(liveness.last().entries, 0);
        liveness.node_used(&user(), &node("r", "1"), Use::Report, at(START + 6));
        liveness.node_used(&user(), &over("1.4.9"), Use::Read, at(START + 7));
        assert_eq!([last(&liveness, "1"), last(&liveness, "1.4")], [START + 7, START]);
    }

    #[test]
    fn end_of_a_node_is_a_sign_and_end_of_the_run_forgets_all() {
        let liveness = liveness();
        let run = "r".into();
        liveness.ended(&run, &Ended::Node { parent: "1.4".into() }, at(START + 5));
        assert_eq!(last(&liveness, "1.4"), START + 5);
        liveness.ended(&run, &Ended::Run, at(START + 6));
        assert_eq!((last(&liveness, "1.4"), liveness.last().entries), (START, 0));
    }

    #[test]
    fn old_entries_are_dropped() {
        let liveness = liveness();
        for number in 0..TIDY_FROM - 1 {
            liveness.node_used(&user(), &node("r", &format!("9{number}")), Use::Report, at(START + 1));
        }
        let later = at(START) + SILENCE + SILENCE;
        liveness.node_used(&user(), &node("r", "1"), Use::Report, later);
        let last = liveness.last();
        assert_eq!((last.entries, last.runs.values().map(HashMap::len).sum::<usize>()), (1, 1));
    }

    #[test]
    fn signs_that_some_process_may_have_heard_count() {
        let liveness = Liveness::new(Some(SILENCE), at(START), true);
        let (now, after) = (at(START) + SILENCE * 3, |seconds| at(START) + Duration::from_secs(seconds));
        let every = note_every(SILENCE);
        let contact = |last: Option<u64>, known_to: Option<u64>| {
            let heard = Heard { last: last.map(after), known_to: known_to.map(after) };
            liveness.last_contact_of_all(after(2), heard, now)
        };
        assert_eq!(contact(Some(1), None), now, "one has not said anything");
        assert_eq!(contact(None, Some(30)), after(2) + every, "nothing but this process has heard it");
        assert_eq!(contact(Some(5), Some(30)), after(5) + every);
        assert_eq!(contact(Some(5), Some(26)), after(9) + every, "one has not noted four seconds");
        assert_eq!(contact(Some(5), Some(1)), now);
    }

    #[test]
    fn signs_of_life_are_noted_once_in_a_while() {
        let liveness = Liveness::new(Some(SILENCE), at(START), true);
        let sign = |path: &str, at| SignOfLife { run_id: "r".into(), path: path.to_owned().into(), at };
        let unnoted = |at| liveness.unnoted(at).map(|unnoted| (unnoted.signs, unnoted.known_to));
        liveness.node_used(&user(), &node("r", "1.4"), Use::Report, at(START + 5));
        let first = vec![sign("1", at(START + 5)), sign("1.4", at(START + 5))];
        assert_eq!(unnoted(at(START + 6)), Some((first.clone(), at(START + 6))));
        assert_eq!(unnoted(at(START + 7)), None, "it is not time");
        liveness.not_noted(first.clone());
        assert_eq!(unnoted(at(START + 8)), Some((first, at(START + 8))));
        let later = at(START + 8) + note_every(SILENCE);
        assert_eq!(unnoted(later), Some((Vec::new(), later)));
    }

    #[test]
    fn without_checks_nothing_is_kept() {
        let liveness = Liveness::new(None, at(START), false);
        liveness.node_used(&user(), &node("r", "1.4"), Use::Report, at(START + 5));
        liveness.ended(&"r".into(), &Ended::Node { parent: "1".into() }, at(START + 5));
        assert_eq!(liveness.last().entries, 0);
    }
}
