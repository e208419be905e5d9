//! The tables of runs that repeat others, and of bulk jobs.

/// Runs that repeat others. What is being repeated is not deleted, so it is found by
/// what repeats it.
pub(super) const RERUNS: &str = "
    ALTER TABLE run_list ADD COLUMN rerun_of TEXT;
    CREATE INDEX run_list_reruns ON run_list (rerun_of) WHERE rerun_of IS NOT NULL AND ended_at IS NULL;
";

/// Bulk jobs. One that is live has a time at which it goes on.
pub(super) const BULK_JOBS: &str = "
    CREATE TABLE bulk_jobs (
        bulk_id    TEXT PRIMARY KEY NOT NULL,
        version    INTEGER NOT NULL CHECK (version > 0),
        created_at INTEGER NOT NULL,
        ended_at   INTEGER,
        wake_at    INTEGER,
        body       TEXT NOT NULL,
        CONSTRAINT live_jobs_go_on CHECK ((ended_at IS NULL) = (wake_at IS NOT NULL))
    ) STRICT;
    CREATE INDEX bulk_jobs_by_age ON bulk_jobs (created_at, bulk_id);
    CREATE INDEX bulk_jobs_live ON bulk_jobs (wake_at) WHERE wake_at IS NOT NULL;
    CREATE INDEX bulk_jobs_ended ON bulk_jobs (ended_at) WHERE ended_at IS NOT NULL;
    CREATE TABLE bulk_results (
        bulk_id TEXT NOT NULL,
        number  INTEGER NOT NULL,
        run_id  TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('pending', 'done', 'skipped', 'failed')),
        detail  TEXT,
        PRIMARY KEY (bulk_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX bulk_results_by_outcome ON bulk_results (bulk_id, outcome, number);
";
