//! The nodes of a run in the order of their paths, and the attempts of a node: by
//! pages that cost what they hold.
//!
//! ```text
//!   node_runs_in_tree (run_id, path)   "1" < "1.2" < "1.2.7" < "1.20": a node, its
//!                                      descendants, the next
//! ```

use rusqlite::{Connection, params};

use super::{encoding::from_json, rows::HeadRow};
use crate::{
    journal::{AttemptsPage, JournalError, NodeSummary, TreePage},
    record::{AttemptRecord, NodePath},
    types::{NodeRunId, NodeTypeRef, RunId},
};

/// From a path on, with it or without, to an end that is not part of it.
pub(super) fn nodes_between(columns: &str) -> String {
    format!(
        "SELECT {columns}, body ->> '$.node.node_type_ref.node_type_id',
                body ->> '$.node.node_type_ref.version', body ->> '$.children',
                body ->> '$.repetition.twin.reuses'
         FROM node_runs INDEXED BY node_runs_of_run
         WHERE run_id = ?1 AND path > ?2 AND path < ?3 ORDER BY path LIMIT ?4"
    )
}

/// The nodes of a run, or only that node and its descendants, behind a path.
pub(super) fn page(
    connection: &Connection,
    run: &RunId,
    under: Option<&NodePath>,
    after: Option<&NodePath>,
    limit: u32,
) -> Result<TreePage, JournalError> {
    let limit = limit.max(1);
    // `/` is the successor of `.`, and no path has a character before it.
    let top = under.map_or("1", NodePath::as_str);
    let end = format!("{top}/");
    let mut nodes = Vec::new();
    // The top is not behind itself.
    if after.is_none() {
        nodes.extend(one(connection, run, top)?);
    }
    let from = match after {
        Some(after) if after.as_str() > top => after.as_str().to_owned(),
        // Of "1" and its siblings' descendants, those that begin with "1.".
        Some(_) | None => format!("{top}."),
    };
    let mut statement = connection.prepare_cached(&nodes_between(HeadRow::COLUMNS))?;
    let wanted = i64::from(limit) - nodes.len() as i64;
    let mut rows = statement.query(params![run.as_str(), from, end, wanted + 1])?;
    while let Some(row) = rows.next()? {
        if nodes.len() == limit as usize {
            let next = nodes.last().map(|node: &NodeSummary| node.head.path.clone());
            return Ok(TreePage { nodes, next });
        }
        nodes.push(summary(row)?);
    }
    Ok(TreePage { nodes, next: None })
}

fn one(connection: &Connection, run: &RunId, path: &str) -> Result<Option<NodeSummary>, JournalError> {
    let sql = nodes_between(HeadRow::COLUMNS).replace("path > ?2 AND path < ?3", "path = ?2 AND ?3 = ''");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![run.as_str(), path, "", 1])?;
    rows.next()?.map(summary).transpose()
}

fn summary(row: &rusqlite::Row<'_>) -> Result<NodeSummary, JournalError> {
    let head = HeadRow::read(row)?.decode()?;
    let text = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
    let node_type = NodeTypeRef { extensions: None, node_type_id: text(16)?, version: text(17)? };
    let children = row.get::<_, Option<i64>>(18)?.and_then(|children| u64::try_from(children).ok());
    let reused_from = row.get::<_, Option<String>>(19)?.map(NodeRunId::new);
    Ok(NodeSummary { head, node_type, children: children.unwrap_or(0), reused_from })
}

/// The attempts of a node behind one.
pub(super) fn attempts(
    connection: &Connection,
    node: &NodeRunId,
    after: u32,
    limit: u32,
) -> Result<AttemptsPage, JournalError> {
    let limit = limit.max(1);
    let mut statement = connection.prepare_cached(
        "SELECT attempt, body FROM attempts WHERE node_run_id = ?1 AND attempt > ?2 ORDER BY attempt LIMIT ?3",
    )?;
    let mut rows = statement.query(params![node.as_str(), after, i64::from(limit) + 1])?;
    let mut attempts: Vec<AttemptRecord> = Vec::new();
    while let Some(row) = rows.next()? {
        if attempts.len() == limit as usize {
            let next = attempts.last().map(|attempt| attempt.attempt);
            return Ok(AttemptsPage { attempts, next });
        }
        attempts.push(from_json(node.as_str(), &row.get::<_, String>(1)?)?);
    }
    Ok(AttemptsPage { attempts, next: None })
}
