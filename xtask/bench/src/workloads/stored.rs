//! Lists and counts with few and with many stored runs.
//!
//! ```text
//!   an empty journal ──the process ends──▶ rows of `run_list` ──the process again──▶ questions
//! ```
//!
//! To make a million runs by starting them would take a quarter of an hour, so their rows are
//! written by SQL. Only a file can be filled like this.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection as Sqlite;

use crate::{
    bed::Bed,
    coordinator::{self, Coordinator},
    http::Connection,
    plan::{Store, rows},
    report::{Results, Size},
    stats::percentile_ms,
};

const SIZES: [u32; 2] = [1_000, 1_000_000];
const TRIES: usize = 5;

const QUESTIONS: [(&str, &str); 6] = [
    ("page ms", "/x/runs?limit=100"),
    ("page of a label ms", "/x/runs?limit=100&label=env%3Dprod"),
    ("attention ms", "/x/runs?limit=100&attention=true"),
    ("count ms", "/x/runs:count?by=state"),
    ("page of a count by error ms", "/x/runs:count?by=state&error_code=executor_failed"),
    ("work ms", "/x/work"),
];

pub(super) async fn measure(bed: &Bed<'_>, results: &mut Results) -> Result<()> {
    for ours in bed.settings.ours.iter().filter(|ours| ours.store == Store::File) {
        for size in SIZES {
            let folder = bed.folder()?;
            let journal = folder.path().join("journal.db");
            let path = journal.display().to_string();
            drop(Coordinator::start(&ours.binary, &path, folder.path(), &[])?);
            let filled = journal.clone();
            tokio::task::spawn_blocking(move || fill(&filled, size)).await??;
            let vars = [coordinator::with_operator()?];
            let coordinator = Coordinator::start(&ours.binary, &path, folder.path(), &vars)?;
            let mut connection = Connection::to(coordinator.operator.context("an operator API")?);
            let mut figures = Vec::new();
            for (name, question) in QUESTIONS {
                figures.push((name, percentile_ms(&[best(&mut connection, question).await?], 100.0)));
            }
            let number = usize::try_from(size)?;
            results.add(rows::STORED, &ours.label(), Some(Size { of: "stored runs", number }), &figures);
        }
    }
    Ok(())
}

async fn best(connection: &mut Connection, question: &str) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        connection.get(question).await?;
        best = best.min(began.elapsed());
    }
    Ok(best)
}

/// Lists that many runs, of a hundred owners in ten tenants. One in a thousand has labels, one
/// in ten has failed.
fn fill(path: &Path, runs: u32) -> Result<()> {
    let sql = format!(
        "BEGIN;
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {runs})
         INSERT INTO run_list (started_at, run_id, state, ended_at, node_type, node_version, owner,
                               error_code, labels)
         SELECT n, 'run_' || n, iif(n % 10 = 0, 'failed', 'succeeded'), n + 1, 'atomic.echo', '1.0.0',
                json_object('subject', 'user-' || (n % 100), 'tenant', 'tenant-' || (n % 10)),
                iif(n % 10 = 0, 'executor_failed', NULL),
                iif(n % 1000 = 0, json_object('env', 'prod', 'team', 'red'), NULL)
         FROM number;
         COMMIT;"
    );
    let journal = Sqlite::open(path)?;
    journal.execute_batch(&sql)?;
    let stored: u32 = journal.query_one("SELECT count(*) FROM run_list", [], |row| row.get(0))?;
    ensure!(stored == runs, "{stored} of {runs} runs are stored");
    Ok(())
}
