//! Notices: what webhooks have yet to look at, in the order of commits. Mostly there
//! are none.

use rusqlite::{Connection, params};

use super::{
    encoding::{from_json, natural},
    rows::NoticeRow,
};
use crate::{
    journal::{ExecutorReport, JournalError, NoticeId, StoredNotice},
    record::{ExecutorName, Notice},
    time::Timestamp,
};

/// Runs in the writer thread.
pub(super) fn append(connection: &Connection, at: i64, rows: &[NoticeRow]) -> Result<(), JournalError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = connection.prepare_cached("INSERT INTO notices (at, body) VALUES (?, ?)")?;
    for NoticeRow { body } in rows {
        insert.execute(params![at, body])?;
    }
    Ok(())
}

/// The oldest notices.
pub(super) fn first(connection: &Connection, limit: u32) -> Result<Vec<StoredNotice>, JournalError> {
    let mut statement = connection.prepare_cached("SELECT id, at, body FROM notices ORDER BY id LIMIT ?")?;
    let mut rows = statement.query([limit])?;
    let mut notices = Vec::new();
    while let Some(row) = rows.next()? {
        let id = NoticeId(natural(row.get(0)?)?);
        let notice = row.get_ref(2)?.as_str().ok().and_then(|body| from_json("notice", body).ok());
        notices.push(StoredNotice { id, at: Timestamp::from_micros(row.get(1)?), notice });
    }
    Ok(notices)
}

/// Deletes notices. Runs in the writer thread.
pub(super) fn delete(connection: &Connection, ids: &[i64]) -> Result<(), JournalError> {
    let mut delete = connection.prepare_cached("DELETE FROM notices WHERE id = ?")?;
    for id in ids {
        delete.execute([id])?;
    }
    Ok(())
}

/// Records what is reported of an executor, with the notice of it. Runs in the writer
/// thread.
pub(super) fn executor_report(connection: &Connection, report: &ExecutorReport) -> Result<(), JournalError> {
    let ExecutorReport { name, is_down, at } = report;
    let notice = if *is_down { Notice::ExecutorDown(name.clone()) } else { Notice::ExecutorUp(name.clone()) };
    connection
        .prepare_cached(
            "INSERT INTO executors_reported (executor, member, is_down, at) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET is_down = excluded.is_down, at = excluded.at",
        )?
        .execute(params![
            name.executor,
            name.member.as_deref().unwrap_or_default(),
            is_down,
            at.as_micros()
        ])?;
    append(connection, at.as_micros(), &[NoticeRow::encode(&notice)?])
}

/// What was last reported of executors.
pub(super) fn executors(connection: &Connection) -> Result<Vec<ExecutorReport>, JournalError> {
    let mut statement = connection
        .prepare_cached("SELECT executor, member, is_down, at FROM executors_reported ORDER BY 1, 2")?;
    let reports = statement.query_map([], |row| {
        let member: String = row.get(1)?;
        let name = ExecutorName { executor: row.get(0)?, member: (!member.is_empty()).then_some(member) };
        Ok(ExecutorReport { name, is_down: row.get(2)?, at: Timestamp::from_micros(row.get(3)?) })
    })?;
    Ok(reports.collect::<Result<_, _>>()?)
}
