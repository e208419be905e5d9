//! The journal as one process has it: it takes time, fails, and dies with its
//! process, before a write or after it. What is behind it stays.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jarvis_run_coordinator::{
    ids::{NodeRunId, OwnerId, RunId},
    record::{AttemptRecord, ChangeSet, NodePath, NodeRecord, RunRecord},
    store::{
        Counts, EventPage, OutboxId, OutboxPage, PageLimit, Parked, Recipient, Store, StoreError, Want,
        memory::MemoryStore,
    },
    time::{Clock, Timestamp},
};

use crate::{
    process::Life,
    scenario::{Sabotage, WriteFault},
    world::{World, at_once},
};

pub struct SimJournal {
    world: Arc<World>,
    life: Arc<Life>,
    inner: MemoryStore,
}

impl SimJournal {
    pub fn open(world: &Arc<World>, life: &Arc<Life>) -> Self {
        Self { world: Arc::clone(world), life: Arc::clone(life), inner: world.journal.reopen() }
    }

    async fn read<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        self.life.gate().await;
        if self.world.one_in(4) {
            self.world.lag().await;
        }
        self.life.gate().await;
        if self.world.read_fails() {
            self.world.tell("a read fails");
            self.world.count("read failed");
            return Err(StoreError::Failed("injected: the read failed".into()));
        }
        work()
    }

    /// Does a write, with whatever is due to happen to it.
    async fn write<T: Send>(
        &self,
        what: &str,
        work: impl Fn() -> Result<T, StoreError> + Send + Sync,
    ) -> Result<T, StoreError> {
        let world = &self.world;
        self.life.gate().await;
        world.lag().await;
        self.life.gate().await;
        let fault = world.write_fault();
        if let Some(fault) = fault {
            world.tell(format_args!("{fault:?} at {what}"));
        }
        match fault {
            Some(WriteFault::CrashBefore) => {
                world.count("crash before a write");
                self.life.end();
                self.life.gate().await;
            }
            Some(WriteFault::FailBefore) => {
                world.count("write failed before");
                return Err(StoreError::Failed("injected: nothing was written".into()));
            }
            Some(WriteFault::Slow(time)) => {
                world.count("slow write");
                world.clock.sleep(time).await;
                self.life.gate().await;
            }
            Some(WriteFault::Outage(time)) => {
                world.count("journal down");
                world.journal_down(time);
            }
            Some(WriteFault::CrashAfter | WriteFault::FailAfter | WriteFault::Twice) | None => {}
        }
        if world.is_journal_down() {
            return Err(StoreError::Failed("injected: the journal is down".into()));
        }
        let done = work();
        match fault {
            Some(WriteFault::CrashAfter) => {
                world.count("crash after a write");
                self.life.end();
                self.life.gate().await;
            }
            Some(WriteFault::FailAfter) => {
                world.count("write failed after");
                return Err(StoreError::Failed("injected: it was written".into()));
            }
            Some(WriteFault::Twice) => {
                world.count("write repeated");
                let _again = work();
            }
            Some(
                WriteFault::CrashBefore
                | WriteFault::FailBefore
                | WriteFault::Slow(_)
                | WriteFault::Outage(_),
            )
            | None => {}
        }
        world.lag().await;
        self.life.gate().await;
        done
    }

    fn write_change(&self, change: &ChangeSet) -> Result<Option<OutboxId>, StoreError> {
        let world = &self.world;
        if world.is_sabotaged(Sabotage::AnswersBeforeItCommits) && world.one_in(20) {
            return Ok(None);
        }
        let mut change = change.clone();
        if world.is_sabotaged(Sabotage::LosesEvents) && world.one_in(20) {
            change.events.pop();
        }
        if world.is_sabotaged(Sabotage::OversleepsWakes) && world.one_in(10) {
            let wakes = change.nodes.iter_mut().filter_map(|node| node.wake.as_mut());
            wakes.for_each(|wake| wake.at = wake.at + Duration::from_secs(86_400));
        }
        let (run, told) = (change.run_id.clone(), tell(&change));
        let done = at_once(self.inner.commit(change));
        world.tell(format_args!("commit {told}: {}", if done.is_ok() { "done" } else { "refused" }));
        if done == Err(StoreError::Conflict) {
            world.count("conflict");
        }
        world.look(&run);
        done
    }
}

/// A change in one line.
fn tell(change: &ChangeSet) -> String {
    use std::fmt::Write;
    let mut line = format!("of {}", change.run_id);
    for node in &change.nodes {
        let wake = node.wake.as_ref().map_or("-", |wake| wake.job.as_str());
        let _ = write!(line, ", {} {} attempt {} wake {wake}", node.path, node.node.state, node.attempt);
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

#[async_trait]
impl Store for SimJournal {
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, StoreError> {
        let (change, what) = (&change, tell(&change));
        self.write(&what, || self.write_change(change)).await
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        self.read(|| at_once(self.inner.run_fetch(run))).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, StoreError> {
        let damaged = self.world.is_damaged(node);
        self.read(|| match damaged {
            true => Err(StoreError::Damaged(format!("injected: {node}"))),
            false => at_once(self.inner.node_fetch(node)),
        })
        .await
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeRecord>, StoreError> {
        self.read(|| at_once(self.inner.nodes_live(run, under))).await
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, StoreError> {
        self.read(|| at_once(self.inner.events_after(run, after, within, limit))).await
    }

    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, StoreError> {
        self.read(|| at_once(self.inner.attempts_list(node))).await
    }

    async fn wakes_claim(
        &self,
        owner: &OwnerId,
        now: Timestamp,
        want: &Want,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        if self.inner.counts(now).await?.wakes_due == 0 {
            // As in the real one: where nothing is due, nothing is written.
            return self.read(|| Ok(Vec::new())).await;
        }
        let claim = || at_once(self.inner.wakes_claim(owner, now, want));
        let claimed = self.write("a claim", claim).await?;
        self.world.tell(format_args!("claimed {}", claimed.len()));
        Ok(claimed)
    }

    async fn wakes_owned(&self, owner: &OwnerId, since: Timestamp) -> Result<Vec<NodeRecord>, StoreError> {
        self.read(|| at_once(self.inner.wakes_owned(owner, since))).await
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read(|| at_once(self.inner.wake_next(after))).await
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, StoreError> {
        self.read(|| at_once(self.inner.runs_overdue(now, limit))).await
    }

    async fn owner_renew(&self, owner: &OwnerId, until: Timestamp) -> Result<(), StoreError> {
        self.write("a sign of life", || at_once(self.inner.owner_renew(owner, until))).await
    }

    async fn park(&self, item: Parked) -> Result<(), StoreError> {
        self.world.count("parked");
        self.world.tell(format_args!("park {item:?}"));
        let item = &item;
        self.write("parking", || at_once(self.inner.park(item.clone()))).await
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, StoreError> {
        self.read(|| at_once(self.inner.parked_list(limit))).await
    }

    async fn owners_expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        if self.world.is_sabotaged(Sabotage::LeavesTheDeadTheirWork) {
            return Ok(0);
        }
        let expired = self.write("an end of owners", || at_once(self.inner.owners_expire(now))).await?;
        if expired > 0 {
            self.world.tell(format_args!("took {expired} wake-ups from the dead"));
        }
        Ok(expired)
    }

    async fn owner_release(&self, owner: &OwnerId, now: Timestamp) -> Result<(), StoreError> {
        self.write("a farewell", || at_once(self.inner.owner_release(owner, now))).await
    }

    async fn time_newest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(|| at_once(self.inner.time_newest())).await
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write("pruning", || at_once(self.inner.runs_prune(finished_before, limit))).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        self.read(|| at_once(self.inner.counts(now))).await
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        self.write("a secret", || at_once(self.inner.secret(name, fresh.clone()))).await
    }

    async fn outbox_after(
        &self,
        recipient: Recipient,
        after: OutboxId,
        limit: u32,
    ) -> Result<OutboxPage, StoreError> {
        self.read(|| at_once(self.inner.outbox_after(recipient, after, limit))).await
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), StoreError> {
        self.write("an acknowledgement", || at_once(self.inner.outbox_ack(ids))).await
    }
}
