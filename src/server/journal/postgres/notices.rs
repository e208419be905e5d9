//! Notices: what webhooks have yet to look at. Mostly there are none.

use std::sync::Arc;

use super::{batch::Failure, link::Live, sql};
use crate::{
    journal::{
        ExecutorReport, JournalError, NoticeId, StoredNotice,
        rows::{NoticeRow, from_json, natural},
    },
    record::{ExecutorName, Notice},
    time::Timestamp,
};

const FIRST: &str = "SELECT id, at, body FROM notices ORDER BY id LIMIT $1";

const REPORT: &str = "INSERT INTO executors_reported (executor, member, is_down, at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (executor, member) DO UPDATE SET is_down = excluded.is_down, at = excluded.at";

const REPORTED: &str = "SELECT executor, member, is_down, at FROM executors_reported ORDER BY 1, 2";

/// The oldest notices.
pub(super) async fn first(live: Arc<Live>, limit: u32) -> Result<Vec<StoredNotice>, JournalError> {
    let rows = live.query(FIRST, &[&i64::from(limit)]).await?;
    rows.iter()
        .map(|row| {
            let notice = row.try_get(2).ok().and_then(|body| from_json("notice", body).ok());
            let id = NoticeId(natural(row.try_get(0)?)?);
            Ok(StoredNotice { id, at: Timestamp::from_micros(row.try_get(1)?), notice })
        })
        .collect()
}

/// Appends a notice within a transaction.
pub(super) async fn append(live: &Live, at: Timestamp, notice: &Notice) -> Result<(), Failure> {
    let body = NoticeRow::encode(notice)?.body;
    live.execute(sql::NOTICES_INSERT, &[&vec![at.as_micros()], &vec![body]]).await?;
    Ok(())
}

/// Records what is reported of an executor, with the notice of it.
pub(super) async fn report(live: &Live, report: &ExecutorReport) -> Result<(), Failure> {
    let ExecutorReport { name, is_down, at } = report;
    let notice = if *is_down { Notice::ExecutorDown(name.clone()) } else { Notice::ExecutorUp(name.clone()) };
    let member = name.member.as_deref().unwrap_or_default();
    live.execute(REPORT, &[&name.executor, &member, is_down, &at.as_micros()]).await?;
    append(live, *at, &notice).await
}

/// What was last reported of executors.
pub(super) async fn reported(live: Arc<Live>) -> Result<Vec<ExecutorReport>, JournalError> {
    let rows = live.query(REPORTED, &[]).await?;
    rows.iter()
        .map(|row| {
            let member: String = row.try_get(1)?;
            let name =
                ExecutorName { executor: row.try_get(0)?, member: (!member.is_empty()).then_some(member) };
            Ok(ExecutorReport { name, is_down: row.try_get(2)?, at: Timestamp::from_micros(row.try_get(3)?) })
        })
        .collect()
}
