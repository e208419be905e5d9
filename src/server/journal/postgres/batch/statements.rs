//! The statements of a group, in the order of their locks, and their columns.

use std::borrow::Cow;

use tokio_postgres::types::ToSql;

use super::{Piece, Returns, Statement};
use crate::{
    journal::{
        JournalError,
        postgres::sql,
        rows::{ChangeRows, HeadRow, ListRow, NodeRow, Now, RunRow, integer},
    },
    record::OutboxItem,
};

pub(super) type Column<'a> = Box<dyn ToSql + Sync + Send + 'a>;

fn column<'a, T: ToSql + Sync + Send + 'a>(values: impl Iterator<Item = T>) -> Column<'a> {
    Box::new(values.collect::<Vec<T>>())
}

/// Text for a column of its own, where PostgreSQL allows no NUL. (JSON escapes it.)
pub(in crate::server::journal::postgres) fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The statements that a group needs, in the order of their locks. `slot`: where this
/// writer counts the runs that end.
pub(super) fn statements(group: &[Piece], slot: i16) -> Result<Vec<Statement<'_>>, JournalError> {
    let changes: Vec<&ChangeRows> = group.iter().map(|piece| &piece.rows).collect();
    let mut all = Vec::new();
    if changes.iter().any(|change| change.pauses.is_some()) {
        all.push(Statement { sql: sql::PAUSES_VERSION, columns: Vec::new(), returns: Returns::Pauses });
    }
    runs(&changes, slot, &mut all)?;
    nodes(&changes, &mut all)?;
    logs(&changes, &mut all);
    outbox(&changes, &mut all)?;
    parked(&changes, &mut all);
    Ok(all)
}

/// A run, and what its row in the list of runs becomes.
type Run<'a> = (&'a RunRow, Option<&'a ListRow>, i64);

fn runs<'a>(changes: &[&'a ChangeRows], slot: i16, all: &mut Vec<Statement<'a>>) -> Result<(), JournalError> {
    let runs =
        changes.iter().filter_map(|change| Some((change.run.as_ref()?, change.listed.as_ref(), change.at)));
    let (new, changed): (Vec<Run<'a>>, Vec<Run<'a>>) = runs.partition(|(run, ..)| run.version == 0);
    let ended: Vec<&Run<'a>> = changed.iter().filter(|(run, ..)| run.terminal).collect();
    if !ended.is_empty() {
        all.push(Statement {
            sql: sql::RUNS_ENDED,
            columns: vec![
                column(ended.iter().map(|(run, ..)| run.run_id.as_str())),
                column(ended.iter().map(|(run, ..)| run.version)),
                column(ended.iter().map(|(_, listed, _)| now(*listed).map(|now| now.state.as_str()))),
                Box::new(slot),
            ],
            returns: Returns::Nothing,
        });
    }
    if !changed.is_empty() {
        all.push(Statement {
            sql: sql::RUNS_UPDATE,
            columns: vec![
                column(changed.iter().map(|(run, ..)| run.run_id.as_str())),
                column(changed.iter().map(|(run, ..)| run.version)),
                column(changed.iter().map(|(run, ..)| run.terminal)),
                column(changed.iter().map(|(run, ..)| run.deadline)),
                Box::new(bodies(&changed)?),
                column(changed.iter().map(|(.., at)| *at)),
                column(changed.iter().map(|(_, listed, _)| now(*listed).map(|now| now.state.as_str()))),
                column(changed.iter().map(|(_, listed, _)| now(*listed).and_then(|now| now.ended_at))),
                column(changed.iter().map(|(_, listed, _)| error_code(*listed))),
                column(changed.iter().map(|(_, listed, _)| held(*listed))),
            ],
            returns: Returns::Runs(changed.iter().map(|(run, ..)| &run.run_id).collect()),
        });
    }
    if new.is_empty() {
        return Ok(());
    }
    let first = |listed: Option<&'a ListRow>| match listed {
        Some(ListRow::Starts { first, .. }) => Some(first),
        Some(ListRow::Holds { .. } | ListRow::Ends { .. }) | None => None,
    };
    let node_type = |listed| first(listed).and_then(|first| first.node_type.as_ref());
    all.push(Statement {
        sql: sql::RUNS_INSERT,
        columns: vec![
            column(new.iter().map(|(run, ..)| run.run_id.as_str())),
            column(new.iter().map(|(run, ..)| run.terminal)),
            column(new.iter().map(|(run, ..)| run.deadline)),
            Box::new(bodies(&new)?),
            column(new.iter().map(|(.., at)| *at)),
            column(new.iter().map(|(_, listed, _)| started_at(*listed))),
            column(new.iter().map(|(_, listed, _)| now(*listed).map_or("", |now| now.state.as_str()))),
            column(new.iter().map(|(_, listed, _)| now(*listed).and_then(|now| now.ended_at))),
            column(new.iter().map(|(_, listed, _)| error_code(*listed))),
            column(new.iter().map(|(_, listed, _)| node_type(*listed).map(|(id, _)| clean(id)))),
            column(new.iter().map(|(_, listed, _)| node_type(*listed).map(|(_, version)| clean(version)))),
            column(new.iter().map(|(_, listed, _)| first(*listed)?.owner.as_deref())),
            column(new.iter().map(|(_, listed, _)| first(*listed)?.labels.as_deref())),
            column(new.iter().map(|(_, listed, _)| first(*listed).is_some_and(|first| first.held))),
            column(new.iter().map(|(_, listed, _)| first(*listed)?.rerun_of.as_deref())),
        ],
        returns: Returns::Runs(new.iter().map(|(run, ..)| &run.run_id).collect()),
    });
    let labeled: Vec<_> = new
        .iter()
        .filter_map(|(run, listed, _)| Some((run, started_at(*listed), first(*listed)?.labels.as_deref()?)))
        .collect();
    if !labeled.is_empty() {
        all.push(Statement {
            sql: sql::LABELS_INSERT,
            columns: vec![
                column(labeled.iter().map(|(run, ..)| run.run_id.as_str())),
                column(labeled.iter().map(|(_, started_at, _)| *started_at)),
                column(labeled.iter().map(|(.., labels)| *labels)),
            ],
            returns: Returns::Nothing,
        });
    }
    let adopted: Vec<_> = new.iter().filter(|(run, ..)| run.terminal).collect();
    if !adopted.is_empty() {
        all.push(Statement {
            sql: sql::RUNS_ADOPTED,
            columns: vec![
                column(adopted.iter().map(|(_, listed, _)| first(*listed)?.owner.as_deref())),
                column(
                    adopted.iter().map(|(_, listed, _)| now(*listed).map_or("", |now| now.state.as_str())),
                ),
                Box::new(slot),
            ],
            returns: Returns::Nothing,
        });
    }
    Ok(())
}

fn bodies<'a>(runs: &[Run<'a>]) -> Result<Vec<Cow<'a, str>>, JournalError> {
    runs.iter().map(|(run, ..)| run.body.text()).collect()
}

fn now(listed: Option<&ListRow>) -> Option<&Now> {
    match listed? {
        ListRow::Starts { now, .. } | ListRow::Ends { now, .. } => Some(now),
        ListRow::Holds { .. } => None,
    }
}

fn error_code(listed: Option<&ListRow>) -> Option<Cow<'_, str>> {
    now(listed).and_then(|now| now.error_code.as_deref()).map(clean)
}

fn held(listed: Option<&ListRow>) -> Option<bool> {
    match listed? {
        ListRow::Holds { held, .. } => Some(*held),
        ListRow::Ends { .. } => Some(false),
        ListRow::Starts { .. } => None,
    }
}

fn started_at(listed: Option<&ListRow>) -> i64 {
    match listed {
        Some(
            ListRow::Starts { started_at, .. }
            | ListRow::Ends { started_at, .. }
            | ListRow::Holds { started_at, .. },
        ) => *started_at,
        None => 0,
    }
}

/// The columns that a cascade changes, in the order of all statements about nodes.
fn head_columns<'a>(heads: &[&'a HeadRow]) -> Vec<Column<'a>> {
    let wake = |head: &&'a HeadRow| head.wake.as_ref();
    vec![
        column(heads.iter().map(|head| head.node_run_id.as_str())),
        column(heads.iter().map(|head| head.run_id.as_str())),
        column(heads.iter().map(|head| head.path.as_str())),
        column(heads.iter().map(|head| head.version)),
        column(heads.iter().map(|head| head.terminal)),
        column(heads.iter().map(|head| head.state.as_deref())),
        column(heads.iter().map(|head| head.ended_at)),
        column(heads.iter().map(|head| Some(wake(head)?.job.as_str()))),
        column(heads.iter().map(|head| Some(wake(head)?.at))),
        column(heads.iter().map(|head| wake(head)?.claimed_by.as_deref())),
        column(heads.iter().map(|head| Some(wake(head)?.tries))),
    ]
}

fn nodes<'a>(changes: &[&'a ChangeRows], all: &mut Vec<Statement<'a>>) -> Result<(), JournalError> {
    let (new, changed): (Vec<&'a NodeRow>, Vec<&'a NodeRow>) =
        changes.iter().flat_map(|change| &change.nodes).partition(|node| node.head.version == 0);
    for (nodes, sql) in [(changed, sql::NODES_UPDATE), (new, sql::NODES_INSERT)] {
        if nodes.is_empty() {
            continue;
        }
        let mut columns = head_columns(&nodes.iter().map(|node| &node.head).collect::<Vec<_>>());
        let bodies = nodes.iter().map(|node| node.body.text()).collect::<Result<Vec<_>, _>>()?;
        columns.extend([
            column(nodes.iter().map(|node| node.head.kind.as_deref())),
            column(nodes.iter().map(|node| node.head.started_at)),
            column(nodes.iter().map(|node| node.head.attempt)),
            column(nodes.iter().map(|node| node.head.superseded_attempt_may_run)),
            column(nodes.iter().map(|node| node.head.deadline)),
            Box::new(bodies) as Column<'a>,
            column(nodes.iter().map(|node| node.apart)),
            column(nodes.iter().map(|node| Some(node.payloads.inputs.as_ref()?.as_str()))),
            column(nodes.iter().map(|node| Some(node.payloads.outputs.as_ref()?.as_str()))),
            column(nodes.iter().map(|node| node.waits_since)),
        ]);
        let runs = nodes.iter().map(|node| &node.head.run_id).collect();
        all.push(Statement { sql, columns, returns: Returns::Runs(runs) });
    }
    let heads: Vec<&'a HeadRow> = changes.iter().flat_map(|change| &change.heads).collect();
    if !heads.is_empty() {
        let returns = Returns::Runs(heads.iter().map(|head| &head.run_id).collect());
        all.push(Statement { sql: sql::HEADS_UPDATE, columns: head_columns(&heads), returns });
    }
    Ok(())
}

/// What is only appended, and attempts.
fn logs<'a>(changes: &[&'a ChangeRows], all: &mut Vec<Statement<'a>>) {
    let events: Vec<_> = changes.iter().flat_map(|change| &change.events).collect();
    if !events.is_empty() {
        let columns = vec![
            column(events.iter().map(|event| event.run_id.as_str())),
            column(events.iter().map(|event| event.seq)),
            column(events.iter().map(|event| event.path.as_deref())),
            column(events.iter().map(|event| &*event.body)),
        ];
        all.push(Statement { sql: sql::EVENTS_INSERT, columns, returns: Returns::Nothing });
    }
    let attempts: Vec<_> = changes.iter().flat_map(|change| &change.attempts).collect();
    if !attempts.is_empty() {
        let columns = vec![
            column(attempts.iter().map(|attempt| attempt.node_run_id.as_str())),
            column(attempts.iter().map(|attempt| i64::from(attempt.attempt))),
            column(attempts.iter().map(|attempt| attempt.body.as_str())),
        ];
        all.push(Statement { sql: sql::ATTEMPTS_PUT, columns, returns: Returns::Nothing });
    }
    let audit: Vec<_> = changes.iter().flat_map(|change| &change.audit).collect();
    if !audit.is_empty() {
        let columns = vec![
            column(audit.iter().map(|record| record.at)),
            column(audit.iter().map(|record| Some(clean(record.run_id.as_ref()?.as_str())))),
            column(audit.iter().map(|record| record.body.as_str())),
        ];
        all.push(Statement { sql: sql::AUDIT_INSERT, columns, returns: Returns::Nothing });
    }
    let notices: Vec<_> = changes
        .iter()
        .flat_map(|change| change.notices.iter().map(|notice| (change.at, notice.body.as_str())))
        .collect();
    if !notices.is_empty() {
        let columns =
            vec![column(notices.iter().map(|(at, _)| *at)), column(notices.iter().map(|(_, body)| *body))];
        all.push(Statement { sql: sql::NOTICES_INSERT, columns, returns: Returns::Nothing });
    }
}

fn outbox<'a>(changes: &[&'a ChangeRows], all: &mut Vec<Statement<'a>>) -> Result<(), JournalError> {
    type Entry<'a> = (i64, &'a str, Option<&'a str>, Option<bool>, Option<i64>, Option<i64>);
    let mut entries: Vec<Entry<'a>> = Vec::new();
    for change in changes {
        for item in &change.outbox {
            let (node, new, first, last) = match item {
                OutboxItem::Run { new } => (None, Some(*new), None, None),
                OutboxItem::NodeRun { node_run_id, new } => {
                    (Some(node_run_id.as_str()), Some(*new), None, None)
                }
                OutboxItem::Events { first, last } => {
                    (None, None, Some(integer(*first)?), Some(integer(*last)?))
                }
            };
            entries.push((change.at, change.run_id.as_str(), node, new, first, last));
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    let columns = vec![
        column(entries.iter().map(|entry| entry.0)),
        column(entries.iter().map(|entry| entry.1)),
        column(entries.iter().map(|entry| entry.2)),
        column(entries.iter().map(|entry| entry.3)),
        column(entries.iter().map(|entry| entry.4)),
        column(entries.iter().map(|entry| entry.5)),
    ];
    all.push(Statement { sql: sql::OUTBOX_INSERT, columns, returns: Returns::OutboxIds });
    Ok(())
}

/// Takes what was decided off the list of parked items, unless its wake-up is still
/// that of the parking.
fn parked<'a>(changes: &[&'a ChangeRows], all: &mut Vec<Statement<'a>>) {
    let mut decided: Vec<(&'a str, &'a str, Option<i64>)> = Vec::new();
    for change in changes {
        let heads = change.nodes.iter().map(|node| &node.head).chain(&change.heads);
        let heads = heads.filter(|head| head.version > 0);
        decided.extend(
            change.run.iter().filter(|run| run.version > 0).map(|run| (run.run_id.as_str(), "", None)),
        );
        decided.extend(heads.map(|head| (head.run_id.as_str(), head.node_run_id.as_str(), head.wake_at())));
    }
    if decided.is_empty() {
        return;
    }
    let columns = vec![
        column(decided.iter().map(|item| item.0)),
        column(decided.iter().map(|item| item.1)),
        column(decided.iter().map(|item| item.2)),
    ];
    all.push(Statement { sql: sql::PARKED_DELETE, columns, returns: Returns::Nothing });
}
