//! The command `journal check`: the references between tables, and the invariants of each
//! run, from a transaction that sees one moment. It only reads, also while servers use the
//! journal. (The files of the database are its own: `pg_amcheck`, checksums.)
//!
//! ```text
//!   orphans ─▶ each run: rows decode ─▶ columns agree ─▶ invariants ─▶ audit records decode
//! ```

use super::{PostgresJournal, link::Live, parking, read::head_columns, schema};
use crate::journal::{
    Contents, JournalError, Problems, Report,
    check::RunRows,
    rows::{NodeRow, RunRow, from_json},
};
use crate::record::AuditRecord;

/// Rows that are read at once.
const PAGE: i64 = 200;

const CONTENTS: &str =
    "SELECT (SELECT count(*) FROM runs WHERE NOT terminal), (SELECT count(*) FROM runs WHERE terminal),
    (SELECT count(*) FROM node_runs), (SELECT count(*) FROM events), (SELECT count(*) FROM audit_trail),
    (SELECT count(*) FROM outbox)";

const RUNS: &str = "SELECT run_id, version, terminal, deadline, body FROM runs WHERE run_id > $1
    ORDER BY run_id LIMIT $2";

const NODES: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", body, apart, CASE WHEN apart & 1 <> 0 THEN inputs END, CASE WHEN apart & 2 <> 0 THEN outputs END
     FROM node_runs WHERE run_id = $1"
);

const EVENTS: &str = "SELECT seq, body FROM events WHERE run_id = $1 ORDER BY seq";

const ATTEMPTS: &str = "SELECT node_run_id, body FROM attempts
    WHERE node_run_id IN (SELECT node_run_id FROM node_runs WHERE run_id = $1)";

const AUDIT: &str = "SELECT id, body FROM audit_trail WHERE id > $1 ORDER BY id LIMIT $2";

/// Rows that refer to what does not exist, or repeat it wrongly.
const ORPHANS: [(&str, &str); 10] = [
    (
        "node run without its run",
        "SELECT node_run_id FROM node_runs AS n WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = n.run_id)",
    ),
    (
        "events without their run",
        "SELECT DISTINCT run_id FROM events AS e WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = e.run_id)",
    ),
    (
        "attempts without their node run",
        "SELECT DISTINCT node_run_id FROM attempts AS a
         WHERE NOT EXISTS (SELECT 1 FROM node_runs AS n WHERE n.node_run_id = a.node_run_id)",
    ),
    (
        "inputs or outputs that are missing, or that no node run refers to",
        "SELECT node_run_id FROM node_runs
         WHERE (apart & 1 <> 0) <> (inputs IS NOT NULL) OR (apart & 2 <> 0) <> (outputs IS NOT NULL)",
    ),
    (
        "outbox entry without its run",
        "SELECT DISTINCT run_id FROM outbox AS o WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = o.run_id)",
    ),
    (
        "outbox entry without its node run",
        "SELECT DISTINCT node_run_id FROM outbox AS o WHERE node_run_id IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM node_runs AS n WHERE n.node_run_id = o.node_run_id)",
    ),
    (
        "node run that waits for an approval and is not listed",
        "SELECT node_run_id FROM node_runs WHERE wake_job = 'approval' AND waits_since IS NULL",
    ),
    (
        "labels without their run",
        "SELECT DISTINCT run_id FROM run_labels AS l
         WHERE NOT EXISTS (SELECT 1 FROM runs
                           WHERE runs.run_id = l.run_id AND runs.started_at = l.started_at
                             AND runs.labels::jsonb ->> l.name = l.value)",
    ),
    (
        "runs counted wrongly",
        "SELECT state FROM (
             SELECT coalesce(owner, '') AS owner, state, count(*) AS runs FROM runs WHERE terminal GROUP BY 1, 2
             UNION ALL SELECT owner, state, -runs FROM run_counts) AS counted
         GROUP BY owner, state HAVING sum(runs) <> 0",
    ),
    (
        "parked without its run",
        "SELECT DISTINCT run_id FROM parked AS p WHERE NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = p.run_id)",
    ),
];

impl PostgresJournal {
    /// Checks everything. An error means that the check could not be carried out.
    pub async fn check(&self) -> Result<Report, JournalError> {
        let snapshot = self.readers.snapshot().await?;
        // A big journal takes its time.
        snapshot.live.client.batch_execute("SET LOCAL statement_timeout = 0").await?;
        let live = &snapshot.live;
        let row = live.query_one(CONTENTS, &[]).await?;
        let mut problems = Problems::default();
        orphans(live, &mut problems).await?;
        runs(live, &mut problems).await?;
        audit_trail(live, &mut problems).await?;
        let contents = Contents {
            runs_live: row.try_get(0)?,
            runs_over: row.try_get(1)?,
            node_runs: row.try_get(2)?,
            events: row.try_get(3)?,
            audit_records: row.try_get(4)?,
        };
        let outbox = row.try_get(5)?;
        let parked = parking::list(live, u32::MAX).await?;
        Ok(Report { schema: schema::KNOWN.into(), contents, outbox, parked, problems })
    }
}

async fn orphans(live: &Live, problems: &mut Problems) -> Result<(), JournalError> {
    for (what, sql) in ORPHANS {
        for row in live.query(sql, &[]).await? {
            problems.add(format!("{what}: {}", row.try_get::<_, &str>(0)?));
        }
    }
    Ok(())
}

async fn runs(live: &Live, problems: &mut Problems) -> Result<(), JournalError> {
    let mut after = String::new();
    loop {
        let page = live.query(RUNS, &[&after, &PAGE]).await?;
        for row in &page {
            let run = RunRow::read(row)?;
            after = run.run_id.to_string();
            let id: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&after];
            let nodes = live.query(NODES, &id).await?;
            let events = live.query(EVENTS, &id).await?;
            let attempts = live.query(ATTEMPTS, &id).await?;
            let rows = RunRows {
                run,
                nodes: nodes.iter().map(NodeRow::read).collect::<Result<_, _>>()?,
                events: events.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<
                    _,
                    JournalError,
                >>(
                )?,
                attempts: attempts
                    .iter()
                    .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
                    .collect::<Result<_, JournalError>>()?,
            };
            rows.check(problems);
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

/// Records of the audit trail that cannot be read. Their runs may be gone.
async fn audit_trail(live: &Live, problems: &mut Problems) -> Result<(), JournalError> {
    let mut after: i64 = 0;
    loop {
        let page = live.query(AUDIT, &[&after, &PAGE]).await?;
        for row in &page {
            after = row.try_get(0)?;
            if from_json::<AuditRecord>("audit record", row.try_get(1)?).is_err() {
                problems.add(format!("audit record {after}: it cannot be read"));
            }
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}
