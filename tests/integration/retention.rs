//! Finished runs are deleted from the journal when their retention is over.

use serde_json::json;

use crate::support::{FakeExecutors, FakeStores, Program, TestServer, soon};

#[tokio::test]
async fn expired_run_is_deleted_and_its_id_may_be_used_again() {
    let executors = FakeExecutors::start();
    let program = Program::with_executors(&executors).var("JARVIS_RUN_COORDINATOR_RETENTION", "1s");
    let process = program.start().await;
    let live = process.run_start("live", "composite.accept").await;
    let first = process.run_start("old", "atomic.echo").await;
    process.logged("finished runs deleted", 1).await;
    assert_eq!(process.get("/v1/runs/old").await.1["error"]["code"], "run_not_found");
    assert_eq!(process.get("/v1/runs/old/events").await.0, 404);
    assert_eq!(process.get(&format!("/v1/node-runs/{}", first.root)).await.0, 404);
    // The first run is deleted: this is another run under the same id.
    let again = process.run_start("old", "atomic.echo").await;
    assert_ne!(again.root, first.root);
    assert_eq!(process.run_get(&live.id).await["state"], "running");
    process.terminate().await;
}

#[tokio::test]
async fn deleted_run_is_adopted_again_from_the_run_store() {
    let stores = FakeStores::start();
    let vars = [&stores.vars()[..], &[("JARVIS_RUN_COORDINATOR_RETENTION", "1s")]].concat();
    let t = TestServer::start_with(&vars).await;
    let run = t.run_start("atomic.echo", json!({"of": "it"})).await;
    let events = t.follow(&run.run_id).await;
    let ended = t.run(&run.run_id).await;
    soon("the deletion of the run", async {
        while t.journal_rows().iter().any(|row| row.starts_with("runs\t")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(t.journal_rows().is_empty(), "{:?}", t.journal_rows());
    assert_eq!(t.run(&run.run_id).await, ended);
    assert_eq!(t.events(&run.run_id).await, events);
    assert_eq!(t.node_run(&run.root_node_run_id).await.node_run_id, run.root_node_run_id);
}
