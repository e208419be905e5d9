//! The schema and how it came to be: one migration for each version, forward only.
//!
//! ```text
//!   empty ─1─▶ runs, nodes, events ─2─▶ secrets ─3─▶ outbox ─4─▶ parking, pruning ─5─▶ heads, payloads
//!         ─6─▶ audit trail ─7─▶ approvals ─8─▶ list of runs ─9─▶ webhooks ─10─▶ labels, counts
//!         ─11─▶ marks ─12─▶ holds, pauses ─13─▶ reruns ─14─▶ bulk jobs ─15─▶ heartbeats
//!         ─16─▶ duties
//! ```
//!
//! A wake-up's claim is in the column `wake_owner`, the registered workers in the
//! table `owners`, and "a superseded attempt may run" in the column `astray`: names
//! that a schema has are kept. The tests have journals as the program of each
//! schema left them.

use rusqlite::Connection;

/// `JRCJ`, the coordinator's journal: stands in the header of each file.
pub(super) const APPLICATION_ID: i32 = 0x4a52_434a;

mod operating;
mod replicas;
mod reruns;

use self::{
    operating::{LABELS, MARKS, STEERING, WEBHOOKS},
    replicas::{DUTIES, HEARTBEATS},
    reruns::{BULK_JOBS, RERUNS},
};

/// The migrations in order; the first creates the schema. One that was released is
/// never changed: append another.
const MIGRATIONS: [&str; 16] = [
    SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4, SCHEMA_5, SCHEMA_6, SCHEMA_7, SCHEMA_8, WEBHOOKS, LABELS, MARKS,
    STEERING, RERUNS, BULK_JOBS, HEARTBEATS, DUTIES,
];

/// The schema version of this program.
pub(super) const KNOWN: i64 = MIGRATIONS.len() as i64;

/// The first schema with an audit trail.
pub(super) const AUDIT_TRAIL_SINCE: i64 = 6;

/// The constraints enforce what the coordinator relies on: every record that is not
/// terminal has a deadline or a wake-up.
const SCHEMA_1: &str = "
    CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
    CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;

    CREATE TABLE node_runs (
        node_run_id TEXT PRIMARY KEY NOT NULL,
        run_id      TEXT NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        path        TEXT NOT NULL,
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        wake_job    TEXT,
        wake_at     INTEGER,
        wake_owner  TEXT,
        wake_tries  INTEGER,
        body        TEXT NOT NULL,
        CONSTRAINT a_live_node_run_has_a_wake_up CHECK (terminal = 1 OR wake_at IS NOT NULL),
        CONSTRAINT a_wake_up_is_whole CHECK (
            (wake_at IS NULL) = (wake_job IS NULL)
            AND (wake_at IS NULL) = (wake_tries IS NULL)
            AND (wake_owner IS NULL OR wake_at IS NOT NULL))
    ) STRICT;
    CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
    CREATE INDEX wakes_free ON node_runs (wake_at) WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
    CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;

    CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id      TEXT NOT NULL,
        what        TEXT NOT NULL CHECK (what IN ('run', 'node_run', 'event')),
        key         TEXT NOT NULL
    ) STRICT;
";

/// Secrets by name, which the coordinator needs again after a restart. They are a
/// reason why only the file's user can read it.
const SCHEMA_2: &str = "
    CREATE TABLE secrets (
        name        TEXT PRIMARY KEY NOT NULL,
        value       BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The outbox, with what is new and when it was decided. The first one was always
/// empty: no released program wrote to it. A row with sequence numbers is about
/// events, any other about an object: the run if it names no node run.
const SCHEMA_3: &str = "
    DROP TABLE outbox;
    CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        decided_at  INTEGER NOT NULL,
        run_id      TEXT NOT NULL,
        node_run_id TEXT,
        new         INTEGER CHECK (new IN (0, 1)),
        first_seq   INTEGER,
        last_seq    INTEGER,
        CONSTRAINT events_or_an_object CHECK (
            (first_seq IS NULL) = (last_seq IS NULL)
            AND (first_seq IS NULL) <> (new IS NULL)
            AND (node_run_id IS NULL OR new IS NOT NULL))
    ) STRICT;
";

/// Parking and pruning.
///
/// - `changed_at` is the time of the last commit that wrote the run. For older rows
///   it is the time of their newest event; 0 if that cannot be read, and such a run
///   is never deleted. Only finished runs are indexed by it: for the others that
///   would be one more page in every commit.
/// - Unclaimed wake-ups are found without those of excepted runs, from the index
///   alone.
/// - `parked` holds items that fail repeatedly; an empty node run stands for the
///   run as a whole.
/// - The nodes of a run are also found when they are terminal. Outbox entries of a
///   run are found without an index, which would be three more pages in every
///   commit (see `prune::prunable`).
const SCHEMA_4: &str = "
    ALTER TABLE runs ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET changed_at = coalesce((
        SELECT unixepoch(substr(time, 1, 19)) * 1000000 + CAST(substr(time, 21, 6) AS INTEGER)
        FROM (SELECT CASE WHEN json_valid(body) THEN body ->> '$.time' END AS time
              FROM events WHERE events.run_id = runs.run_id ORDER BY seq DESC LIMIT 1)), 0);
    CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;

    CREATE INDEX node_runs_of_run ON node_runs (run_id);
    DROP INDEX wakes_free;
    CREATE INDEX wakes_free ON node_runs (wake_at, wake_job, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;

    CREATE TABLE parked (
        run_id      TEXT NOT NULL,
        node_run_id TEXT NOT NULL,
        job         TEXT NOT NULL,
        error       TEXT NOT NULL,
        since       INTEGER NOT NULL,
        until       INTEGER NOT NULL,
        times       INTEGER NOT NULL CHECK (times > 0),
        PRIMARY KEY (run_id, node_run_id)
    ) STRICT, WITHOUT ROWID;
";

/// Heads of node runs, and large payloads.
///
/// - Cascades, claims and sweeps need only columns of a node run, so they read no
///   bodies. `state` and `ended_at` change only there: in the body they are as old
///   as the body. For a body that cannot be read, the migration derives the head
///   from the wake-up; other columns stay empty.
/// - Large inputs and outputs are rows of their own (`apart`: 1 inputs, 2 outputs),
///   because most changes of a node run leave them as they are. In rows of older
///   schemas they stay in the body until the node run is next written.
/// - Unclaimed wake-ups are found for one job and one kind of node at a time, in
///   order, and still without those of excepted runs from the index alone: wake-ups
///   that wait for an executor are in nothing else's way.
/// - The columns are added in place: rewriting the table would need as much room
///   again, which a journal near its limit does not have.
const SCHEMA_5: &str = "
    ALTER TABLE node_runs ADD COLUMN kind TEXT CHECK (kind IN ('atomic', 'composite'));
    ALTER TABLE node_runs ADD COLUMN state TEXT CONSTRAINT what_is_over_has_ended CHECK (
        state IN ('queued', 'assigned', 'running', 'succeeded', 'failed', 'canceled')
        AND (terminal = 1) = (state IN ('succeeded', 'failed', 'canceled')));
    ALTER TABLE node_runs ADD COLUMN started_at INTEGER;
    ALTER TABLE node_runs ADD COLUMN ended_at INTEGER;
    ALTER TABLE node_runs ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0);
    ALTER TABLE node_runs ADD COLUMN astray INTEGER NOT NULL DEFAULT 0 CHECK (astray IN (0, 1));
    ALTER TABLE node_runs ADD COLUMN deadline INTEGER;
    ALTER TABLE node_runs ADD COLUMN apart INTEGER NOT NULL DEFAULT 0 CHECK (apart BETWEEN 0 AND 3);

    UPDATE node_runs SET
        kind = CASE WHEN body ->> '$.node.kind' IN ('atomic', 'composite') THEN body ->> '$.node.kind' END,
        state = CASE
            WHEN terminal = 1 AND body ->> '$.node.state' IN ('succeeded', 'failed', 'canceled')
              OR terminal = 0 AND body ->> '$.node.state' IN ('queued', 'assigned', 'running')
            THEN body ->> '$.node.state' END,
        started_at = unixepoch(substr(body ->> '$.node.started_at', 1, 19)) * 1000000
                   + CAST(substr(body ->> '$.node.started_at', 21, 6) AS INTEGER),
        ended_at = unixepoch(substr(body ->> '$.node.ended_at', 1, 19)) * 1000000
                 + CAST(substr(body ->> '$.node.ended_at', 21, 6) AS INTEGER),
        attempt = CASE WHEN json_type(body, '$.attempt') = 'integer'
                        AND body ->> '$.attempt' BETWEEN 0 AND 4294967295
                  THEN body ->> '$.attempt' ELSE 0 END,
        astray = coalesce(json_type(body, '$.astray') = 'true', 0),
        deadline = unixepoch(substr(body ->> '$.deadline', 1, 19)) * 1000000
                 + CAST(substr(body ->> '$.deadline', 21, 6) AS INTEGER)
    WHERE json_valid(body);
    UPDATE node_runs
    SET state = CASE WHEN terminal = 1 THEN 'failed' WHEN wake_job = 'deadline' THEN 'running' ELSE 'queued' END
    WHERE state IS NULL;

    DROP INDEX wakes_free;
    CREATE INDEX wakes_free ON node_runs (wake_job, kind, wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;

    CREATE TABLE node_payloads (
        node_run_id TEXT NOT NULL,
        member      TEXT NOT NULL CHECK (member IN ('inputs', 'outputs')),
        content     TEXT NOT NULL,
        PRIMARY KEY (node_run_id, member)
    ) STRICT;
";

/// The audit trail.
///
/// - Its rows outlive their runs, so `run_id` may name a run that is gone.
/// - Each commit that a caller causes adds a row, so there is one index only: no
///   row is looked for by its time alone (see `audit`).
const SCHEMA_6: &str = "
    CREATE TABLE audit_trail (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        at          INTEGER NOT NULL,
        run_id      TEXT,
        body        TEXT NOT NULL
    ) STRICT;
    CREATE INDEX audit_trail_of_run ON audit_trail (run_id) WHERE run_id IS NOT NULL;
";

/// Approvals: since when a node run waits for one. No other commit changes the index.
const SCHEMA_7: &str = "
    ALTER TABLE node_runs ADD COLUMN waits_since INTEGER;
    CREATE INDEX approvals ON node_runs (waits_since, node_run_id, run_id) WHERE wake_job = 'approval';
";

/// The list of runs, and the nodes of a run in the order of their paths.
///
/// - A list must not read the bodies of runs, so it has a table of its own, in its
///   order. A run writes it when it starts and when it ends.
/// - It is filled row by row from what is there: the time that takes grows with the
///   number of runs, the memory does not. Times in bodies are of one form, with six
///   digits behind the second.
/// - The error of a run that ended before is its root's.
const SCHEMA_8: &str = "
    CREATE TABLE run_list (
        started_at   INTEGER NOT NULL,
        run_id       TEXT NOT NULL,
        state        TEXT NOT NULL,
        ended_at     INTEGER,
        node_type    TEXT,
        node_version TEXT,
        owner        TEXT,
        error_code   TEXT,
        PRIMARY KEY (started_at, run_id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO run_list
        SELECT CASE WHEN runs.body ->> '$.run.started_at' IS NULL THEN 0
                    ELSE CAST(strftime('%s', runs.body ->> '$.run.started_at') AS INTEGER) * 1000000
                       + CAST(substr(runs.body ->> '$.run.started_at', 21, 6) AS INTEGER) END,
               runs.run_id,
               runs.body ->> '$.run.state',
               CAST(strftime('%s', runs.body ->> '$.run.ended_at') AS INTEGER) * 1000000
                   + CAST(substr(runs.body ->> '$.run.ended_at', 21, 6) AS INTEGER),
               root.body ->> '$.node.node_type_ref.node_type_id',
               root.body ->> '$.node.node_type_ref.version',
               CASE json_type(runs.body, '$.owner')
                   WHEN 'object' THEN runs.body -> '$.owner'
                   WHEN 'text' THEN json_object('subject', runs.body ->> '$.owner') END,
               CASE WHEN runs.terminal = 1 THEN coalesce(
                   root.body ->> '$.node.extensions.completion_error.code',
                   root.body ->> '$.node.extensions.\"jarvis.completion_error\".code') END
        FROM runs LEFT JOIN node_runs AS root ON root.node_run_id = runs.body ->> '$.run.root_node_run_id'
        WHERE json_valid(runs.body) AND (root.body IS NULL OR json_valid(root.body))
          AND runs.body ->> '$.run.state' IS NOT NULL;
    DROP INDEX node_runs_of_run;
    CREATE INDEX node_runs_of_run ON node_runs (run_id, path);
";

/// A migration that failed. The file is unchanged by it.
pub(super) struct NotMigrated {
    pub(super) from: usize,
    pub(super) error: rusqlite::Error,
}

/// Executes the missing migrations. Each is one transaction, its number included.
pub(super) fn migrate(connection: &Connection) -> Result<(), NotMigrated> {
    let done: u32 = connection
        .query_one("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| NotMigrated { from: 0, error })?;
    for (from, step) in MIGRATIONS.iter().enumerate().skip(done as usize) {
        let version = from + 1;
        let made = connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION_ID};
             {step}
             PRAGMA user_version = {version};
             COMMIT;"
        ));
        // Closing the connection undoes the open transaction.
        made.map_err(|error| NotMigrated { from, error })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
