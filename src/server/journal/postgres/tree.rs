//! The nodes of a run in the order of their paths, and the attempts of a node: by pages
//! that cost what they hold.

use std::sync::Arc;

use serde::Deserialize;
use tokio_postgres::Row;

use super::{link::Live, read::head_columns};
use crate::{
    journal::{
        AttemptsPage, JournalError, NodeSummary, TreePage,
        rows::{HeadRow, from_json},
    },
    record::{AttemptRecord, NodePath},
    types::{NodeRunId, NodeTypeRef, RunId},
};

/// From a path on, without it, to an end that is not part of it.
const BETWEEN: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", body FROM node_runs WHERE run_id = $1 AND path > $2 AND path < $3 ORDER BY path LIMIT $4"
);

const ONE: &str =
    concat!("SELECT ", head_columns!(), ", body FROM node_runs WHERE run_id = $1 AND path = $2");

const ATTEMPTS: &str = "SELECT body FROM attempts WHERE node_run_id = $1 AND attempt > $2
    ORDER BY attempt LIMIT $3";

/// What the tree shows of a body.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Shown {
    node: ShownNode,
    children: u64,
    repetition: Option<ShownRepetition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownNode {
    node_type_ref: ShownType,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownType {
    node_type_id: String,
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownRepetition {
    twin: Option<ShownTwin>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ShownTwin {
    reuses: Option<NodeRunId>,
}

/// The nodes of a run, or only that node and its descendants, behind a path.
pub(super) async fn page(
    live: Arc<Live>,
    run: &RunId,
    under: Option<&NodePath>,
    after: Option<&NodePath>,
    limit: u32,
) -> Result<TreePage, JournalError> {
    let limit = limit.max(1) as usize;
    // `/` is the successor of `.`, and no path has a character before it.
    let top = under.map_or("1", NodePath::as_str);
    let mut nodes = Vec::new();
    // The top is not behind itself.
    if after.is_none() {
        let row = live.query_opt(ONE, &[&run.as_str(), &top]).await?;
        nodes.extend(row.as_ref().map(summary).transpose()?);
    }
    let from = match after {
        Some(after) if after.as_str() > top => after.as_str().to_owned(),
        // Of "1" and its siblings' descendants, those that begin with "1.".
        Some(_) | None => format!("{top}."),
    };
    let wanted = i64::try_from(limit - nodes.len()).unwrap_or(i64::MAX).saturating_add(1);
    for row in live.query(BETWEEN, &[&run.as_str(), &from, &format!("{top}/"), &wanted]).await? {
        if nodes.len() == limit {
            let next = nodes.last().map(|node: &NodeSummary| node.head.path.clone());
            return Ok(TreePage { nodes, next });
        }
        nodes.push(summary(&row)?);
    }
    Ok(TreePage { nodes, next: None })
}

fn summary(row: &Row) -> Result<NodeSummary, JournalError> {
    let head = HeadRow::read(row)?.decode()?;
    let Shown { node, children, repetition } = from_json(head.node_run_id.as_str(), row.try_get(16)?)?;
    let ShownType { node_type_id, version } = node.node_type_ref;
    let reused_from = repetition.and_then(|repetition| repetition.twin).and_then(|twin| twin.reuses);
    let node_type = NodeTypeRef { extensions: None, node_type_id, version };
    Ok(NodeSummary { head, node_type, children, reused_from })
}

/// The attempts of a node behind one.
pub(super) async fn attempts(
    live: Arc<Live>,
    node: &NodeRunId,
    after: u32,
    limit: u32,
) -> Result<AttemptsPage, JournalError> {
    let limit = limit.max(1);
    let fetch = i64::from(limit) + 1;
    let mut attempts: Vec<AttemptRecord> = Vec::new();
    for row in live.query(ATTEMPTS, &[&node.as_str(), &i64::from(after), &fetch]).await? {
        if attempts.len() == limit as usize {
            let next = attempts.last().map(|attempt| attempt.attempt);
            return Ok(AttemptsPage { attempts, next });
        }
        attempts.push(from_json(node.as_str(), row.try_get(0)?)?);
    }
    Ok(AttemptsPage { attempts, next: None })
}
