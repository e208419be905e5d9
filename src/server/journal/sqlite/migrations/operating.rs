//! Schemas 9 to 12: what operators see, steer and are reported.

/// Webhooks: what is not looked at yet, the subscriptions, and what their targets have
/// yet to accept.
///
/// - A delivery with a `next_at` waits, one without was given up. There are at most some
///   thousands of each subscription, so there is one index: an empty table or index is a
///   page of every journal.
/// - Without subscriptions all of these tables stay empty, and no commit touches them.
pub(super) const WEBHOOKS: &str = "
    CREATE TABLE notices (
        id          INTEGER PRIMARY KEY,
        at          INTEGER NOT NULL,
        body        TEXT NOT NULL
    ) STRICT;
    CREATE TABLE executors_reported (
        executor    TEXT NOT NULL,
        member      TEXT NOT NULL,
        is_down     INTEGER NOT NULL CHECK (is_down IN (0, 1)),
        at          INTEGER NOT NULL,
        PRIMARY KEY (executor, member)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE webhooks (
        webhook_id      TEXT PRIMARY KEY NOT NULL,
        created_at      INTEGER NOT NULL,
        body            TEXT NOT NULL,
        last_success_at INTEGER,
        failing_since   INTEGER,
        failures        INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
        last_error      TEXT,
        paused_until    INTEGER,
        disabled_at     INTEGER,
        dropped         INTEGER NOT NULL DEFAULT 0 CHECK (dropped >= 0)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE webhook_deliveries (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        webhook_id  TEXT NOT NULL,
        event_id    TEXT NOT NULL,
        kind        TEXT NOT NULL,
        body        TEXT NOT NULL,
        created_at  INTEGER NOT NULL,
        tries       INTEGER NOT NULL CHECK (tries >= 0),
        next_at     INTEGER,
        last_error  TEXT
    ) STRICT;
    CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at, created_at);
";

/// Labels of runs, and how many runs there are.
///
/// - `run_list.labels` is an object in JSON, as [`Labels`](crate::record::Labels) are:
///   null without any. `run_labels` finds the runs of a label in the order of the list.
/// - `run_counts` has the number of runs by owner and state: who may see a run depends
///   on its owner. A run without an owner counts under the empty text.
/// - Triggers keep both as the list is: no statement can forget them.
pub(super) const LABELS: &str = r#"
    ALTER TABLE run_list ADD COLUMN labels TEXT;
    UPDATE run_list SET labels = found.labels
    FROM (SELECT id, json_group_object(name, value) AS labels
          FROM (SELECT runs.run_id AS id, label.key AS name, label.value AS value,
                       row_number() OVER (PARTITION BY runs.run_id ORDER BY label.key) AS place
                FROM runs, json_each(CASE WHEN json_valid(runs.body) THEN runs.body ELSE '{}' END,
                                     '$.run.extensions."jarvis.metadata".labels') AS label
                WHERE label.type = 'text' AND typeof(label.key) = 'text' AND length(label.key) BETWEEN 1 AND 63
                  AND length(label.value) <= 255
                  AND instr(label.key, char(0)) = 0 AND instr(label.value, char(0)) = 0)
          WHERE place <= 16 GROUP BY id) AS found
    WHERE found.id = run_list.run_id;

    CREATE TABLE run_labels (
        name         TEXT NOT NULL,
        value        TEXT NOT NULL,
        started_at   INTEGER NOT NULL,
        run_id       TEXT NOT NULL,
        PRIMARY KEY (name, value, started_at, run_id)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO run_labels
        SELECT label.key, label.value, started_at, run_id FROM run_list, json_each(run_list.labels) AS label
        WHERE labels IS NOT NULL;

    CREATE TABLE run_counts (
        owner        TEXT NOT NULL,
        state        TEXT NOT NULL,
        runs         INTEGER NOT NULL CHECK (runs > 0),
        PRIMARY KEY (owner, state)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO run_counts SELECT coalesce(owner, ''), state, count(*) FROM run_list GROUP BY 1, 2;

    CREATE TRIGGER run_listed AFTER INSERT ON run_list BEGIN
        INSERT INTO run_counts VALUES (coalesce(new.owner, ''), new.state, 1)
            ON CONFLICT DO UPDATE SET runs = runs + 1;
    END;
    CREATE TRIGGER run_labeled AFTER INSERT ON run_list WHEN new.labels IS NOT NULL BEGIN
        INSERT INTO run_labels
            SELECT key, value, new.started_at, new.run_id FROM json_each(new.labels);
    END;
    CREATE TRIGGER run_moved AFTER UPDATE OF owner, state ON run_list BEGIN
        INSERT INTO run_counts VALUES (coalesce(new.owner, ''), new.state, 1)
            ON CONFLICT DO UPDATE SET runs = runs + 1;
        DELETE FROM run_counts WHERE owner = coalesce(old.owner, '') AND state = old.state AND runs = 1;
        UPDATE run_counts SET runs = runs - 1 WHERE owner = coalesce(old.owner, '') AND state = old.state;
    END;
    CREATE TRIGGER run_unlisted AFTER DELETE ON run_list BEGIN
        DELETE FROM run_counts WHERE owner = coalesce(old.owner, '') AND state = old.state AND runs = 1;
        UPDATE run_counts SET runs = runs - 1 WHERE owner = coalesce(old.owner, '') AND state = old.state;
    END;
    CREATE TRIGGER run_unlabeled AFTER DELETE ON run_list WHEN old.labels IS NOT NULL BEGIN
        DELETE FROM run_labels WHERE (name, value, started_at, run_id) IN (
            SELECT key, value, old.started_at, old.run_id FROM json_each(old.labels));
    END;
"#;

/// Times by name: how far something has come that goes through the journal.
pub(super) const MARKS: &str = "
    CREATE TABLE marks (
        name        TEXT PRIMARY KEY NOT NULL,
        at          INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Holds of runs, and pauses of dispatch. Held runs are few: their index has no others.
pub(super) const STEERING: &str = "
    ALTER TABLE run_list ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1));
    CREATE INDEX run_list_held ON run_list (run_id) WHERE held = 1;
    CREATE TABLE pauses (
        scope       TEXT PRIMARY KEY NOT NULL,
        body        TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";
