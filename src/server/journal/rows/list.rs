//! A run in the list of runs: what a change makes of its row, and what the row says.

use super::{
    Columns,
    encoding::{from_json, to_json},
};
use crate::{
    journal::{JournalError, RunPlace, RunSummary, RunsFilter},
    record::{ChangeSet, Identity, Labels, NodeRecord, RunRecord},
    time::Timestamp,
    types::{RunId, RunState},
};

/// What a change says about the list.
pub(in crate::server::journal) enum ListRow {
    Starts { started_at: i64, now: Now, first: First },
    Holds { started_at: i64, held: bool },
    Ends { started_at: i64, now: Now },
}

/// What never changes of a run.
pub(in crate::server::journal) struct First {
    pub(in crate::server::journal) node_type: Option<(String, String)>,
    pub(in crate::server::journal) owner: Option<String>,
    pub(in crate::server::journal) labels: Option<String>,
    pub(in crate::server::journal) held: bool,
    pub(in crate::server::journal) rerun_of: Option<String>,
}

/// What may change of a run.
pub(in crate::server::journal) struct Now {
    pub(in crate::server::journal) state: String,
    pub(in crate::server::journal) ended_at: Option<i64>,
    pub(in crate::server::journal) error_code: Option<String>,
}

impl ListRow {
    /// `None`: the list stays as it is.
    pub(in crate::server::journal) fn of(change: &ChangeSet) -> Result<Option<Self>, JournalError> {
        let Some(record) = &change.run else { return Ok(None) };
        let root = change.nodes.iter().find(|node| *node.id() == record.run.root_node_run_id);
        let now = Now {
            state: record.run.state.to_string(),
            ended_at: record.run.ended_at.map(Timestamp::as_micros),
            error_code: root.filter(|_| record.is_terminal()).and_then(NodeRecord::error_code),
        };
        if record.version == 0 {
            let node_type = root.map(|root| {
                let node_type = &root.node.node_type_ref;
                (node_type.node_type_id.clone(), node_type.version.clone())
            });
            let owner = record.owner.as_ref().map(to_json).transpose()?;
            let labels = Labels::of(record.run.extensions.as_ref());
            let labels = Some(labels).filter(|labels| !labels.is_empty());
            let labels = labels.as_ref().map(to_json).transpose()?;
            let rerun_of = record.rerun.as_ref().map(|rerun| rerun.run_id.to_string());
            let first = First { node_type, owner, labels, held: record.hold.is_some(), rerun_of };
            return Ok(Some(Self::Starts { started_at: start_of(record), now, first }));
        }
        let started_at = start_of(record);
        if record.is_terminal() {
            return Ok(Some(Self::Ends { started_at, now }));
        }
        Ok(change.held.map(|held| Self::Holds { started_at, held }))
    }
}

fn start_of(record: &RunRecord) -> i64 {
    record.run.started_at.map_or(0, Timestamp::as_micros)
}

/// A scan of the list: where it begins and ends.
pub(in crate::server::journal) struct Bounds {
    pub(in crate::server::journal) at: i64,
    pub(in crate::server::journal) run: String,
    pub(in crate::server::journal) since: i64,
}

impl Bounds {
    pub(in crate::server::journal) fn of(filter: &RunsFilter, after: Option<&RunPlace>) -> Self {
        let before = filter.select.started_before.map(Timestamp::as_micros);
        let (at, run) = match (after, before) {
            (Some(after), Some(before)) if after.started_at.as_micros() >= before => (before, ""),
            (Some(after), _) => (after.started_at.as_micros(), after.run_id.as_str()),
            (None, Some(before)) => (before, ""),
            // No id is behind it.
            (None, None) => (i64::MAX, ""),
        };
        let since = filter.select.started_after.map_or(i64::MIN, Timestamp::as_micros);
        Self { at, run: run.to_owned(), since }
    }

    /// Whether a place is within them.
    pub(in crate::server::journal) fn have(&self, place: &RunPlace) -> bool {
        let at = place.started_at.as_micros();
        (at, place.run_id.as_str()) < (self.at, self.run.as_str()) && at >= self.since
    }
}

/// Reads the columns of a summary, in the order of its statement.
pub(in crate::server::journal) fn summary<R: Columns>(row: &R) -> Result<RunSummary, JournalError>
where
    JournalError: From<R::Error>,
{
    let run_id = RunId::new(row.value::<String>(1)?);
    let damaged = |what: &str| JournalError::Damaged(format!("{run_id}: invalid {what} in the list of runs"));
    let state: RunState = row.value::<String>(2)?.parse().map_err(|_| damaged("state"))?;
    let owner: Option<String> = row.value(6)?;
    let owner: Option<Identity> = owner.map(|owner| from_json(run_id.as_str(), &owner)).transpose()?;
    let node_type: Option<String> = row.value(4)?;
    let version: Option<String> = row.value(5)?;
    let labels: Option<String> = row.value(8)?;
    let labels: Option<Labels> = labels.map(|labels| from_json(run_id.as_str(), &labels)).transpose()?;
    Ok(RunSummary {
        state,
        ended_at: row.value::<Option<i64>>(3)?.map(Timestamp::from_micros),
        node_type: node_type.zip(version),
        owner,
        error_code: row.value(7)?,
        rerun_of: row.value::<Option<String>>(10)?.map(RunId::new),
        labels: labels.unwrap_or_default(),
        attention: None,
        held: row.value(9)?,
        place: RunPlace { started_at: Timestamp::from_micros(row.value(0)?), run_id },
    })
}
