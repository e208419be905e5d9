//! The registered workers, in the table `owners`: registration, heartbeats, and the
//! claims and duties of the others, which are free then. (`hands` has their fence rows:
//! see `writer`.)

use std::sync::Arc;

use async_trait::async_trait;

use super::{PostgresJournal, link::Live, news::NewsWire, signs};
use crate::{
    journal::{
        Duty, Heard, Heartbeats, JournalError, News, SignOfLife, Workers,
        rows::{integer, natural},
    },
    record::NodePath,
    time::Timestamp,
    types::{RunId, WorkerId},
};

/// Claims that are freed in one transaction.
const FREED_AT_ONCE: i64 = 500;

const REGISTER: &str = "INSERT INTO owners (owner_id, beats) VALUES ($1, 0) ON CONFLICT DO NOTHING";

const GET_HANDS: &str = "INSERT INTO hands (owner_id, hand, transactions)
    SELECT $1, hand, 0 FROM generate_series(0, $2 - 1) AS hand ON CONFLICT DO NOTHING";

const BEAT: &str = "UPDATE owners SET beats = beats + 1 WHERE owner_id = $1";

/// Not the time at which the transaction began.
const TIME: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";

const HEARTBEATS: &str = "SELECT owner_id, beats FROM owners ORDER BY owner_id";

const STRIKE: &str = "DELETE FROM owners WHERE owner_id = $1 AND beats = $2";

const UNREGISTER: &str = "DELETE FROM owners WHERE owner_id = $1";

/// Waits for a transaction of the worker that has begun, and is before all later ones.
const LOSE_HANDS: &str = "DELETE FROM hands WHERE owner_id = $1";

/// Who has claims and is not registered. Names are never used again, so what this finds
/// stays true.
const DEAD: &str = "SELECT DISTINCT wake_owner FROM node_runs
    WHERE wake_owner IS NOT NULL AND NOT EXISTS (SELECT 1 FROM owners WHERE owner_id = wake_owner)";

/// The job stays what it was: a deadline that is due before its time tells the next
/// worker that the attempt was lost.
const FREE: &str = "UPDATE node_runs SET wake_owner = NULL, wake_at = $2, version = version + 1
    WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE wake_owner = ANY($1)
                          ORDER BY node_run_id LIMIT $3 FOR UPDATE SKIP LOCKED)";

const IS_REGISTERED: &str = "SELECT EXISTS (SELECT 1 FROM owners WHERE owner_id = $1)";

/// Who has a duty, if that worker is alive.
const HOLDER: &str = "SELECT owner_id FROM duties JOIN owners USING (owner_id) WHERE duty = $1";

const MAKE_DUTY: &str = "INSERT INTO duties (duty, owner_id) VALUES ($1, '') ON CONFLICT DO NOTHING";

/// Those that want a duty at the same time come one after the other, and each sees what
/// the one before has done: so this is a statement of its own.
const LOCK_DUTY: &str = "SELECT 1 FROM duties WHERE duty = $1 FOR UPDATE";

const TAKE_DUTY: &str = "UPDATE duties SET owner_id = $2
    WHERE duty = $1 AND NOT EXISTS (SELECT 1 FROM owners WHERE owners.owner_id = duties.owner_id)";

const LOSE_DUTIES: &str = "UPDATE duties SET owner_id = '' WHERE owner_id = $1";

#[async_trait]
impl Workers for PostgresJournal {
    fn is_shared(&self) -> bool {
        true
    }

    async fn register_worker(&self, worker: &WorkerId) -> Result<(), JournalError> {
        let (id, hands) = (worker.to_string(), i32::from(self.writers.hands()));
        self.writers
            .own(move |live| {
                let id = id.clone();
                async move {
                    live.execute(REGISTER, &[&id]).await?;
                    live.execute(GET_HANDS, &[&id, &hands]).await?;
                    Ok(())
                }
            })
            .await?;
        let _known = self.registered.set(worker.clone());
        if self.wants_news {
            self.news.get_or_init(|| NewsWire::start(&self.connector, worker));
        }
        Ok(())
    }

    /// On a connection of its own: a load of commits does not delay it.
    async fn beat(&self, worker: &WorkerId) -> Result<(), JournalError> {
        let live = self.beats.live().await?;
        match live.execute(BEAT, &[&worker.as_str()]).await? {
            0 => Err(JournalError::Fenced),
            _ => Ok(()),
        }
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeats>, JournalError> {
        let live = self.beats.live().await?;
        let beats = all(Arc::clone(&live)).await?;
        // Others may have created or deleted a subscription.
        self.wanted.look(&live).await?;
        if let Some(news) = self.news.get() {
            news.registered(beats.len());
        }
        Ok(beats)
    }

    async fn declare_dead(&self, seen: &Heartbeats) -> Result<bool, JournalError> {
        let (worker, count) = (seen.worker.to_string(), integer(seen.count)?);
        self.writers
            .own(move |live| {
                let worker = worker.clone();
                async move {
                    if live.execute(STRIKE, &[&worker, &count]).await? == 0 {
                        return Ok(false);
                    }
                    live.execute(LOSE_HANDS, &[&worker]).await?;
                    Ok(true)
                }
            })
            .await
    }

    async fn reap_dead_workers(&self, now: Timestamp) -> Result<u64, JournalError> {
        let dead = self
            .readers
            .read(|live| async move {
                let rows = live.query(DEAD, &[]).await?;
                Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?)
            })
            .await?;
        if dead.is_empty() { Ok(0) } else { self.free(dead, now).await }
    }

    fn announce(&self, news: News) {
        if let Some(wire) = self.news.get() {
            wire.announce(news);
        }
    }

    async fn announced(&self) -> News {
        match self.news.get() {
            Some(wire) => wire.announced().await,
            None => std::future::pending().await,
        }
    }

    async fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> Result<bool, JournalError> {
        let (duty, id) = (duty.as_str(), worker.to_string());
        let me = &id;
        let is_held_by_another = |live: Arc<Live>| async move {
            if !live.query_one(IS_REGISTERED, &[me]).await?.try_get(0)? {
                return Err(JournalError::Fenced);
            }
            let holder = live.query_opt(HOLDER, &[&duty]).await?;
            let holder: Option<String> = holder.map(|row| row.try_get(0)).transpose()?;
            Ok(holder.is_some_and(|holder| holder != *me))
        };
        if self.readers.read(is_held_by_another).await? {
            return Ok(false);
        }
        self.writers
            .own(move |live| {
                let id = id.clone();
                async move {
                    if !live.query_one(IS_REGISTERED, &[&id]).await?.try_get(0)? {
                        return Err(JournalError::Fenced.into());
                    }
                    live.execute(MAKE_DUTY, &[&duty]).await?;
                    live.query(LOCK_DUTY, &[&duty]).await?;
                    live.execute(TAKE_DUTY, &[&duty, &id]).await?;
                    let holder = live.query_opt(HOLDER, &[&duty]).await?;
                    Ok(holder.map(|row| row.try_get::<_, String>(0)).transpose()?.as_deref() == Some(&id))
                }
            })
            .await
    }

    async fn time(&self) -> Result<Option<Timestamp>, JournalError> {
        let live = self.beats.live().await?;
        let micros: i64 = live.query_one(TIME, &[]).await?.try_get(0)?;
        Ok(Some(Timestamp::from_micros(micros)))
    }

    async fn note_signs(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        known_to: Timestamp,
        forget_before: Timestamp,
    ) -> Result<(), JournalError> {
        self.signs_note(worker, signs, (known_to, forget_before)).await
    }

    async fn last_heard(&self, run: &RunId, path: &NodePath) -> Result<Heard, JournalError> {
        self.readers.read(|live| signs::last(live, run, path)).await
    }

    async fn release_claims(&self, worker: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
        self.free(vec![worker.to_string()], now).await?;
        let worker = worker.to_string();
        self.writers
            .own(move |live| {
                let worker = worker.clone();
                async move {
                    live.execute(UNREGISTER, &[&worker]).await?;
                    live.execute(LOSE_DUTIES, &[&worker]).await?;
                    live.execute(LOSE_HANDS, &[&worker]).await?;
                    Ok(())
                }
            })
            .await
    }
}

/// The registered workers.
pub(super) async fn all(live: Arc<Live>) -> Result<Vec<Heartbeats>, JournalError> {
    let rows = live.query(HEARTBEATS, &[]).await?;
    rows.iter()
        .map(|row| {
            let worker = WorkerId::new(row.try_get::<_, String>(0)?);
            Ok(Heartbeats { worker, count: natural(row.try_get(1)?)? })
        })
        .collect()
}

impl PostgresJournal {
    /// Frees the claims of these workers, a bounded number in one transaction.
    async fn free(&self, workers: Vec<String>, now: Timestamp) -> Result<u64, JournalError> {
        let mut freed = 0;
        loop {
            let (workers, now) = (workers.clone(), now.as_micros());
            let some = self
                .writers
                .own(move |live| {
                    let workers = workers.clone();
                    async move { Ok(live.execute(FREE, &[&workers, &now, &FREED_AT_ONCE]).await?) }
                })
                .await?;
            freed += some;
            if some < FREED_AT_ONCE.unsigned_abs() {
                return Ok(freed);
            }
        }
    }
}
