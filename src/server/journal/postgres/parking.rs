//! Parked items: wake-ups and runs whose decision fails repeatedly are set aside for a
//! while, and listed. Only columns change, because the record itself may be what is
//! damaged. (A commit takes what it decides off the list: see `batch`.)

use std::sync::Arc;

use tokio_postgres::Row;

use super::{PostgresJournal, batch::Failure, link::Live, notices};
use crate::{
    journal::{JournalError, Parked, WebhookJournal},
    record::Notice,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The node run id in the row of a run as a whole.
const WHOLE_RUN: &str = "";

const PARK_NODE: &str = "
    UPDATE node_runs SET wake_at = $3, wake_owner = NULL, wake_tries = wake_tries + 1, version = version + 1
    WHERE node_run_id = $1 AND run_id = $2 AND wake_at IS NOT NULL
      AND (wake_job = 'cancel_executor') = ($4 = 'cancel_executor')";

/// The record keeps the real deadline, which the next commit of it writes to the column
/// again.
const PARK_RUN: &str =
    "UPDATE runs SET deadline = $2, version = version + 1 WHERE run_id = $1 AND NOT terminal";

const LIST: &str = "
    INSERT INTO parked (run_id, node_run_id, job, error, since, until, times)
    VALUES ($1, $2, $3, $4, $5, $6, 1)
    ON CONFLICT (run_id, node_run_id) DO UPDATE
        SET job = excluded.job, error = excluded.error, until = excluded.until, times = parked.times + 1
    RETURNING times";

const FIRST: &str = "SELECT run_id, node_run_id, job, error, since, until, times FROM parked
    ORDER BY since, run_id, node_run_id LIMIT $1";

const FIND: &str = "SELECT run_id, node_run_id, job, error, since, until FROM parked
    WHERE run_id = $1 AND node_run_id = $2";

impl PostgresJournal {
    /// Parks an item, with a notice if it is not on the list yet and notices are wanted.
    pub(super) async fn park_item(&self, item: Parked) -> Result<(), JournalError> {
        let reports = self.wants_notices();
        self.writers
            .as_worker(move |live| {
                let item = item.clone();
                async move { park(&live, &item, reports).await }
            })
            .await
    }
}

async fn park(live: &Live, item: &Parked, reports: bool) -> Result<(), Failure> {
    let (run, until) = (item.run_id.as_str(), item.until.as_micros());
    // A key column has no NUL, and neither has anything that names one.
    let (job, error) = (item.job.replace('\0', "\u{fffd}"), item.error.replace('\0', "\u{fffd}"));
    let moved = match &item.node_run_id {
        Some(node) => live.execute(PARK_NODE, &[&node.as_str(), &run, &until, &job]).await?,
        None => live.execute(PARK_RUN, &[&run, &until]).await?,
    };
    if moved == 0 {
        return Ok(());
    }
    let node = item.node_run_id.as_ref().map_or(WHOLE_RUN, NodeRunId::as_str);
    let row = live.query_one(LIST, &[&run, &node, &job, &error, &item.since.as_micros(), &until]).await?;
    if reports && row.try_get::<_, i64>(0)? == 1 {
        let Parked { run_id, node_run_id, job, since, .. } = item.clone();
        notices::append(live, since, &Notice::WorkParked { run_id, node_run_id, job }).await?;
    }
    Ok(())
}

/// The items that were parked first, and how often in a row each was parked.
pub(super) async fn list(live: &Live, limit: u32) -> Result<Vec<(Parked, u32)>, JournalError> {
    let rows = live.query(FIRST, &[&i64::from(limit)]).await?;
    rows.iter()
        .map(|row| Ok((item(row)?, u32::try_from(row.try_get::<_, i64>(6)?).unwrap_or(u32::MAX))))
        .collect()
}

/// The item of a node.
pub(super) async fn find(
    live: Arc<Live>,
    run: &RunId,
    node: &NodeRunId,
) -> Result<Option<Parked>, JournalError> {
    live.query_opt(FIND, &[&run.as_str(), &node.as_str()]).await?.as_ref().map(item).transpose()
}

fn item(row: &Row) -> Result<Parked, JournalError> {
    let node: String = row.try_get(1)?;
    Ok(Parked {
        run_id: RunId::new(row.try_get::<_, String>(0)?),
        node_run_id: (node != WHOLE_RUN).then(|| NodeRunId::new(node)),
        job: row.try_get(2)?,
        error: row.try_get(3)?,
        since: Timestamp::from_micros(row.try_get(4)?),
        until: Timestamp::from_micros(row.try_get(5)?),
    })
}
