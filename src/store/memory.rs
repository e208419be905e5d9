//! A store in memory, for tests: plain data behind a lock, no threads, nothing
//! left to chance.
//!
//! Clones share the data. So it survives whoever used it, as a file survives a
//! process, and a test can look at all of it at any time.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Counts, EventPage, OutboxEntry, OutboxId, OutboxPage, Owed, PageLimit, Parked, Recipient, Store,
    StoreError, Want,
};
use crate::{
    ids::{NodeRunId, OwnerId, RunId},
    model::RunEvent,
    record::{AttemptRecord, ChangeSet, EventRecord, Job, NodePath, NodeRecord, RunRecord},
    time::Timestamp,
};

/// The store. Without more it keeps no outbox.
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Data>>);

#[derive(Default)]
struct Data {
    runs: BTreeMap<RunId, RunRow>,
    nodes: BTreeMap<NodeRunId, NodeRecord>,
    events: BTreeMap<(RunId, u64), EventRecord>,
    attempts: BTreeMap<(NodeRunId, u32), AttemptRecord>,
    /// Until when each lives.
    owners: BTreeMap<OwnerId, Timestamp>,
    /// The run as a whole, where there is no node.
    parked: BTreeMap<(RunId, Option<NodeRunId>), Parked>,
    secrets: BTreeMap<String, Vec<u8>>,
    outbox: Option<Outbox>,
}

struct RunRow {
    record: RunRecord,
    /// When it is overdue: at its deadline, or later if it is parked.
    due: Option<Timestamp>,
    /// When the newest commit of it was decided.
    changed_at: Timestamp,
}

/// Entries, with when they were decided.
#[derive(Default)]
struct Outbox {
    entries: BTreeMap<OutboxId, (OutboxEntry, Timestamp)>,
    newest: OutboxId,
}

impl MemoryStore {
    /// One that keeps an outbox.
    pub fn with_outbox() -> Self {
        Self(Arc::new(Mutex::new(Data { outbox: Some(Outbox::default()), ..Data::default() })))
    }

    /// All runs there are.
    pub fn runs(&self) -> Vec<RunRecord> {
        self.data().runs.values().map(|row| row.record.clone()).collect()
    }

    /// The NodeRuns of a run.
    pub fn nodes(&self, run: &RunId) -> Vec<NodeRecord> {
        self.data().nodes.values().filter(|node| node.node.run_id == *run).cloned().collect()
    }

    /// The events of a run, in the order of `seq`.
    pub fn events(&self, run: &RunId) -> Vec<RunEvent> {
        self.data().events_of(run, 0).map(|(_, record)| record.event.clone()).collect()
    }

    /// The attempts of a run.
    pub fn attempts(&self, run: &RunId) -> Vec<AttemptRecord> {
        self.data().attempts.values().filter(|attempt| attempt.run_id == *run).cloned().collect()
    }

    /// Opened anew, as a file is by the next process: who had it before is
    /// dead, and its wake-ups are free for whoever asks next.
    pub fn reopen(&self) -> Self {
        self.data().owners.clear();
        self.clone()
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Data {
    fn events_of(&self, run: &RunId, after: u64) -> impl Iterator<Item = (u64, &EventRecord)> {
        let from = (run.clone(), after.saturating_add(1));
        self.events
            .range(from..)
            .take_while(move |((of, _), _)| of == run)
            // The highest number has none after it.
            .filter(move |((_, seq), _)| *seq > after)
            .map(|((_, seq), record)| (*seq, record))
    }

    /// Whether all of it can be written.
    fn check(&self, change: &ChangeSet) -> Result<(), StoreError> {
        if let Some(run) = &change.run {
            expect(self.runs.get(run.id()).map_or(0, |stored| stored.record.version), run.version)?;
            if !run.is_terminal() && run.deadline.is_none() {
                return Err(StoreError::Failed(format!("live run {} without a deadline", run.id())));
            }
        }
        for node in &change.nodes {
            let stored = self.nodes.get(node.id());
            expect(stored.map_or(0, |stored| stored.version), node.version)?;
            // The run and the place in it never change.
            let place = |node: &NodeRecord| (node.node.run_id.clone(), node.path.clone());
            if stored.is_some_and(|stored| place(stored) != place(node)) {
                return Err(StoreError::Conflict);
            }
            if !node.is_terminal() && node.wake.is_none() {
                return Err(StoreError::Failed(format!("live node {} without a wake-up", node.id())));
            }
        }
        let taken = |event: &EventRecord| self.events.contains_key(&event_key(event));
        if change.events.iter().any(taken) { Err(StoreError::Conflict) } else { Ok(()) }
    }

    fn write(&mut self, change: ChangeSet) -> Option<OutboxId> {
        let last = self.outbox.as_mut().and_then(|outbox| outbox.owe(&change));
        let ChangeSet { run_id, at, run, nodes, events, attempts, adopted: _ } = change;
        // What is written could be decided: it is no longer parked, unless it
        // still waits for that time.
        let whole = run.iter().map(|_| (None, None));
        let written =
            nodes.iter().map(|node| (Some(node.id().clone()), node.wake.as_ref().map(|wake| wake.at)));
        for (node, waits_until) in whole.chain(written) {
            let key = (run_id.clone(), node);
            if self.parked.get(&key).is_some_and(|item| waits_until != Some(item.until)) {
                self.parked.remove(&key);
            }
        }
        self.runs.extend(run.map(|run| {
            let record = RunRecord { version: run.version + 1, ..run };
            (record.id().clone(), RunRow { due: record.deadline, changed_at: at, record })
        }));
        self.nodes.extend(
            nodes
                .into_iter()
                .map(|node| (node.id().clone(), NodeRecord { version: node.version + 1, ..node })),
        );
        self.events.extend(events.into_iter().map(|event| (event_key(&event), event)));
        self.attempts.extend(
            attempts.into_iter().map(|attempt| ((attempt.node_run_id.clone(), attempt.attempt), attempt)),
        );
        last
    }

    /// Over, owed to nobody, and nothing left to do about it.
    fn is_done_with(&self, run: &RunRecord) -> bool {
        let of_run = |entry: &OutboxEntry| entry.run_id == *run.id();
        let owed = self
            .outbox
            .as_ref()
            .is_some_and(|outbox| outbox.entries.values().any(|(entry, _)| of_run(entry)));
        let waits = |node: &NodeRecord| node.node.run_id == *run.id() && node.wake.is_some();
        run.is_terminal() && !owed && !self.nodes.values().any(waits)
    }

    /// Takes wake-ups away from the owners for whom this holds, and makes them
    /// due.
    fn free(&mut self, now: Timestamp, gone: impl Fn(&OwnerId) -> bool) -> u64 {
        let mut freed = 0;
        for node in self.nodes.values_mut() {
            let Some(wake) = &mut node.wake else { continue };
            if wake.owner.as_ref().is_some_and(&gone) {
                (wake.owner, wake.at) = (None, now);
                node.version += 1;
                freed += 1;
            }
        }
        freed
    }

    /// Wake-ups that nobody owns, by when they are due.
    fn unowned(&self) -> Vec<(Timestamp, NodeRunId)> {
        let free = self.nodes.values().filter_map(|node| {
            let wake = node.wake.as_ref().filter(|wake| wake.owner.is_none())?;
            Some((wake.at, node.id().clone()))
        });
        let mut free: Vec<_> = free.collect();
        free.sort();
        free
    }
}

impl Outbox {
    /// Notes what of this the JARVIS stores have to hear: the last entry made.
    fn owe(&mut self, change: &ChangeSet) -> Option<OutboxId> {
        let run = change.run.iter().filter(|_| !change.adopted.has_run());
        let run = run.map(|run| Owed::Run { new: run.version == 0 });
        let nodes = change.nodes.iter().filter(|node| !change.adopted.has_node(node.id()));
        let nodes =
            nodes.map(|node| Owed::NodeRun { node_run_id: node.id().clone(), new: node.version == 0 });
        let seqs = || {
            let seqs = change.events.iter().map(|record| record.event.seq);
            seqs.filter(|seq| !change.adopted.has_event(*seq))
        };
        let events = seqs().min().zip(seqs().max()).map(|(first, last)| Owed::Events { first, last });
        let mut last = None;
        for what in run.chain(nodes).chain(events) {
            self.newest = OutboxId(self.newest.0 + 1);
            let entry = OutboxEntry { id: self.newest, run_id: change.run_id.clone(), what };
            self.entries.insert(self.newest, (entry, change.at));
            last = Some(self.newest);
        }
        last
    }
}

fn event_key(record: &EventRecord) -> (RunId, u64) {
    (record.event.run_id.clone(), record.event.seq)
}

/// A row is written over the version that was read, or not at all.
fn expect(stored: u64, read: u64) -> Result<(), StoreError> {
    if stored == read { Ok(()) } else { Err(StoreError::Conflict) }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, StoreError> {
        let mut data = self.data();
        data.check(&change)?;
        Ok(data.write(change))
    }

    async fn run_fetch(&self, run: &RunId) -> Result<Option<RunRecord>, StoreError> {
        Ok(self.data().runs.get(run).map(|row| row.record.clone()))
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, StoreError> {
        Ok(self.data().nodes.get(node).cloned())
    }

    async fn nodes_live(&self, run: &RunId, under: Option<&NodePath>) -> Result<Vec<NodeRecord>, StoreError> {
        let below = |path: &NodePath| under.is_none_or(|under| under != path && under.contains(path));
        let mut live = self.nodes(run);
        live.retain(|node| !node.is_terminal() && below(&node.path));
        live.sort_by_key(|node| Reverse(node.path.depth()));
        Ok(live)
    }

    async fn events_after(
        &self,
        run: &RunId,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Result<EventPage, StoreError> {
        let data = self.data();
        let mut page = EventPage { scanned_to: after, ..EventPage::default() };
        let mut bytes = 0;
        for (seq, record) in data.events_of(run, after) {
            if page.events.len() >= limit.entries.max(1) as usize {
                return Ok(page);
            }
            let wanted =
                within.is_none_or(|within| record.path.as_ref().is_some_and(|path| within.contains(path)));
            if wanted {
                let text = serde_json::to_string(&record.event)
                    .map_err(|error| StoreError::Damaged(format!("{run}, event {seq}: {error}")))?;
                if !page.events.is_empty() && bytes + text.len() > limit.bytes {
                    return Ok(page);
                }
                bytes += text.len();
                page.events.push((seq, text));
            }
            page.scanned_to = seq;
        }
        page.at_end = true;
        Ok(page)
    }

    async fn attempts_list(&self, node: &NodeRunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let data = self.data();
        Ok(data.attempts.values().filter(|attempt| attempt.node_run_id == *node).cloned().collect())
    }

    async fn wakes_claim(
        &self,
        owner: &OwnerId,
        now: Timestamp,
        want: &Want,
    ) -> Result<Vec<NodeRecord>, StoreError> {
        let mut data = self.data();
        let mut claimed = Vec::new();
        for (_, id) in data.unowned().into_iter().filter(|(at, _)| *at <= now) {
            if claimed.len() == want.limit as usize {
                break;
            }
            let Some(node) = data.nodes.get_mut(&id) else { continue };
            if !want.is_of(node) {
                continue;
            }
            if let Some(wake) = &mut node.wake {
                wake.owner = Some(owner.clone());
                node.version += 1;
                claimed.push(node.clone());
            }
        }
        Ok(claimed)
    }

    async fn wakes_owned(&self, owner: &OwnerId, since: Timestamp) -> Result<Vec<NodeRecord>, StoreError> {
        let due = |node: &NodeRecord| {
            node.wake.as_ref().is_some_and(|wake| wake.owner.as_ref() == Some(owner) && wake.at <= since)
        };
        Ok(self.data().nodes.values().filter(|node| due(node)).cloned().collect())
    }

    async fn wake_next(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.data().unowned().into_iter().map(|(at, _)| at).find(|at| *at > after))
    }

    async fn runs_overdue(&self, now: Timestamp, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let data = self.data();
        let overdue = data.runs.values().filter_map(|RunRow { record, due, .. }| {
            let due = due.filter(|due| !record.is_terminal() && *due <= now)?;
            Some((due, record.id().clone()))
        });
        let mut overdue: Vec<_> = overdue.collect();
        overdue.sort();
        Ok(overdue.into_iter().map(|(_, run)| run).take(limit as usize).collect())
    }

    async fn owner_renew(&self, owner: &OwnerId, until: Timestamp) -> Result<(), StoreError> {
        self.data().owners.insert(owner.clone(), until);
        Ok(())
    }

    async fn park(&self, item: Parked) -> Result<(), StoreError> {
        let mut data = self.data();
        let moved = match &item.node_run_id {
            Some(node) => match data.nodes.get_mut(node) {
                Some(node) if node.node.run_id == item.run_id => {
                    let tells = Job::CancelExecutor.as_str() == item.job;
                    node.wake.as_mut().filter(|wake| (wake.job == Job::CancelExecutor) == tells).map(|wake| {
                        (wake.owner, wake.at, wake.tries) = (None, item.until, wake.tries + 1);
                        node.version += 1;
                    })
                }
                Some(_) | None => None,
            },
            None => data.runs.get_mut(&item.run_id).filter(|row| !row.record.is_terminal()).map(|row| {
                row.due = Some(item.until);
                row.record.version += 1;
            }),
        };
        if moved.is_some() {
            let key = (item.run_id.clone(), item.node_run_id.clone());
            let since = data.parked.get(&key).map_or(item.since, |first| first.since);
            data.parked.insert(key, Parked { since, ..item });
        }
        Ok(())
    }

    async fn parked_list(&self, limit: u32) -> Result<Vec<Parked>, StoreError> {
        let mut parked: Vec<_> = self.data().parked.values().cloned().collect();
        parked.sort_by_key(|item| item.since);
        parked.truncate(limit as usize);
        Ok(parked)
    }

    async fn owners_expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut data = self.data();
        data.owners.retain(|_, until| *until >= now);
        let alive = data.owners.clone();
        Ok(data.free(now, |owner| !alive.contains_key(owner)))
    }

    async fn owner_release(&self, owner: &OwnerId, now: Timestamp) -> Result<(), StoreError> {
        let mut data = self.data();
        data.owners.remove(owner);
        data.free(now, |other| other == owner);
        Ok(())
    }

    async fn time_newest(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.data().runs.values().map(|row| row.changed_at).max())
    }

    async fn runs_prune(&self, finished_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut data = self.data();
        let mut gone: Vec<_> = data
            .runs
            .values()
            .filter(|row| row.changed_at < finished_before && data.is_done_with(&row.record))
            .map(|row| (row.changed_at, row.record.id().clone()))
            .collect();
        gone.sort();
        gone.truncate(limit as usize);
        for (_, run) in &gone {
            data.runs.remove(run);
            data.nodes.retain(|_, node| node.node.run_id != *run);
            data.events.retain(|(of, _), _| of != run);
            data.attempts.retain(|_, attempt| attempt.run_id != *run);
            data.parked.retain(|(of, _), _| of != run);
        }
        Ok(gone.len() as u64)
    }

    async fn counts(&self, now: Timestamp) -> Result<Counts, StoreError> {
        let data = self.data();
        let outbox = data.outbox.as_ref().map(|outbox| &outbox.entries);
        Ok(Counts {
            runs_live: data.runs.values().filter(|row| !row.record.is_terminal()).count() as u64,
            nodes_live: data.nodes.values().filter(|node| !node.is_terminal()).count() as u64,
            wakes_due: data.unowned().iter().filter(|(at, _)| *at <= now).count() as u64,
            outbox: outbox.map_or(0, BTreeMap::len) as u64,
            outbox_oldest: outbox.and_then(|entries| Some(entries.first_key_value()?.1.1)),
            parked: data.parked.len() as u64,
            // Such a change is refused.
            without_wake_up: 0,
        })
    }

    async fn secret(&self, name: &str, fresh: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        Ok(self.data().secrets.entry(name.into()).or_insert(fresh).clone())
    }

    async fn outbox_after(
        &self,
        recipient: Recipient,
        after: OutboxId,
        limit: u32,
    ) -> Result<OutboxPage, StoreError> {
        let data = self.data();
        let Some(outbox) = &data.outbox else { return Ok(OutboxPage::default()) };
        let theirs = outbox.entries.values().map(|(entry, _)| entry);
        let theirs = theirs.filter(|entry| entry.id > after && entry.what.recipient() == recipient);
        let entries: Vec<_> = theirs.take(limit as usize).cloned().collect();
        let full = entries.len() as u64 >= u64::from(limit);
        let scanned_to = match entries.last() {
            Some(last) if full => last.id,
            Some(_) | None => outbox.newest.max(after),
        };
        Ok(OutboxPage { entries, scanned_to })
    }

    async fn outbox_ack(&self, ids: &[OutboxId]) -> Result<(), StoreError> {
        if let Some(outbox) = &mut self.data().outbox {
            outbox.entries.retain(|id, _| !ids.contains(id));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::Specimen;

    crate::conformance_tests!(async || {
        let store = MemoryStore::with_outbox();
        let survivor = store.clone();
        let reopen = Box::new(move || -> futures::future::BoxFuture<'static, Arc<dyn Store>> {
            Box::pin(async move { Arc::new(survivor.reopen()) as Arc<dyn Store> })
        });
        Specimen { reopen: Some(reopen), ..Specimen::new(store) }
    });
}
