//! The registered workers, in the table `owners`: registration, heartbeats, and what is
//! written in the name of one. The claims of the others are freed, and their duties, in
//! the table `duties`, can be taken.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    SqliteJournal,
    encoding::{integer, natural},
    signs,
};
use crate::{
    journal::{Duty, Heard, Heartbeats, JournalError, SignOfLife, Workers},
    record::NodePath,
    time::Timestamp,
    types::{RunId, WorkerId},
};

impl SqliteJournal {
    /// Writes in the name of the worker that is registered through this handle, if it is
    /// still alive.
    pub(super) async fn as_worker<T: Send + 'static>(
        &self,
        mut work: impl FnMut(&Connection) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let worker = self.worker.get().cloned();
        let fenced = move |connection: &Connection| {
            if let Some(worker) = &worker {
                fence(connection, worker)?;
            }
            work(connection)
        };
        self.writes.run(fenced).await
    }
}

#[async_trait]
impl Workers for SqliteJournal {
    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn register_worker(&self, worker: &WorkerId) -> Result<(), JournalError> {
        let registered = worker.clone();
        self.writes.run(move |connection| register(connection, &registered)).await?;
        let _known = self.worker.set(worker.clone());
        Ok(())
    }

    async fn beat(&self, worker: &WorkerId) -> Result<(), JournalError> {
        let worker = worker.clone();
        self.writes.run(move |connection| count_beat(connection, &worker)).await
    }

    async fn heartbeats(&self) -> Result<Vec<Heartbeats>, JournalError> {
        self.reads.aside(all).await
    }

    async fn declare_dead(&self, seen: &Heartbeats) -> Result<bool, JournalError> {
        let seen = seen.clone();
        self.writes.run(move |connection| strike(connection, &seen)).await
    }

    async fn reap_dead_workers(&self, now: Timestamp) -> Result<u64, JournalError> {
        let reaped = self.writes.run(move |connection| reap(connection, now)).await;
        if reaped != Ok(0) {
            self.cache.drop_all_nodes();
        }
        reaped
    }

    #[cfg(any(test, feature = "test-util"))]
    fn announce(&self, news: crate::journal::News) {
        if let Some(bus) = &self.bus {
            bus.announce(&news);
        }
    }

    #[cfg(any(test, feature = "test-util"))]
    async fn announced(&self) -> crate::journal::News {
        match &self.bus {
            Some(bus) => bus.announced().await,
            None => std::future::pending().await,
        }
    }

    async fn hold_duty(&self, duty: Duty, worker: &WorkerId) -> Result<bool, JournalError> {
        let held =
            |connection: &Connection| fence(connection, worker).and_then(|()| holder(connection, duty));
        match self.reads.here(held)? {
            Some(holder) => Ok(holder == *worker),
            None => {
                let worker = worker.clone();
                self.writes.run(move |connection| take_duty(connection, duty, &worker)).await
            }
        }
    }

    async fn note_signs(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        known_to: Timestamp,
        forget_before: Timestamp,
    ) -> Result<(), JournalError> {
        let (worker, signs) = (worker.clone(), signs.to_vec());
        let note = move |connection: &Connection| {
            signs::note(connection, &worker, &signs, (known_to, forget_before))
        };
        self.writes.run(note).await
    }

    async fn last_heard(&self, run: &RunId, path: &NodePath) -> Result<Heard, JournalError> {
        self.reads.here(|connection| signs::last(connection, run, path))
    }

    async fn release_claims(&self, worker: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
        let worker = worker.clone();
        let release = move |connection: &_| release(connection, &worker, now);
        let released = self.writes.run(release).await;
        self.cache.drop_all_nodes();
        released
    }
}

/// Fails if a worker is not registered. Runs in the writer thread, in the transaction of
/// what the worker does: another that declares it dead comes before or after that.
fn fence(connection: &Connection, worker: &WorkerId) -> Result<(), JournalError> {
    let is_alive: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM owners WHERE owner_id = ?)")?
        .query_one([worker.as_str()], |row| row.get(0))?;
    if is_alive { Ok(()) } else { Err(JournalError::Fenced) }
}

/// Runs in the writer thread.
fn register(connection: &Connection, worker: &WorkerId) -> Result<(), JournalError> {
    connection
        .prepare_cached("INSERT INTO owners (owner_id, beats) VALUES (?, 0) ON CONFLICT DO NOTHING")?
        .execute([worker.as_str()])?;
    Ok(())
}

/// Runs in the writer thread.
fn count_beat(connection: &Connection, worker: &WorkerId) -> Result<(), JournalError> {
    let beaten = connection
        .prepare_cached("UPDATE owners SET beats = beats + 1 WHERE owner_id = ?")?
        .execute([worker.as_str()])?;
    if beaten == 1 { Ok(()) } else { Err(JournalError::Fenced) }
}

fn all(connection: &Connection) -> Result<Vec<Heartbeats>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT owner_id, beats FROM owners ORDER BY owner_id")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| {
        let (worker, count) = row?;
        Ok(Heartbeats { worker: WorkerId::new(worker), count: natural(count)? })
    })
    .collect()
}

/// Runs in the writer thread.
fn strike(connection: &Connection, seen: &Heartbeats) -> Result<bool, JournalError> {
    let removed = connection
        .prepare_cached("DELETE FROM owners WHERE owner_id = ? AND beats = ?")?
        .execute(params![seen.worker.as_str(), integer(seen.count)?])?;
    Ok(removed == 1)
}

/// Runs in the writer thread. The job stays what it was: a deadline that is due
/// before its time tells the next worker that the attempt was lost.
fn reap(connection: &Connection, now: Timestamp) -> Result<u64, JournalError> {
    let lost = connection.prepare_cached(REAP)?.execute([now.as_micros()])?;
    Ok(lost as u64)
}

/// Frees the claims of workers that are not registered.
pub(super) const REAP: &str = "UPDATE node_runs SET wake_owner = NULL, wake_at = ?1, version = version + 1
    WHERE wake_owner IS NOT NULL AND wake_owner NOT IN (SELECT owner_id FROM owners)";

/// The living worker that holds a duty.
fn holder(connection: &Connection, duty: Duty) -> Result<Option<WorkerId>, JournalError> {
    let holder = connection
        .prepare_cached("SELECT owner_id FROM duties JOIN owners USING (owner_id) WHERE duty = ?")?
        .query_row([duty.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(holder.map(WorkerId::new))
}

/// Runs in the writer thread.
fn take_duty(connection: &Connection, duty: Duty, worker: &WorkerId) -> Result<bool, JournalError> {
    fence(connection, worker)?;
    connection
        .prepare_cached(
            "INSERT INTO duties (duty, owner_id) VALUES (?, ?)
             ON CONFLICT (duty) DO UPDATE SET owner_id = excluded.owner_id
             WHERE owner_id NOT IN (SELECT owner_id FROM owners)",
        )?
        .execute([duty.as_str(), worker.as_str()])?;
    Ok(holder(connection, duty)?.as_ref() == Some(worker))
}

/// Runs in the writer thread.
fn release(connection: &Connection, worker: &WorkerId, now: Timestamp) -> Result<(), JournalError> {
    connection
        .prepare_cached(
            "UPDATE node_runs SET wake_owner = NULL, wake_at = ?2, version = version + 1 WHERE wake_owner = ?1",
        )?
        .execute(params![worker.as_str(), now.as_micros()])?;
    connection.prepare_cached("DELETE FROM duties WHERE owner_id = ?")?.execute([worker.as_str()])?;
    connection.prepare_cached("DELETE FROM owners WHERE owner_id = ?")?.execute([worker.as_str()])?;
    Ok(())
}
