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

/// What one worker does for all, and which one that is. A row whose worker is not in
/// `owners` says nothing.
pub(super) const DUTIES: &str = "
    CREATE TABLE duties (
        duty     TEXT PRIMARY KEY NOT NULL,
        owner_id TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";
