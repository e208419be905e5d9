//! Says that this worker lives, and finds out which of the others do not, if several
//! processes share the journal.
//!
//! ```text
//!   each second: beat ──ok──▶ the lease is extended, and so are the duties that it holds or can take
//!                  └─ fenced ─▶ fatal: the process ends, and the next one is another worker
//!                hear what time it is by the journal
//!                look at the counts of all ──▶ one stood still for 8 s of unbroken looking
//!                                                └─▶ declared dead, its claims are due at once
//! ```
//!
//! **Invariants.** No clock of another process is asked. After an outage of the journal,
//! every count is watched from the beginning: the living beat first, so that an outage
//! declares none of them dead. It beats until the claims are released, not only until
//! the server begins to stop.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use slog::{crit, info, warn};

use super::{Dispatcher, Parts, streak::Streak};
use crate::{
    coordinator::CoordinatorError,
    journal::{Heartbeats, JournalError, follow_time},
    time::{Timestamp, within},
    types::WorkerId,
};

/// The time between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);
/// How long a heartbeat, or a look at those of the others, may take.
const BEAT_WITHIN: Duration = Duration::from_millis(1_500);
/// A worker whose count stands still for that long is dead.
const STILL: Duration = Duration::from_secs(8);
/// For this long after the beginning of its last heartbeat a worker begins work.
const TRUSTED: Duration = Duration::from_secs(6);
/// Looks that are further apart have a gap between them.
const GAP: Duration = Duration::from_secs(4);

/// The counts of the others, and since when each stands still.
#[derive(Default)]
struct Detector {
    seen: BTreeMap<WorkerId, (u64, Timestamp)>,
    looked_at: Option<Timestamp>,
}

impl Detector {
    /// Takes a look at the counts. Returns the workers that are dead.
    fn look(&mut self, now: Timestamp, me: &WorkerId, counts: Vec<Heartbeats>) -> Vec<Heartbeats> {
        let is_gap = |last: Timestamp| now.since(last) > GAP;
        if self.looked_at.replace(now).is_none_or(is_gap) {
            self.seen.clear();
        }
        let before = std::mem::take(&mut self.seen);
        let mut dead = Vec::new();
        for beats in counts.into_iter().filter(|beats| beats.worker != *me) {
            let known = before.get(&beats.worker).filter(|(count, _)| *count == beats.count);
            let since = known.map_or(now, |(_, since)| *since);
            self.seen.insert(beats.worker.clone(), (beats.count, since));
            if now.since(since) >= STILL {
                dead.push(beats);
            }
        }
        dead
    }

    /// A look has failed: what stood still may have moved.
    fn failed(&mut self) {
        self.seen.clear();
    }
}

impl Dispatcher {
    pub(super) async fn heartbeat(self: Arc<Self>) {
        let Parts { clock, log, .. } = &self.parts;
        let (mut detector, mut streak) = (Detector::default(), Streak::default());
        loop {
            match within(&**clock, BEAT_WITHIN, self.beat(&mut detector)).await {
                Some(Ok(())) => {
                    if let Some(failures) = streak.succeeded() {
                        info!(log, "heartbeats succeed again"; "failures" => failures);
                    }
                }
                // The claims are being released, and it need not beat any more.
                Some(Err(JournalError::Fenced)) if self.parts.beats.stopping().is_cancelled() => return,
                Some(Err(JournalError::Fenced)) => {
                    crit!(log, "another process has declared this worker dead: ending";
                        "worker" => %self.parts.queue.worker());
                    let reason = "another process has declared this worker dead".to_owned();
                    return self.parts.tasks.fatal().declare(reason);
                }
                Some(Err(failure)) => {
                    detector.failed();
                    if streak.failed() {
                        warn!(log, "heartbeat failed"; "error" => %failure);
                    }
                }
                None => {
                    detector.failed();
                    if streak.failed() {
                        warn!(log, "heartbeat took too long"; "seconds" => BEAT_WITHIN.as_secs_f64());
                    }
                }
            }
            clock.sleep(BEAT).await;
        }
    }

    async fn beat(&self, detector: &mut Detector) -> Result<(), JournalError> {
        let Parts { journal, clock, queue, log, .. } = &self.parts;
        let began = clock.now();
        journal.beat(queue.worker()).await?;
        queue.lease().extend(began + TRUSTED);
        self.parts.duties.renew(&**journal, queue.worker(), began + TRUSTED).await?;
        if let Some(followed) = &self.parts.followed {
            follow_time(&**journal, followed).await?;
        }
        let counts = journal.heartbeats().await?;
        for dead in detector.look(clock.now(), queue.worker(), counts) {
            if journal.declare_dead(&dead).await? {
                let claims = journal.reap_dead_workers(clock.now()).await?;
                info!(log, "declared a worker dead: it has not beaten"; "worker" => %dead.worker,
                    "claims" => claims);
                queue.notify_unclaimed();
            }
        }
        Ok(())
    }

    /// Fails if this worker has not heard lately that it lives: others may have taken
    /// over what it would begin.
    pub(super) fn may_begin(&self) -> Result<(), CoordinatorError> {
        if self.parts.queue.lease().holds(self.parts.clock.now()) {
            return Ok(());
        }
        let why = "this worker has not heard for six seconds that it lives";
        Err(JournalError::Failed(why.to_owned()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    /// The seconds at which others are found dead, of looks at these counts.
    fn found(looks: impl IntoIterator<Item = (i64, Vec<(&'static str, u64)>)>) -> Vec<(i64, String)> {
        let (mut detector, me) = (Detector::default(), WorkerId::new("me"));
        let mut found = Vec::new();
        for (second, counts) in looks {
            let counts = counts.into_iter().map(|(name, count)| Heartbeats { worker: name.into(), count });
            let dead = detector.look(at(second), &me, counts.collect());
            found.extend(dead.into_iter().map(|beats| (second, beats.worker.to_string())));
        }
        found
    }

    #[test]
    fn worker_is_dead_when_its_count_stands_still_for_eight_seconds() {
        let stopped_at_3 = |second: i64| (second, vec![("me", 0), ("other", second.min(3) as u64)]);
        assert_eq!(found((0..=11).map(stopped_at_3)), [(11, "other".to_owned())]);
        assert_eq!(found((0..=100).map(|second| (second, vec![("other", second as u64)]))), []);
        // One's own count is not judged, whatever it is.
        assert_eq!(found((0..=100).map(|second| (second, vec![("me", 7)]))), []);
    }

    #[test]
    fn slow_worker_lives_as_long_as_it_beats_at_all() {
        assert_eq!(found((0..=100).map(|second| (second, vec![("slow", (second / 7) as u64)]))), []);
    }

    #[test]
    fn gap_between_looks_begins_the_watch_again() {
        let still = |second| (second, vec![("other", 3)]);
        assert_eq!(found([0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17].map(still)), []);
        assert_eq!(found((0..=7).chain(12..=20).map(still)), [(20, "other".to_owned())]);
        let mut detector = Detector::default();
        let me = WorkerId::new("me");
        let counts = || vec![Heartbeats { worker: "other".into(), count: 3 }];
        for second in 0..8 {
            assert_eq!(detector.look(at(second), &me, counts()), []);
        }
        detector.failed();
        assert_eq!(detector.look(at(8), &me, counts()), [], "after a failed look it is watched again");
    }
}
