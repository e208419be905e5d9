//! What workers have heard of the executors of composites, in the table `heard`, and
//! until when each has said so, in `owners`.

use std::sync::Arc;

use super::{PostgresJournal, link::Live};
use crate::{
    journal::{Heard, JournalError, SignOfLife},
    record::NodePath,
    time::Timestamp,
    types::{RunId, WorkerId},
};

const KNOWN_TO: &str = "UPDATE owners SET heard_to = $2 WHERE owner_id = $1";

/// Sorted, so that workers that note signs of the same composites do not wait for each
/// other in a circle.
const PUT: &str = "INSERT INTO heard (run_id, path, at)
    SELECT run_id, path, max(at) FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u (run_id, path, at)
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (run_id, path) DO UPDATE SET at = greatest(heard.at, excluded.at)";

const FORGET: &str = "DELETE FROM heard WHERE at < $1";

/// As of one moment.
const LAST: &str =
    "SELECT (SELECT count(*) - count(heard_to) FROM owners), (SELECT min(heard_to) FROM owners),
    (SELECT at FROM heard WHERE run_id = $1 AND path = $2)";

impl PostgresJournal {
    pub(super) async fn signs_note(
        &self,
        worker: &WorkerId,
        signs: &[SignOfLife],
        (known_to, forget_before): (Timestamp, Timestamp),
    ) -> Result<(), JournalError> {
        let (worker, signs) = (worker.to_string(), Arc::new(signs.to_vec()));
        let (known_to, forget_before) = (known_to.as_micros(), forget_before.as_micros());
        self.writers
            .own(move |live| {
                let (worker, signs) = (worker.clone(), Arc::clone(&signs));
                async move {
                    if live.execute(KNOWN_TO, &[&worker, &known_to]).await? == 0 {
                        return Err(JournalError::Fenced.into());
                    }
                    let runs: Vec<&str> = signs.iter().map(|sign| sign.run_id.as_str()).collect();
                    let paths: Vec<&str> = signs.iter().map(|sign| sign.path.as_str()).collect();
                    let at: Vec<i64> = signs.iter().map(|sign| sign.at.as_micros()).collect();
                    if !signs.is_empty() {
                        live.execute(PUT, &[&runs, &paths, &at]).await?;
                    }
                    live.execute(FORGET, &[&forget_before]).await?;
                    Ok(())
                }
            })
            .await
    }
}

pub(super) async fn last(live: Arc<Live>, run: &RunId, path: &NodePath) -> Result<Heard, JournalError> {
    let row = live.query_one(LAST, &[&run.as_str(), &path.as_str()]).await?;
    let (silent, known_to, last): (i64, Option<i64>, Option<i64>) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(Heard {
        last: last.map(Timestamp::from_micros),
        known_to: known_to.filter(|_| silent == 0).map(Timestamp::from_micros),
    })
}
