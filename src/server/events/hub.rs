//! Announces new events to followers. Has an entry only for runs that are
//! followed.

use std::{collections::HashMap, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use crate::{journal::Reached, record::RunRecord, types::RunId};

/// What was last announced about each run that is followed.
#[derive(Default)]
pub struct EventHub {
    followed: Mutex<HashMap<RunId, watch::Sender<Announced>>>,
}

/// What was announced about a run.
#[derive(Clone, Copy, Debug, Default)]
struct Announced {
    newest: Newest,
    /// How often NodeRuns have ended: the end of a composite makes no event.
    ends: u64,
}

/// What is known to be durable of a run's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newest {
    /// `seq` of the newest event; 0: nothing was announced yet.
    pub seq: u64,
    /// Whether the run had ended by then.
    pub ended: bool,
}

impl From<&RunRecord> for Newest {
    fn from(run: &RunRecord) -> Self {
        Self { seq: run.last_seq, ended: run.is_terminal() }
    }
}

impl From<&Reached> for Newest {
    fn from(reached: &Reached) -> Self {
        Self { seq: reached.last_seq, ended: reached.ended }
    }
}

/// A follower's subscription, which ends when it is dropped.
pub(super) struct Subscription {
    hub: Arc<EventHub>,
    run: RunId,
    announced: Option<watch::Receiver<Announced>>,
}

impl EventHub {
    /// Announces that the events of a run are durable up to the newest.
    pub fn publish(&self, run: &RunId, newest: Newest) {
        if let Some(sender) = self.followed().get(run) {
            // Commits of one run may be announced out of order.
            sender.send_if_modified(|known| {
                let is_newer = newest.seq > known.newest.seq;
                if is_newer {
                    known.newest = newest;
                }
                is_newer
            });
        }
    }

    /// Announces that NodeRuns of a run have ended, or may have.
    pub fn nodes_ended(&self, run: &RunId) {
        if let Some(sender) = self.followed().get(run) {
            sender.send_modify(|known| known.ends += 1);
        }
    }

    /// Whether a run is followed.
    pub fn is_followed(&self, run: &RunId) -> bool {
        self.followed().contains_key(run)
    }

    /// The runs that are followed, in the order of their ids.
    pub fn followed_runs(&self) -> Vec<RunId> {
        let mut runs: Vec<_> = self.followed().keys().cloned().collect();
        runs.sort();
        runs
    }

    /// The number of runs that are followed.
    pub fn len(&self) -> usize {
        self.followed().len()
    }

    pub fn is_empty(&self) -> bool {
        self.followed().is_empty()
    }

    pub(super) fn subscribe(self: &Arc<Self>, run: &RunId) -> Subscription {
        let mut followed = self.followed();
        let sender = followed.entry(run.clone()).or_insert_with(|| watch::Sender::new(Announced::default()));
        Subscription { hub: Arc::clone(self), run: run.clone(), announced: Some(sender.subscribe()) }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<Announced>>> {
        self.followed.lock()
    }
}

impl Subscription {
    /// What was announced last.
    pub(super) fn newest(&self) -> Newest {
        self.announced().newest
    }

    /// How often the end of NodeRuns was announced.
    pub(super) fn ends(&self) -> u64 {
        self.announced().ends
    }

    fn announced(&self) -> Announced {
        self.announced.as_ref().map(|announced| *announced.borrow()).unwrap_or_default()
    }

    /// Returns when an event beyond `seq` is known to exist, or when more ends than
    /// `ends` were announced.
    pub(super) async fn wait_beyond(&mut self, seq: u64, ends: u64) {
        if let Some(announced) = &mut self.announced {
            // The sender lives as long as the subscription.
            let _ = announced.wait_for(|known| known.newest.seq > seq || known.ends > ends).await;
        }
    }

    /// Returns when the end of the run is announced.
    pub(super) async fn wait_for_end(&mut self) {
        if let Some(announced) = &mut self.announced {
            let _ = announced.wait_for(|known| known.newest.ended).await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut followed = self.hub.followed();
        self.announced = None;
        if followed.get(&self.run).is_some_and(|announced| announced.receiver_count() == 0) {
            followed.remove(&self.run);
        }
    }
}
