//! The statements of the commit path. Columns come as arrays, one element for each row.
//!
//! What this path must not have, because it makes commits wait for one another or fails
//! at scale: notifications, savepoints, advisory locks, triggers, shared row locks, and
//! sequences as an order of commits. `cargo xtask tidy` looks for them in this file and
//! in `batch` and `writer`.

/// The first statement of each transaction of a worker. No row: the worker was declared
/// dead by another.
pub(super) const FENCE: &str =
    "UPDATE hands SET transactions = transactions + 1 WHERE owner_id = $1 AND hand = $2";

/// How often the pauses of dispatch have changed. After [`FENCE`]: a change of them
/// locks all fence rows before, so this sees it.
pub(super) const PAUSES_VERSION: &str = "SELECT changes FROM pause_changes";

/// Counts the runs that end with this transaction. Before [`RUNS_UPDATE`], which makes
/// them terminal; if another has done that first, that conflicts.
pub(super) const RUNS_ENDED: &str = "
    INSERT INTO run_counts (owner, state, slot, runs)
    SELECT coalesce(runs.owner, ''), coalesce(u.state, runs.state), $4, count(*)
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS u (run_id, version, state)
    JOIN runs ON runs.run_id = u.run_id AND runs.version = u.version AND NOT runs.terminal
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (owner, state, slot) DO UPDATE SET runs = run_counts.runs + excluded.runs";

/// The same of runs that are over when they are first written.
pub(super) const RUNS_ADOPTED: &str = "
    INSERT INTO run_counts (owner, state, slot, runs)
    SELECT coalesce(u.owner, ''), u.state, $3, count(*)
    FROM unnest($1::text[], $2::text[]) AS u (owner, state)
    GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (owner, state, slot) DO UPDATE SET runs = run_counts.runs + excluded.runs";

pub(super) const RUNS_UPDATE: &str = "
    UPDATE runs SET
        version = u.version + 1, terminal = u.terminal, deadline = u.deadline, body = u.body,
        changed_at = u.changed_at, over_at = CASE WHEN u.terminal THEN u.changed_at END,
        state = CASE WHEN u.terminal AND NOT runs.terminal THEN coalesce(u.state, runs.state) ELSE runs.state END,
        ended_at = CASE WHEN u.terminal AND NOT runs.terminal THEN u.ended_at ELSE runs.ended_at END,
        error_code = CASE WHEN u.terminal AND NOT runs.terminal THEN u.error_code ELSE runs.error_code END,
        held = coalesce(u.held, runs.held)
    FROM unnest($1::text[], $2::bigint[], $3::boolean[], $4::bigint[], $5::text[], $6::bigint[], $7::text[],
                $8::bigint[], $9::text[], $10::boolean[])
        AS u (run_id, version, terminal, deadline, body, changed_at, state, ended_at, error_code, held)
    WHERE runs.run_id = u.run_id AND runs.version = u.version
    RETURNING runs.run_id";

pub(super) const RUNS_INSERT: &str = "
    INSERT INTO runs (run_id, version, terminal, deadline, body, changed_at, over_at, started_at, state, ended_at,
                      error_code, node_type, node_version, owner, labels, held, rerun_of)
    SELECT run_id, 1, terminal, deadline, body, changed_at, CASE WHEN terminal THEN changed_at END, started_at,
           state, ended_at, error_code, node_type, node_version, owner, labels, held, rerun_of
    FROM unnest($1::text[], $2::boolean[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[],
                $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::boolean[],
                $15::text[])
        AS u (run_id, terminal, deadline, body, changed_at, started_at, state, ended_at, error_code, node_type,
              node_version, owner, labels, held, rerun_of)
    ON CONFLICT DO NOTHING
    RETURNING run_id";

pub(super) const LABELS_INSERT: &str = "
    INSERT INTO run_labels (name, value, started_at, run_id)
    SELECT label.key, label.value, u.started_at, u.run_id
    FROM unnest($1::text[], $2::bigint[], $3::text[]) AS u (run_id, started_at, labels),
         jsonb_each_text(u.labels::jsonb) AS label
    ON CONFLICT DO NOTHING";

/// The columns of a head, as all statements about nodes get them.
macro_rules! heads {
    ($($more:literal)?) => {
        concat!(
            "FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::text[], $7::bigint[],
                         $8::text[], $9::bigint[], $10::text[], $11::bigint[]",
            $(", ", $more,)?
            ")"
        )
    };
}

/// The rest of a node.
macro_rules! contents {
    () => {
        heads!(
            "$12::text[], $13::bigint[], $14::bigint[], $15::boolean[], $16::bigint[], $17::text[], $18::bigint[],
             $19::text[], $20::text[], $21::bigint[]"
        )
    };
}

/// Payloads that are stored already are not written again. Those that are apart and did
/// not come stay as they are.
pub(super) const NODES_UPDATE: &str = concat!(
    "UPDATE node_runs SET
        version = u.version + 1, terminal = u.terminal, state = u.state, ended_at = u.ended_at,
        wake_job = u.wake_job, wake_at = u.wake_at, wake_owner = u.wake_owner, wake_tries = u.wake_tries,
        kind = u.kind, started_at = u.started_at, attempt = u.attempt, astray = u.astray, deadline = u.deadline,
        body = u.body, apart = u.apart, waits_since = u.waits_since,
        inputs = CASE WHEN u.apart & 1 = 0 THEN NULL
                      WHEN u.inputs IS NULL OR u.inputs = node_runs.inputs THEN node_runs.inputs
                      ELSE u.inputs END,
        outputs = CASE WHEN u.apart & 2 = 0 THEN NULL
                       WHEN u.outputs IS NULL OR u.outputs = node_runs.outputs THEN node_runs.outputs
                       ELSE u.outputs END ",
    contents!(),
    " AS u (node_run_id, run_id, path, version, terminal, state, ended_at, wake_job, wake_at, wake_owner, wake_tries,
            kind, started_at, attempt, astray, deadline, body, apart, inputs, outputs, waits_since)
    WHERE node_runs.node_run_id = u.node_run_id AND node_runs.run_id = u.run_id AND node_runs.path = u.path
      AND node_runs.version = u.version
    RETURNING node_runs.run_id"
);

pub(super) const NODES_INSERT: &str = concat!(
    "INSERT INTO node_runs (node_run_id, run_id, path, version, terminal, state, ended_at, wake_job, wake_at,
                            wake_owner, wake_tries, kind, started_at, attempt, astray, deadline, body, apart, inputs,
                            outputs, waits_since)
    SELECT node_run_id, run_id, path, 1, terminal, state, ended_at, wake_job, wake_at, wake_owner, wake_tries, kind,
           started_at, attempt, astray, deadline, body, apart, inputs, outputs, waits_since ",
    contents!(),
    " WITH ORDINALITY AS u (node_run_id, run_id, path, version, terminal, state, ended_at, wake_job, wake_at,
            wake_owner, wake_tries, kind, started_at, attempt, astray, deadline, body, apart, inputs, outputs,
            waits_since, place)
    ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING run_id"
);

pub(super) const HEADS_UPDATE: &str = concat!(
    "UPDATE node_runs SET
        version = u.version + 1, terminal = u.terminal, state = u.state, ended_at = u.ended_at,
        wake_job = u.wake_job, wake_at = u.wake_at, wake_owner = u.wake_owner, wake_tries = u.wake_tries ",
    heads!(),
    " AS u (node_run_id, run_id, path, version, terminal, state, ended_at, wake_job, wake_at, wake_owner, wake_tries)
    WHERE node_runs.node_run_id = u.node_run_id AND node_runs.run_id = u.run_id AND node_runs.path = u.path
      AND node_runs.version = u.version
    RETURNING node_runs.run_id"
);

pub(super) const EVENTS_INSERT: &str = "
    INSERT INTO events (run_id, seq, path, body)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[])";

pub(super) const ATTEMPTS_PUT: &str = "
    INSERT INTO attempts (node_run_id, attempt, body)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])
    ON CONFLICT (node_run_id, attempt) DO UPDATE SET body = excluded.body";

/// Ids grow with the number of the transaction: a page ends before the first that is not
/// over, so that none is passed by (see `audit`).
pub(super) const AUDIT_INSERT: &str = "
    INSERT INTO audit_trail (id, at, run_id, body)
    SELECT (SELECT audit_base FROM meta) + (pg_current_xact_id()::text::bigint << 16) + place, at, run_id, body
    FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY AS u (at, run_id, body, place)";

pub(super) const NOTICES_INSERT: &str = "
    INSERT INTO notices (at, body)
    SELECT at, body FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS u (at, body, place) ORDER BY place";

pub(super) const OUTBOX_INSERT: &str = "
    INSERT INTO outbox (decided_at, run_id, node_run_id, new, first_seq, last_seq)
    SELECT decided_at, run_id, node_run_id, new, first_seq, last_seq
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::bigint[], $6::bigint[]) WITH ORDINALITY
        AS u (decided_at, run_id, node_run_id, new, first_seq, last_seq, place)
    ORDER BY place
    RETURNING id";

pub(super) const PARKED_DELETE: &str = "
    DELETE FROM parked USING unnest($1::text[], $2::text[], $3::bigint[]) AS u (run_id, node_run_id, until)
    WHERE parked.run_id = u.run_id AND parked.node_run_id = u.node_run_id
      AND parked.until IS DISTINCT FROM u.until";
