//! What runs cost, counted: the calls to the journal that commands about them make. Unlike
//! times, counts are the same on every machine, so a command that reads or commits once
//! more shows here.

use jarvis_run_coordinator::{journal::faulty::Faults, types::RunId};
use serde_json::{Value, json};

use crate::support::{TestServer, soon, spec};

/// Commits, and reads of nodes. (How often a follower reads events depends on time.)
const COUNTED: [&str; 5] = ["commit", "head_fetch", "node_fetch", "node_fetch_bare", "nodes_live"];

/// Waits until this number of atomic nodes of a run have ended, without a read of a node.
async fn executed(t: &TestServer, run: &RunId, count: usize) {
    soon("the ends of nodes", async {
        while t.event_types(run).await.iter().filter(|of| *of == "atomic_executed").count() < count {
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Counts, and where the count began.
struct Meter {
    faults: Faults,
    lines: Vec<String>,
    before: Vec<u64>,
}

impl Meter {
    fn new(faults: &Faults) -> Self {
        let mut meter = Self { faults: faults.clone(), lines: Vec::new(), before: Vec::new() };
        meter.before = meter.read();
        meter
    }

    fn read(&self) -> Vec<u64> {
        let calls = self.faults.calls();
        COUNTED.iter().map(|call| calls.get(*call).copied().unwrap_or_default()).collect()
    }

    /// Notes what has been called since the last time.
    fn note(&mut self, what: &str) {
        let now = self.read();
        let calls = COUNTED
            .iter()
            .zip(now.iter().zip(&self.before))
            .map(|(call, (now, before))| (call, now - before));
        let calls: Vec<String> =
            calls.filter(|(_, count)| *count > 0).map(|(call, count)| format!("{call} {count}")).collect();
        self.lines.push(format!("{what}: {}\n", calls.join(", ")));
        self.before = now;
    }
}

#[tokio::test]
async fn runs_make_these_calls_to_the_journal() {
    let faults = Faults::none();
    let t = TestServer::start_with_faults(&faults, &[]).await;
    let mut meter = Meter::new(&faults);
    let run = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&run.run_id).await;
    meter.note("a run of one atomic node");

    let run = t.run_start("composite.accept", json!({})).await;
    t.executors.called(":begin", 1).await;
    meter.note("the start of a composite");
    let mut ended = 0;
    for (what, children) in
        [("one child, to its end", 1), ("another", 1), ("ten children in one request", 10), ("one more", 1)]
    {
        let specs: Vec<Value> = (0..children).map(|_| spec("atomic.echo")).collect();
        t.children(&run.run_id, &run.root_node_run_id, &specs).await;
        ended += children;
        executed(&t, &run.run_id, ended).await;
        meter.note(what);
    }
    t.complete(&run.root_node_run_id, "succeeded").await;
    meter.note("the completion of the composite, which ends the run");
    expectorate::assert_contents("tests/output/journal-calls.txt", &meter.lines.concat());
    t.stop().await;
}
