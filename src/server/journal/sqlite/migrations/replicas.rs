//! The tables of several processes on one journal.

/// Workers count their heartbeats, instead of saying until when they live: no clock is
/// compared. The rows are those of processes that have ended.
pub(super) const HEARTBEATS: &str = "
    DROP TABLE owners;
    CREATE TABLE owners (
        owner_id TEXT PRIMARY KEY NOT NULL,
        beats    INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// What several workers have to agree on.
///
/// - `duties`: what one of them does for all, and which one that is. A row whose worker
///   is not in `owners` says nothing.
/// - `pause_changes`: how often the pauses of dispatch have changed, in one row.
/// - `heard`: when the executors of composites were last heard from by any of them;
///   `heard_to`: what a worker has heard until then is in it.
pub(super) const DUTIES: &str = "
    CREATE TABLE duties (
        duty     TEXT PRIMARY KEY NOT NULL,
        owner_id TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pause_changes (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        changes  INTEGER NOT NULL
    ) STRICT;
    ALTER TABLE owners ADD COLUMN heard_to INTEGER;
    CREATE TABLE heard (
        run_id   TEXT NOT NULL,
        path     TEXT NOT NULL,
        at       INTEGER NOT NULL,
        PRIMARY KEY (run_id, path)
    ) STRICT, WITHOUT ROWID;
";
