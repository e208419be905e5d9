//! A journal that has been used with stores, in a server that has none configured:
//! it refuses to start, keeps the outbox entries, or drops them.

use std::collections::BTreeMap;

use jarvis_run_coordinator::{
    app::{Server, StartError, Surroundings},
    config::{Flags, Settings},
    types::{NodeRunState, Run, RunState},
};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

use super::{check, events, start, two_unsent_runs};
use crate::support::{FakeExecutors, FakeStores, TestServer, soon};

/// Starts a run on a server with stores; returns it when the server has stopped with
/// the run under way.
async fn one_run_under_way(stores: &FakeStores) -> (Run, tempfile::TempDir, FakeExecutors) {
    let t = start(stores, &[]).await;
    let run = t.run_start("composite.accept", json!({})).await;
    t.node_run_in(&run.root_node_run_id, NodeRunState::Running).await;
    stores.have_state(&format!("node-runs/{}", run.root_node_run_id), "running").await;
    stores.have_events(&run.run_id, t.events(&run.run_id).await.len() as u64).await;
    let (journal, executors) = t.stop().await;
    (run, journal, executors)
}

const WITHOUT_STORES: &str = "JARVIS_RUN_COORDINATOR_WITHOUT_STORES";

/// Starts a server on this journal, without stores.
async fn start_without(journal: &tempfile::TempDir, vars: &[(&str, &str)]) -> Result<Server, StartError> {
    let path = journal.path().join("journal.db").display().to_string();
    let all = [("ARP_AUTH_PROFILE", "dev-insecure"), ("JARVIS_RUN_COORDINATOR_JOURNAL", &*path)];
    let vars: BTreeMap<String, String> =
        all.iter().chain(vars).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = Settings::from_vars(&vars, &Flags { port: Some(0), ..Flags::default() });
    let log = Logger::root(Discard, o!());
    Server::start(&settings.expect("sound settings"), Surroundings::default(), &log).await
}

#[tokio::test]
async fn journal_with_outbox_entries_needs_the_stores() {
    let stores = FakeStores::start();
    let (_, journal, _) = one_run_under_way(&stores).await;
    // The outbox is empty, but the next change would be for the stores.
    for vars in [&[][..], &[(WITHOUT_STORES, "refuse")]] {
        let refused = start_without(&journal, vars).await.err().expect("refused").to_string();
        for word in ["owes the JARVIS stores", "JARVIS_RUN_STORE_URL", WITHOUT_STORES] {
            assert!(refused.contains(word), "{refused}");
        }
    }
    // A journal that was never used with stores needs none.
    let other = tempfile::tempdir().expect("a folder");
    start_without(&other, &[]).await.expect("it starts").stop().await;
}

#[tokio::test]
async fn changes_made_without_the_stores_reach_them_later() {
    let stores = FakeStores::start();
    let (run, journal, executors) = one_run_under_way(&stores).await;
    let t = TestServer::try_start(journal, executors, &[(WITHOUT_STORES, "owe")]).await.expect("it starts");
    let outbox = soon("outbox entries", async {
        loop {
            let outbox = check(&t, "outbox").await;
            if outbox["details"]["entries"].as_u64() > Some(0) {
                return outbox;
            }
            t.complete(&run.root_node_run_id, "succeeded").await;
        }
    });
    assert_eq!(outbox.await["status"], "degraded");
    let ended = t.run_ended(&run.run_id).await;
    let events = events(&t, &run.run_id).await;
    let (journal, executors) = t.stop().await;
    assert_eq!(stores.object(&format!("runs/{}", run.run_id)).expect("stored")["state"], "running");

    let t = TestServer::try_start(journal, executors, &stores.vars()).await.expect("it starts");
    stores.have_events(&run.run_id, events.len() as u64).await;
    stores.have_state(&format!("runs/{}", run.run_id), "succeeded").await;
    assert_eq!(stores.events(run.run_id.as_str()), events);
    assert_eq!(
        stores.object(&format!("runs/{}", run.run_id)),
        Some(serde_json::to_value(ended).expect("JSON"))
    );
    t.stop().await;
}

#[tokio::test]
async fn dropped_outbox_entries_are_never_sent() {
    let stores = FakeStores::start();
    let ([run, _], journal, executors) = two_unsent_runs(&stores).await;
    let t =
        TestServer::try_start(journal, executors, &[(WITHOUT_STORES, "forget")]).await.expect("it starts");
    assert_eq!(t.run(&run.run_id).await.state, RunState::Succeeded);
    let health: Value = t.get("/v1/health").await.ok();
    assert!(!health.to_string().contains("outbox"), "{health}");
    let (journal, executors) = t.stop().await;
    // The setting is not needed again.
    let t = TestServer::try_start(journal, executors, &[]).await.expect("it starts");
    let (journal, executors) = t.stop().await;
    let calls = stores.calls().len();
    let t = TestServer::try_start(journal, executors, &stores.vars()).await.expect("it starts");
    let next = t.run_start("atomic.echo", json!({})).await;
    t.run_ended(&next.run_id).await;
    stores.have_events(&next.run_id, t.events(&next.run_id).await.len() as u64).await;
    soon("an empty outbox", async { while check(&t, "outbox").await["details"]["entries"] != 0 {} }).await;
    assert!(stores.calls().len() > calls);
    assert_eq!(stores.object(&format!("runs/{}", run.run_id)), None);
    assert_eq!(stores.seqs(run.run_id.as_str()), [] as [u64; 0]);
    t.stop().await;
}
