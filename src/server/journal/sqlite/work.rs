//! The work in the journal as of one moment, for operators.

use rusqlite::{Connection, OptionalExtension};

use super::{claims::DUE_BY_LANE, encoding::natural, parking, read};
use crate::{
    journal::{BACKLOG_MAX, Backlog, DueWork, JournalError, Work, WorkerClaims},
    record::Recipient,
    time::Timestamp,
    types::WorkerId,
};

/// The most workers that are listed.
const WORKERS_MAX: u32 = 100;

pub(super) fn work(connection: &Connection, now: Timestamp, parked: u32) -> Result<Work, JournalError> {
    // Of one moment: a claim between two of these would be counted twice, or not.
    let snapshot = connection.unchecked_transaction()?;
    Ok(Work {
        counts: read::counts(&snapshot, now)?,
        due: due(&snapshot, now)?,
        parked: parking::list(&snapshot, parked)?,
        approvals_oldest: snapshot
            .prepare_cached(APPROVAL_FIRST)?
            .query_row([], |row| row.get(0))
            .optional()?
            .map(Timestamp::from_micros),
        backlogs: backlogs(&snapshot)?,
        workers: workers(&snapshot)?,
    })
}

const APPROVAL_FIRST: &str = "SELECT waits_since FROM node_runs
    WHERE wake_job = 'approval' AND waits_since IS NOT NULL ORDER BY waits_since LIMIT 1";

fn due(connection: &Connection, now: Timestamp) -> Result<Vec<DueWork>, JournalError> {
    let mut statement = connection.prepare_cached(DUE_BY_LANE)?;
    let lanes = statement.query_map([now.as_micros()], |row| {
        Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?))
    })?;
    let mut due = Vec::new();
    for lane in lanes {
        let (job, kind, count, oldest) = lane?;
        let Some(oldest) = oldest else { continue };
        due.push(DueWork {
            job,
            kind: kind.and_then(|kind| kind.parse().ok()),
            count: natural(count)?,
            oldest: Timestamp::from_micros(oldest),
        });
    }
    Ok(due)
}

fn backlogs(connection: &Connection) -> Result<Vec<Backlog>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*), sum(new IS NOT NULL), min(iif(new IS NOT NULL, decided_at, NULL)),
                sum(new IS NULL), min(iif(new IS NULL, decided_at, NULL))
         FROM (SELECT new, decided_at FROM outbox ORDER BY id LIMIT ?)",
    )?;
    let (looked, of_runs, of_events) = statement.query_one([BACKLOG_MAX], |row| {
        let counted = |at| {
            Ok::<_, rusqlite::Error>((row.get::<_, Option<i64>>(at)?, row.get::<_, Option<i64>>(at + 1)?))
        };
        Ok((row.get::<_, i64>(0)?, counted(1)?, counted(3)?))
    })?;
    let more = looked >= i64::from(BACKLOG_MAX);
    Recipient::ALL
        .into_iter()
        .map(|recipient| {
            let (entries, oldest) = match recipient {
                Recipient::RunStore => of_runs,
                Recipient::EventStream => of_events,
            };
            let (entries, oldest) =
                (natural(entries.unwrap_or_default())?, oldest.map(Timestamp::from_micros));
            Ok(Backlog { recipient, entries, oldest, more })
        })
        .collect()
}

fn workers(connection: &Connection) -> Result<Vec<WorkerClaims>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT owner_id, (SELECT count(*) FROM node_runs WHERE wake_owner = owner_id)
         FROM owners ORDER BY owner_id LIMIT ?",
    )?;
    let rows =
        statement.query_map([WORKERS_MAX], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    rows.map(|row| {
        let (worker, claims) = row?;
        Ok(WorkerClaims { worker: WorkerId::new(worker), claims: natural(claims)? })
    })
    .collect()
}
