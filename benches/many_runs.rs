//! The bench of long lists: pages and counts of runs, and the work in hand, with a
//! thousand and with a million stored runs.
//!
//! ```text
//!   cargo bench --bench many_runs
//! ```
//!
//! It takes a minute, prints what each question took, the best of three, and asserts no
//! time.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jarvis_run_coordinator::{
    journal::{
        Journal, RunSelect, RunsFilter, Visible,
        sqlite::{SqliteJournal, SqliteOptions},
    },
    record::Identity,
    time::Timestamp,
};
use rusqlite::Connection;
use slog::{Discard, Logger, o};

fn open(path: &Path) -> SqliteJournal {
    let options = SqliteOptions { path: path.to_owned(), max_bytes: None, outbox: true };
    SqliteJournal::open(options, Logger::root(Discard, o!())).expect("the journal opens")
}

/// Lists that many runs, of a hundred owners in ten tenants. One in a thousand has a
/// label of its own.
fn fill(path: &Path, runs: u32) {
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
    Connection::open(path).expect("SQLite opens it").execute_batch(&sql).expect("filled");
}

/// The best of three.
async fn took<T>(question: impl AsyncFn() -> T) -> (T, Duration) {
    let mut best = Duration::MAX;
    for _ in 0..2 {
        let began = Instant::now();
        question().await;
        best = best.min(began.elapsed());
    }
    let began = Instant::now();
    (question().await, began.elapsed().min(best))
}

#[tokio::main]
async fn main() {
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for runs in [1_000, 1_000_000] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("j.db");
        drop(open(&path));
        fill(&path, runs);
        let journal = open(&path);
        let of_tenant =
            |owner: Option<&Identity>| owner.is_some_and(|owner| owner.tenant.as_deref() == Some("tenant-3"));
        let all = RunsFilter {
            visible: Visible::all(),
            select: RunSelect::default(),
            now: Timestamp::from_micros(0),
        };
        let tenant = RunsFilter { visible: Visible(Arc::new(of_tenant)), ..all.clone() };
        let labels =
            [("env", "prod"), ("team", "red")].map(|(name, value)| (name.into(), value.into())).into();
        let labeled = RunsFilter { select: RunSelect { labels, ..RunSelect::default() }, ..all.clone() };
        let attention =
            RunsFilter { select: RunSelect { attention: true, ..RunSelect::default() }, ..all.clone() };
        let failed = RunSelect { error_code: Some("executor_failed".into()), ..RunSelect::default() };
        let failed = RunsFilter { select: failed, ..all.clone() };
        for (name, filter) in [
            ("page", &all),
            ("page of a tenant", &tenant),
            ("page of a label", &labeled),
            ("attention", &attention),
        ] {
            let (page, time) =
                took(async || journal.runs_page(None, filter, 100).await.expect("a page")).await;
            assert!(name == "attention" || !page.runs.is_empty(), "{name}");
            times.entry(name).or_default().push(time);
        }
        for (name, filter, expected) in [
            ("count", &all, u64::from(runs)),
            ("count of a tenant", &tenant, u64::from(runs) / 10),
            ("count of a label", &labeled, u64::from(runs) / 1000),
        ] {
            let (counts, time) = took(async || journal.runs_count(None, filter).await.expect("counts")).await;
            assert_eq!((counts.by_state.values().sum::<u64>(), counts.at_end), (expected, true), "{name}");
            times.entry(name).or_default().push(time);
        }
        let (_, time) = took(async || journal.runs_count(None, &failed).await.expect("counts")).await;
        times.entry("page of a count by error").or_default().push(time);
        let (_, time) =
            took(async || journal.work(Timestamp::from_micros(0), 20).await.expect("the work")).await;
        times.entry("work").or_default().push(time);
    }
    println!("{:<24} {:>12} {:>12}", "", "1,000 runs", "1,000,000");
    for (name, times) in &times {
        println!("{name:<24} {:>12.1?} {:>12.1?}", times[0], times[1]);
    }
}
