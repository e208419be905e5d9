//! Asks one replica, again and again, for what any of them has answered: what exists
//! still exists, and what is over is still over in the same state. It also reads the
//! replica's metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use scripted_executor::Chance;

use crate::{api::Api, history::History, signal::Signals};

/// The time between two questions.
const LOOK: Duration = Duration::from_millis(60);
/// After this number of questions the metrics are read.
const METRICS: u64 = 15;
/// The metrics that are added up.
const FAMILIES: [&str; 2] = ["arp_journal_commits_total", "arp_attempts_logged_total"];

pub(super) struct Watch {
    pub(super) number: usize,
    pub(super) api: Arc<Api>,
    pub(super) operators: Arc<Api>,
    pub(super) history: Arc<History>,
    pub(super) signals: Arc<Signals>,
    pub(super) seen: Arc<Seen>,
    pub(super) seed: u64,
}

/// What all watches have seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) asked: AtomicU64,
    metrics: Mutex<BTreeMap<(usize, String), Sum>>,
}

/// The sum of a counter that begins again with each process.
#[derive(Clone, Copy, Default)]
struct Sum {
    newest: f64,
    before: f64,
}

impl Seen {
    /// The sums over all replicas.
    pub(super) fn metrics(&self) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for ((_, name), sum) in &*self.metrics.lock().unwrap_or_else(PoisonError::into_inner) {
            *sums.entry(name.clone()).or_default() += sum.before + sum.newest;
        }
        sums
    }

    fn note(&self, replica: usize, text: &str) {
        let mut metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in text.lines().filter_map(counter) {
            let sum = metrics.entry((replica, name)).or_default();
            if value < sum.newest {
                sum.before += sum.newest;
            }
            sum.newest = value;
        }
    }
}

/// A line of the metrics, with the value of its label as the name.
fn counter(line: &str) -> Option<(String, f64)> {
    let family = FAMILIES.iter().find(|family| line.starts_with(**family))?;
    let (label, value) = line.rsplit_once(' ')?;
    let label = label.split('"').nth(1)?;
    let what = if family.contains("commits") { "commits" } else { "attempts" };
    Some((format!("{what} {label}"), value.parse().ok()?))
}

impl Watch {
    /// Starts to ask, until `quiet` is raised.
    pub(super) fn begin(self) -> JoinHandle<()> {
        thread::spawn(move || {
            let mut chance = Chance::of_party(self.seed, &format!("watch {}", self.number));
            let mut count = 0;
            while !self.signals.quiet.raised_within(LOOK) {
                self.ask_again(&mut chance);
                count += 1;
                if count % METRICS == 0 {
                    self.read_metrics();
                }
            }
            self.read_metrics();
        })
    }

    fn read_metrics(&self) {
        let answer = self.operators.ask("/metrics", None, &[200]).filter(|answer| answer.status == 200);
        if let Some(text) = answer.as_ref().and_then(|answer| answer.body.as_str()) {
            self.seen.note(self.number, text);
        }
    }

    fn ask_again(&self, chance: &mut Chance) {
        let Some((id, path)) = self.known(chance) else { return };
        let end = self.history.end_of(&id);
        if let Some(answer) = self.api.ask(&path, None, &[200]).filter(|answer| answer.status == 200) {
            self.seen.asked.fetch_add(1, Ordering::Relaxed);
            self.history.seen_again(&id, end.as_deref(), &answer.body);
        }
    }

    /// Something that was answered, and its path.
    fn known(&self, chance: &mut Chance) -> Option<(String, String)> {
        let answers = self.history.answers();
        let runs = answers.runs.iter().filter_map(|(run, root)| root.as_ref().map(|_| run));
        let all: [Vec<&String>; 3] =
            [runs.collect(), answers.children.keys().collect(), answers.ends.keys().collect()];
        let some: Vec<Vec<&String>> = all.into_iter().filter(|ids| !ids.is_empty()).collect();
        if some.is_empty() {
            return None;
        }
        let which = usize::try_from(chance.below(some.len() as u64)).unwrap_or_default();
        let ids = some[which].as_slice();
        let id = (*chance.pick(ids)).clone();
        let kind = if answers.runs.contains_key(&id) { "runs" } else { "node-runs" };
        let path = format!("/v1/{kind}/{id}");
        Some((id, path))
    }
}
