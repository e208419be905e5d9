//! The statements of a group of changes: one for each table, whatever their number.
//!
//! ```text
//!   changes ─▶ columns of each table ─▶ BEGIN · fence · runs · nodes · events · … ─▶ rows
//!                                       all sent at once, answered in their order
//! ```
//!
//! The order of the statements is that of locks: the fence, runs by id, nodes, the rest.
//! The outbox comes after the runs, whose rows are locked by then: so the entries of one
//! run have ids in the order of its commits. (Those of different runs have not.)
//!
//! **Invariant:** nothing here makes another process wait, but for a row that both write:
//! see docs/adr/0045.

use std::collections::{HashMap, HashSet};

use futures::{FutureExt, future::join_all};
use tokio::sync::oneshot;
use tokio_postgres::{Error, Row, types::ToSql};

mod statements;

pub(super) use self::statements::clean;
use self::statements::{Column, statements};
use super::{link::Live, sql};
use crate::{
    journal::{
        JournalError, OutboxId,
        rows::{ChangeRows, natural},
    },
    record::PausesVersion,
    types::{RunId, WorkerId},
};

/// A change that waits for its transaction.
pub(super) struct Piece {
    pub(super) rows: ChangeRows,
    pub(super) reply: oneshot::Sender<Result<Option<OutboxId>, JournalError>>,
}

impl Piece {
    pub(super) fn answer(self, outcome: Result<Option<OutboxId>, JournalError>) {
        // The caller may have stopped waiting: it is written nevertheless.
        let _gone = self.reply.send(outcome);
    }
}

/// Why a transaction cannot be committed.
pub(super) enum Failure {
    /// Changes, by their places, of which rows were written by another first.
    Conflicts(Vec<usize>),
    Database(Error),
    Journal(JournalError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl From<Failure> for JournalError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflicts(_) => Self::Conflict,
            Failure::Database(error) => error.into(),
            Failure::Journal(error) => error,
        }
    }
}

/// The runs of a group. All rows of a change belong to its run.
#[derive(Default)]
pub(super) struct Touched(HashSet<RunId>);

impl Touched {
    /// Whether a change fits beside the others: no row would be written twice.
    pub(super) fn take(&mut self, rows: &ChangeRows) -> bool {
        self.0.insert(rows.run_id.clone())
    }
}

/// A statement with its columns.
struct Statement<'a> {
    sql: &'static str,
    columns: Vec<Column<'a>>,
    returns: Returns<'a>,
}

/// What is known about the rows that a statement returns.
enum Returns<'a> {
    /// The id of the run of each row that was written. Each of these has to be there.
    Runs(Vec<&'a RunId>),
    /// The ids of outbox entries, in their order.
    OutboxIds,
    /// The version of the pauses of dispatch.
    Pauses,
    /// Nothing that matters.
    Nothing,
}

/// Writes a group in a transaction that it begins and does not end. Returns the last
/// outbox id of each change.
pub(super) async fn write(
    live: &Live,
    group: &[Piece],
    fence: Option<(&WorkerId, i16)>,
) -> Result<Vec<Option<OutboxId>>, Failure> {
    let statements = statements(group, fence.map_or(0, |(_, hand)| hand))?;
    let fence_statement = live.statement(sql::FENCE).await?;
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in &statements {
        prepared.push(live.statement(statement.sql).await?);
    }
    // What is polled first is sent first; nothing waits for an answer.
    let begin = live.client.batch_execute("BEGIN");
    let fenced = async {
        let Some((worker, hand)) = fence else { return Ok(true) };
        Ok::<_, Error>(live.client.execute(&fence_statement, &[&worker.as_str(), &hand]).await? == 1)
    };
    let written = statements.iter().zip(&prepared).map(|(statement, prepared)| {
        let columns: Vec<&(dyn ToSql + Sync)> =
            statement.columns.iter().map(|column| &**column as _).collect();
        async move { live.client.query(prepared, &columns).await }.boxed()
    });
    let (begun, fenced, written) = futures::join!(begin, fenced, join_all(written));
    begun?;
    if !fenced? {
        return Err(JournalError::Fenced.into());
    }
    let rows = written.into_iter().collect::<Result<Vec<_>, _>>()?;
    outcome(group, &statements, &rows)
}

/// What the returned rows say: the last outbox id of each change, or which of them
/// conflict.
fn outcome(
    group: &[Piece],
    statements: &[Statement<'_>],
    rows: &[Vec<Row>],
) -> Result<Vec<Option<OutboxId>>, Failure> {
    let mut conflicts = HashSet::new();
    let mut outbox_ids: Vec<Option<OutboxId>> = vec![None; group.len()];
    for (statement, rows) in statements.iter().zip(rows) {
        match &statement.returns {
            Returns::Nothing => {}
            Returns::Runs(wanted) if wanted.len() == rows.len() => {}
            Returns::Runs(wanted) => {
                let mut missing: HashMap<&str, i64> = HashMap::new();
                wanted.iter().for_each(|run| *missing.entry(run.as_str()).or_default() += 1);
                for row in rows {
                    if let Some(count) = missing.get_mut(row.try_get::<_, &str>(0)?) {
                        *count -= 1;
                    }
                }
                let is_missing =
                    |piece: &Piece| missing.get(piece.rows.run_id.as_str()).is_some_and(|&n| n > 0);
                conflicts
                    .extend(group.iter().enumerate().filter(|(_, piece)| is_missing(piece)).map(|(n, _)| n));
            }
            Returns::Pauses => {
                let row = rows.first().ok_or_else(|| damaged("the version of the pauses is missing"))?;
                let now = Some(PausesVersion(natural(row.try_get(0)?)?));
                let is_other = |piece: &Piece| piece.rows.pauses.is_some() && piece.rows.pauses != now;
                conflicts
                    .extend(group.iter().enumerate().filter(|(_, piece)| is_other(piece)).map(|(n, _)| n));
            }
            Returns::OutboxIds => {
                let mut ids = rows.iter();
                for (piece, last) in group.iter().zip(&mut outbox_ids) {
                    for _ in &piece.rows.outbox {
                        let row = ids.next().ok_or_else(|| damaged("an outbox entry was not written"))?;
                        *last = Some(OutboxId(natural(row.try_get(0)?)?));
                    }
                }
            }
        }
    }
    if conflicts.is_empty() {
        return Ok(outbox_ids);
    }
    let mut conflicts: Vec<usize> = conflicts.into_iter().collect();
    conflicts.sort_unstable();
    Err(Failure::Conflicts(conflicts))
}

fn damaged(what: &str) -> JournalError {
    JournalError::Failed(format!("PostgreSQL: {what}"))
}
