//! The registered workers, in the table `owners`: registration, heartbeats, and the
//! claims of the others, which are freed. (`hands` has their fence rows: see `writer`.)

use async_trait::async_trait;

use super::PostgresJournal;
use crate::{
    journal::{
        Heartbeats, JournalError, Workers,
        rows::{integer, natural},
    },
    time::Timestamp,
    types::WorkerId,
};

/// Claims that are freed in one transaction.
const FREED_AT_ONCE: i64 = 500;

const REGISTER: &str = "INSERT INTO owners (owner_id, beats) VALUES ($1, 0) ON CONFLICT DO NOTHING";

const GET_HANDS: &str = "INSERT INTO hands (owner_id, hand, transactions)
    SELECT $1, hand, 0 FROM generate_series(0, $2 - 1) AS hand ON CONFLICT DO NOTHING";

const BEAT: &str = "UPDATE owners SET beats = beats + 1 WHERE owner_id = $1";

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
        let rows = live.query(HEARTBEATS, &[]).await?;
        // Others may have created or deleted a subscription.
        self.wanted.look(&live).await?;
        rows.iter()
            .map(|row| {
                let worker = WorkerId::new(row.try_get::<_, String>(0)?);
                Ok(Heartbeats { worker, count: natural(row.try_get(1)?)? })
            })
            .collect()
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

    async fn release_claims(&self, worker: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
        self.free(vec![worker.to_string()], now).await?;
        let worker = worker.to_string();
        self.writers
            .own(move |live| {
                let worker = worker.clone();
                async move {
                    live.execute(UNREGISTER, &[&worker]).await?;
                    live.execute(LOSE_HANDS, &[&worker]).await?;
                    Ok(())
                }
            })
            .await
    }
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
