//! The tables of a journal as another store takes them over, row by row: for the command
//! `journal copy`, from a file into a database or back.
//!
//! What is about processes (registered workers, claims' fences, duties) is not copied:
//! none may run. Claims are, and are freed with the first start.

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Flag,
    Bytes,
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(Option<String>),
    Integer(Option<i64>),
    Flag(Option<bool>),
    Bytes(Option<Vec<u8>>),
}

/// A table of the store that takes over, and its columns in the order of cells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Kind)],
}

use Kind::{Bytes as X, Flag as F, Integer as I, Text as T};

const fn table(name: &'static str, columns: &'static [(&'static str, Kind)]) -> Table {
    Table { name, columns }
}

/// All of them.
pub(super) const TABLES: [Table; 16] = [
    table(
        "runs",
        &[
            ("run_id", T),
            ("version", I),
            ("terminal", F),
            ("deadline", I),
            ("changed_at", I),
            ("over_at", I),
            ("started_at", I),
            ("state", T),
            ("ended_at", I),
            ("node_type", T),
            ("node_version", T),
            ("owner", T),
            ("error_code", T),
            ("labels", T),
            ("held", F),
            ("rerun_of", T),
            ("body", T),
        ],
    ),
    table(
        "node_runs",
        &[
            ("node_run_id", T),
            ("run_id", T),
            ("version", I),
            ("path", T),
            ("terminal", F),
            ("kind", T),
            ("state", T),
            ("started_at", I),
            ("ended_at", I),
            ("attempt", I),
            ("astray", F),
            ("deadline", I),
            ("wake_job", T),
            ("wake_at", I),
            ("wake_owner", T),
            ("wake_tries", I),
            ("waits_since", I),
            ("apart", I),
            ("body", T),
            ("inputs", T),
            ("outputs", T),
        ],
    ),
    table("events", &[("run_id", T), ("seq", I), ("path", T), ("body", T)]),
    table("attempts", &[("node_run_id", T), ("attempt", I), ("body", T)]),
    table(
        "outbox",
        &[
            ("id", I),
            ("decided_at", I),
            ("run_id", T),
            ("node_run_id", T),
            ("new", F),
            ("first_seq", I),
            ("last_seq", I),
        ],
    ),
    table(
        "parked",
        &[
            ("run_id", T),
            ("node_run_id", T),
            ("job", T),
            ("error", T),
            ("since", I),
            ("until", I),
            ("times", I),
        ],
    ),
    table("audit_trail", &[("id", I), ("at", I), ("run_id", T), ("body", T)]),
    table("secrets", &[("name", T), ("value", X)]),
    table("marks", &[("name", T), ("at", I)]),
    table("pauses", &[("scope", T), ("body", T)]),
    table("notices", &[("at", I), ("body", T)]),
    table("executors_reported", &[("executor", T), ("member", T), ("is_down", F), ("at", I)]),
    table(
        "webhooks",
        &[
            ("webhook_id", T),
            ("created_at", I),
            ("body", T),
            ("last_success_at", I),
            ("failing_since", I),
            ("failures", I),
            ("last_error", T),
            ("paused_until", I),
            ("disabled_at", I),
            ("dropped", I),
        ],
    ),
    table(
        "webhook_deliveries",
        &[
            ("id", I),
            ("webhook_id", T),
            ("event_id", T),
            ("kind", T),
            ("body", T),
            ("created_at", I),
            ("tries", I),
            ("next_at", I),
            ("last_error", T),
        ],
    ),
    table(
        "bulk_jobs",
        &[("bulk_id", T), ("version", I), ("created_at", I), ("ended_at", I), ("wake_at", I), ("body", T)],
    ),
    table("bulk_results", &[("bulk_id", T), ("number", I), ("run_id", T), ("outcome", T), ("detail", T)]),
];
