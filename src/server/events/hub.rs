//! Tells followers that a run has new events. Holds an entry only for runs that
//! somebody follows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::types::RunId;

/// The newest committed `seq` of each run that is followed.
#[derive(Default)]
pub struct EventHub {
    followed: Mutex<HashMap<RunId, watch::Sender<u64>>>,
}

/// One follower's place; gives itself back when dropped.
pub(super) struct Subscription {
    hub: Arc<EventHub>,
    run: RunId,
    newest: Option<watch::Receiver<u64>>,
}

impl EventHub {
    /// Events up to `seq` are durable.
    pub fn publish(&self, run: &RunId, seq: u64) {
        if let Some(newest) = self.followed().get(run) {
            // Commits of one run may be announced out of order.
            newest.send_if_modified(|known| {
                let newer = seq > *known;
                *known = seq.max(*known);
                newer
            });
        }
    }

    /// The runs that somebody follows.
    pub fn followed_runs(&self) -> Vec<RunId> {
        self.followed().keys().cloned().collect()
    }

    /// How many runs are followed.
    pub fn len(&self) -> usize {
        self.followed().len()
    }

    pub fn is_empty(&self) -> bool {
        self.followed().is_empty()
    }

    pub(super) fn subscribe(self: &Arc<Self>, run: &RunId) -> Subscription {
        let newest = self.followed().entry(run.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Subscription { hub: Arc::clone(self), run: run.clone(), newest: Some(newest) }
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<RunId, watch::Sender<u64>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// Returns when an event beyond `seq` is known to exist.
    pub(super) async fn wait_beyond(&mut self, seq: u64) {
        if let Some(newest) = &mut self.newest {
            // The sender lives as long as the subscription.
            let _ = newest.wait_for(|known| *known > seq).await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut followed = self.hub.followed();
        self.newest = None;
        if followed.get(&self.run).is_some_and(|newest| newest.receiver_count() == 0) {
            followed.remove(&self.run);
        }
    }
}
