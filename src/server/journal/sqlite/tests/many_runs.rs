//! Lists and counts with a thousand and with a million stored runs. It takes a while,
//! so it runs when asked to, and prints what each question took:
//!
//! ```text
//! cargo test --lib --all-features -- --ignored --nocapture million_runs
//! ```

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::*;
use crate::{
    journal::{RunSelect, RunsFilter, Visible},
    record::Identity,
};

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
    raw(path).execute_batch(&sql).expect("filled");
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

#[tokio::test]
#[ignore = "takes a minute, and prints figures"]
async fn million_runs_are_listed_and_counted_like_a_thousand() {
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for runs in [1_000, 1_000_000] {
        let directory = Directory::new();
        let path = directory.file("j.db");
        drop(open(path.clone()));
        fill(&path, runs);
        let journal = open(path);
        let of_tenant =
            |owner: Option<&Identity>| owner.is_some_and(|owner| owner.tenant.as_deref() == Some("tenant-3"));
        let all = RunsFilter { visible: Visible::all(), select: RunSelect::default(), now: at(0) };
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
        let (_, time) = took(async || journal.work(at(0), 20).await.expect("the work")).await;
        times.entry("work").or_default().push(time);
    }
    for (name, times) in &times {
        println!("{name}: {:?} with 1,000 runs, {:?} with 1,000,000", times[0], times[1]);
        // Those that scan are bounded; the others do not depend on the number at all.
        let bound = if name.contains("by error") { 1_000 } else { 20 };
        assert!(times[1] < times[0] * bound + Duration::from_millis(50), "{name}");
    }
}
