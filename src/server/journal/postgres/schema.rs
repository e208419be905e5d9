//! The schema: one migration for each version, forward only.
//!
//! ```text
//!   empty ─1─▶ everything
//! ```
//!
//! Tables and columns have the names of the built-in journal, where they say the same:
//! the claim of a wake-up is in `wake_owner`, the registered workers in `owners`. What is
//! different:
//!
//! - The list of runs is a part of `runs`: a row more for each run would cost more here
//!   than wider rows. No index has a column that most changes of a run change, so they
//!   stay within their page (HOT).
//! - Large inputs and outputs are columns of their node. PostgreSQL stores them apart,
//!   and an update does not copy them.
//! - Runs that have ended are counted in `run_counts`, in slots: one for each writer, so
//!   that none waits for another. (Live runs are counted by reading them.)
//! - Texts that are keys or in the order of a list compare by bytes (`COLLATE "C"`).

use tokio_postgres::error::SqlState;

use super::{
    error::describe,
    link::{Connector, Live},
};
use crate::journal::OpenError;

/// The migrations in order; the first creates the schema. One that was released is never
/// changed: append another.
const MIGRATIONS: [&str; 1] = [SCHEMA_1];

/// The schema version of this program.
pub(super) const KNOWN: i32 = MIGRATIONS.len() as i32;

/// The oldest server that is supported.
const OLDEST: i32 = 15;

/// Serializes the migrations of processes that start at the same time.
const MIGRATION_LOCK: i64 = 0x4a52_434a;

const SCHEMA_1: &str = r#"
    CREATE TABLE meta (
        single      boolean PRIMARY KEY DEFAULT true CHECK (single),
        schema      integer NOT NULL,
        system      text NOT NULL,
        audit_base  bigint NOT NULL
    );
    INSERT INTO meta (schema, system, audit_base)
        SELECT 0, system_identifier::text, 0 FROM pg_control_system();

    CREATE TABLE runs (
        run_id       text COLLATE "C" PRIMARY KEY,
        version      bigint NOT NULL CHECK (version > 0),
        terminal     boolean NOT NULL,
        deadline     bigint,
        changed_at   bigint NOT NULL,
        over_at      bigint,
        started_at   bigint NOT NULL,
        state        text NOT NULL,
        ended_at     bigint,
        node_type    text,
        node_version text,
        owner        text,
        error_code   text,
        labels       text,
        held         boolean NOT NULL,
        rerun_of     text COLLATE "C",
        body         text NOT NULL,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal OR deadline IS NOT NULL),
        CONSTRAINT what_is_over_has_a_time CHECK (terminal = (over_at IS NOT NULL))
    ) WITH (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX runs_due ON runs (deadline) WHERE NOT terminal;
    CREATE INDEX runs_over ON runs (over_at) WHERE terminal;
    CREATE INDEX runs_listed ON runs (started_at, run_id);
    CREATE INDEX runs_held ON runs (run_id) WHERE held;
    CREATE INDEX runs_reruns ON runs (rerun_of) WHERE rerun_of IS NOT NULL AND NOT terminal;

    CREATE TABLE run_labels (
        name         text COLLATE "C" NOT NULL,
        value        text COLLATE "C" NOT NULL,
        started_at   bigint NOT NULL,
        run_id       text COLLATE "C" NOT NULL,
        PRIMARY KEY (name, value, started_at, run_id)
    );
    CREATE INDEX run_labels_of_run ON run_labels (run_id);

    CREATE TABLE run_counts (
        owner        text COLLATE "C" NOT NULL,
        state        text COLLATE "C" NOT NULL,
        slot         smallint NOT NULL,
        runs         bigint NOT NULL,
        PRIMARY KEY (owner, state, slot)
    ) WITH (fillfactor = 50);

    CREATE TABLE node_runs (
        node_run_id  text COLLATE "C" PRIMARY KEY,
        number       bigint GENERATED ALWAYS AS IDENTITY,
        run_id       text COLLATE "C" NOT NULL,
        version      bigint NOT NULL CHECK (version > 0),
        path         text COLLATE "C" NOT NULL,
        terminal     boolean NOT NULL,
        kind         text COLLATE "C" CHECK (kind IN ('atomic', 'composite')),
        state        text NOT NULL,
        started_at   bigint,
        ended_at     bigint,
        attempt      bigint NOT NULL CHECK (attempt >= 0),
        astray       boolean NOT NULL,
        deadline     bigint,
        wake_job     text COLLATE "C",
        wake_at      bigint,
        wake_owner   text COLLATE "C",
        wake_tries   bigint,
        waits_since  bigint,
        apart        bigint NOT NULL CHECK (apart BETWEEN 0 AND 3),
        body         text NOT NULL,
        inputs       text,
        outputs      text,
        CONSTRAINT a_live_node_run_has_a_wake_up CHECK (terminal OR wake_at IS NOT NULL),
        CONSTRAINT a_wake_up_is_whole CHECK (
            (wake_at IS NULL) = (wake_job IS NULL)
            AND (wake_at IS NULL) = (wake_tries IS NULL)
            AND (wake_owner IS NULL OR wake_at IS NOT NULL)),
        CONSTRAINT what_is_over_has_ended CHECK (
            state IN ('queued', 'assigned', 'running', 'succeeded', 'failed', 'canceled')
            AND terminal = (state IN ('succeeded', 'failed', 'canceled')))
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE NOT terminal;
    CREATE INDEX node_runs_of_run ON node_runs (run_id, path);
    CREATE INDEX wakes_free ON node_runs (wake_job, kind, wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
    CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
    CREATE INDEX approvals ON node_runs (waits_since, node_run_id, run_id) WHERE wake_job = 'approval';

    CREATE TABLE events (
        run_id       text COLLATE "C" NOT NULL,
        seq          bigint NOT NULL CHECK (seq > 0),
        path         text COLLATE "C",
        body         text NOT NULL,
        PRIMARY KEY (run_id, seq)
    );

    CREATE TABLE attempts (
        node_run_id  text COLLATE "C" NOT NULL,
        attempt      bigint NOT NULL CHECK (attempt > 0),
        body         text NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    );

    CREATE TABLE outbox (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        decided_at   bigint NOT NULL,
        run_id       text COLLATE "C" NOT NULL,
        node_run_id  text COLLATE "C",
        new          boolean,
        first_seq    bigint,
        last_seq     bigint,
        CONSTRAINT events_or_an_object CHECK (
            (first_seq IS NULL) = (last_seq IS NULL)
            AND (first_seq IS NULL) <> (new IS NULL)
            AND (node_run_id IS NULL OR new IS NOT NULL))
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX outbox_of_run ON outbox (run_id, id);

    CREATE TABLE parked (
        run_id       text COLLATE "C" NOT NULL,
        node_run_id  text COLLATE "C" NOT NULL,
        job          text NOT NULL,
        error        text NOT NULL,
        since        bigint NOT NULL,
        until        bigint NOT NULL,
        times        bigint NOT NULL CHECK (times > 0),
        PRIMARY KEY (run_id, node_run_id)
    );

    CREATE TABLE audit_trail (
        id           bigint PRIMARY KEY,
        at           bigint NOT NULL,
        run_id       text COLLATE "C",
        body         text NOT NULL
    );
    CREATE INDEX audit_trail_of_run ON audit_trail (run_id, id) WHERE run_id IS NOT NULL;

    CREATE TABLE secrets (
        name         text COLLATE "C" PRIMARY KEY,
        value        bytea NOT NULL
    );
    CREATE TABLE marks (
        name         text COLLATE "C" PRIMARY KEY,
        at           bigint NOT NULL
    );
    CREATE TABLE pauses (
        scope        text COLLATE "C" PRIMARY KEY,
        body         text NOT NULL
    );

    CREATE TABLE pause_changes (
        single       boolean PRIMARY KEY DEFAULT true CHECK (single),
        changes      bigint NOT NULL
    );
    INSERT INTO pause_changes (changes) VALUES (0);

    CREATE TABLE owners (
        owner_id     text COLLATE "C" PRIMARY KEY,
        beats        bigint NOT NULL,
        heard_to     bigint
    ) WITH (fillfactor = 10);
    CREATE TABLE heard (
        run_id       text COLLATE "C" NOT NULL,
        path         text COLLATE "C" NOT NULL,
        at           bigint NOT NULL,
        PRIMARY KEY (run_id, path)
    ) WITH (fillfactor = 50);
    CREATE TABLE hands (
        owner_id     text COLLATE "C" NOT NULL,
        hand         smallint NOT NULL,
        transactions bigint NOT NULL,
        PRIMARY KEY (owner_id, hand)
    ) WITH (fillfactor = 10);

    CREATE TABLE duties (
        duty         text COLLATE "C" PRIMARY KEY,
        owner_id     text COLLATE "C" NOT NULL
    );

    CREATE TABLE notices (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at           bigint NOT NULL,
        body         text NOT NULL
    );
    CREATE TABLE executors_reported (
        executor     text COLLATE "C" NOT NULL,
        member       text COLLATE "C" NOT NULL,
        is_down      boolean NOT NULL,
        at           bigint NOT NULL,
        PRIMARY KEY (executor, member)
    );
    CREATE TABLE webhooks (
        webhook_id      text COLLATE "C" PRIMARY KEY,
        created_at      bigint NOT NULL,
        body            text NOT NULL,
        last_success_at bigint,
        failing_since   bigint,
        failures        bigint NOT NULL DEFAULT 0 CHECK (failures >= 0),
        last_error      text,
        paused_until    bigint,
        disabled_at     bigint,
        dropped         bigint NOT NULL DEFAULT 0 CHECK (dropped >= 0)
    );
    CREATE TABLE webhook_deliveries (
        id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        webhook_id   text COLLATE "C" NOT NULL,
        event_id     text NOT NULL,
        kind         text NOT NULL,
        body         text NOT NULL,
        created_at   bigint NOT NULL,
        tries        bigint NOT NULL CHECK (tries >= 0),
        next_at      bigint,
        last_error   text
    );
    CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at, created_at);

    CREATE TABLE bulk_jobs (
        bulk_id      text COLLATE "C" PRIMARY KEY,
        version      bigint NOT NULL CHECK (version > 0),
        created_at   bigint NOT NULL,
        ended_at     bigint,
        wake_at      bigint,
        body         text NOT NULL,
        CONSTRAINT live_jobs_go_on CHECK ((ended_at IS NULL) = (wake_at IS NOT NULL))
    );
    CREATE INDEX bulk_jobs_by_age ON bulk_jobs (created_at, bulk_id);
    CREATE INDEX bulk_jobs_live ON bulk_jobs (wake_at) WHERE wake_at IS NOT NULL;
    CREATE INDEX bulk_jobs_ended ON bulk_jobs (ended_at) WHERE ended_at IS NOT NULL;
    CREATE TABLE bulk_results (
        bulk_id      text COLLATE "C" NOT NULL,
        number       bigint NOT NULL,
        run_id       text COLLATE "C" NOT NULL,
        outcome      text COLLATE "C" NOT NULL CHECK (outcome IN ('pending', 'done', 'skipped', 'failed')),
        detail       text,
        PRIMARY KEY (bulk_id, number)
    );
    CREATE INDEX bulk_results_by_outcome ON bulk_results (bulk_id, outcome, number);
"#;

/// What happens to a schema that is missing, or older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    IsMade,
    IsAnError,
}

/// Connects, checks the server and its settings, and migrates the schema if need be.
/// Ordinary starts change nothing of the schema.
pub(super) async fn open(connector: &Connector, missing: Missing) -> Result<(), OpenError> {
    let place = || connector.url.to_string();
    let failed = |reason: String| OpenError::Database { url: place(), reason };
    let live = connector.connect().await.map_err(failed)?;
    check_server(&live).await.map_err(failed)?;
    let found = version(&live).await.map_err(|e| failed(describe(&e)))?;
    let found = match (found, missing) {
        (Some(found @ KNOWN..), _) => found,
        (Some(_) | None, Missing::IsMade) => migrate(&live).await.map_err(failed)?,
        (Some(older), Missing::IsAnError) => {
            return Err(failed(format!("it has schema {older}: start the server of this version first")));
        }
        (None, Missing::IsAnError) => {
            return Err(failed("it has no journal: a server makes one when it first starts".into()));
        }
    };
    if found > KNOWN {
        return Err(OpenError::Newer { path: place(), found: found.into(), supported: KNOWN.into() });
    }
    let moved = live.client.execute(
        "UPDATE meta SET system = now.system_identifier::text,
                         audit_base = (SELECT coalesce(max(id), 0) FROM audit_trail)
         FROM pg_control_system() AS now WHERE meta.system <> now.system_identifier::text",
        &[],
    );
    moved.await.map_err(|e| failed(describe(&e)))?;
    Ok(())
}

/// Refuses a server that is too old, or may lose what it has confirmed.
pub(super) async fn check_server(live: &Live) -> Result<(), String> {
    let ask = "SELECT current_setting('server_version_num')::integer, current_setting('fsync') = 'on',
                      current_setting('full_page_writes') = 'on', current_setting('server_encoding'),
                      current_setting('server_version')";
    let row = live.client.query_one(ask, &[]).await.map_err(|e| describe(&e))?;
    let (number, version): (i32, String) = (row.get(0), row.get(4));
    if number / 10_000 < OLDEST {
        return Err(format!("PostgreSQL {version} is too old: use {OLDEST} or later"));
    }
    if !row.get::<_, bool>(1) {
        return Err(
            "the database runs with fsync = off and would lose runs in a crash: set fsync = on".into()
        );
    }
    if !row.get::<_, bool>(2) {
        return Err("the database runs with full_page_writes = off and may be damaged by a crash: set \
                    full_page_writes = on"
            .into());
    }
    let encoding: String = row.get(3);
    if encoding != "UTF8" {
        return Err(format!("the database has the encoding {encoding}: create it with ENCODING 'UTF8'"));
    }
    Ok(())
}

/// The version of the schema. `None`: there is none yet.
pub(super) async fn version(live: &Live) -> Result<Option<i32>, tokio_postgres::Error> {
    match live.client.query_one("SELECT schema FROM meta", &[]).await {
        Ok(row) => Ok(Some(row.get(0))),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Executes the missing migrations in one transaction, and returns the version that the
/// schema has then. Others that start at the same time wait.
async fn migrate(live: &Live) -> Result<i32, String> {
    let database = |error: tokio_postgres::Error| describe(&error);
    live.client
        .batch_execute("BEGIN; SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0")
        .await
        .map_err(database)?;
    live.client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.map_err(database)?;
    let is_new: bool =
        live.client.query_one("SELECT to_regclass('meta') IS NULL", &[]).await.map_err(database)?.get(0);
    let from = if is_new { 0 } else { version(live).await.map_err(database)?.unwrap_or(0) };
    for (step, number) in MIGRATIONS.iter().zip(1..).skip(usize::try_from(from).unwrap_or(0)) {
        let made = format!("{step}; UPDATE meta SET schema = {number}");
        live.client.batch_execute(&made).await.map_err(|error| {
            format!(
                "the migration to schema {number} failed ({}); the database is unchanged",
                describe(&error)
            )
        })?;
    }
    live.client.batch_execute("COMMIT").await.map_err(database)?;
    Ok(from.max(KNOWN))
}
