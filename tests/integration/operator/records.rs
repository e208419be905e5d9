//! The audit trail, and all of a run as evidence.

use jarvis_run_coordinator::{
    evidence,
    types::{NodeRunState, RunId},
};
use serde_json::{Value, json};

use super::{LISTEN, get};
use crate::{
    bearer::guarded,
    support::{Answer, Signer, Sts, TestServer, sts::claims},
};

fn operations(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|item| item["operation"].as_str().expect("an operation")).collect()
}

#[tokio::test]
async fn audit_trail_is_listed_newest_first_by_filter() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for run in ["a", "b"] {
        t.run_start_with("composite.accept", json!({"secret": 1}), json!({"run_id": run})).await;
    }
    t.cancel(&RunId::new("a")).await;
    let all = get(&t, "/x/audit").await.ok();
    assert_eq!(operations(&all), ["cancel_run", "start_run", "start_run"]);
    assert!(!all.to_string().contains("secret"), "{all}");
    let canceled = &all["items"][0];
    assert_eq!((&canceled["run_id"], &canceled["outcome"]), (&json!("a"), &json!("applied")));
    assert_eq!(canceled["actor"], json!({"kind": "caller", "principal": {"subject": "dev"}}));
    // What it changed: the events of the commit.
    let last = t.events(&RunId::new("a")).await.last().expect("events").seq;
    assert_eq!(canceled["events"]["last"], json!(last));
    let at = canceled["at"].as_str().expect("a time");
    for (query, expected) in [
        ("run_id=a".to_owned(), &["cancel_run", "start_run"][..]),
        ("operation=start_run".to_owned(), &["start_run", "start_run"]),
        ("run_id=b&operation=cancel_run".to_owned(), &[]),
        ("actor=dev&outcome=applied".to_owned(), &["cancel_run", "start_run", "start_run"]),
        ("actor=other".to_owned(), &[]),
        ("outcome=refused".to_owned(), &[]),
        (format!("before={at}"), &["start_run", "start_run"]),
        (format!("after={at}"), &["cancel_run"]),
        ("after=2100-01-01T00:00:00Z".to_owned(), &[]),
        ("run_id=nowhere".to_owned(), &[]),
    ] {
        let found = get(&t, &format!("/x/audit?{query}")).await.ok();
        assert_eq!(operations(&found), expected, "{query}");
    }
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(&t, &format!("/x/audit?limit=1{token}")).await.ok();
        paged.extend(page["items"].as_array().expect("items").clone());
        let Some(next) = page["next_page"].as_str() else { break };
        token = format!("&page_token={next}");
    }
    assert_eq!(Value::Array(paged), all["items"]);
    for (name, value) in [
        ("operation", "dance"),
        ("outcome", "maybe"),
        ("after", "yesterday"),
        ("before", "1"),
        ("page_token", "x"),
        ("limit", "0"),
    ] {
        let answer = get(&t, &format!("/x/audit?{name}={value}")).await;
        let error = answer.refused(400, "invalid_request");
        assert_eq!(error["details"]["errors"][0]["loc"], json!(["query", name]), "{}", answer.text);
    }
    t.stop().await;
}

#[tokio::test]
async fn audit_trail_of_others_is_not_shown() {
    let sts = Sts::start();
    let t = guarded(&sts, &[LISTEN, ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "owner")]).await;
    let token = |subject: &str, tenant: &str, roles: &[&str]| {
        Signer::known().sign(&claims(&json!({"sub": subject, "tenant_id": tenant, "roles": roles})))
    };
    let alice = token("alice", "acme", &[]);
    let start = json!({"run_id": "hers", "root_node_type_ref": {"node_type_id": "composite.accept", "version": "1.0.0"},
                       "input": {}});
    Answer::of(t.request("POST", "/v1/runs").bearer_auth(&alice).json(&start)).await.ok();
    // Another tenant's caller tries; that is recorded.
    let carol = token("carol", "beta", &["arp.run.read"]);
    let tried = t.request("POST", "/v1/runs/hers:cancel").bearer_auth(&carol).json(&json!({}));
    Answer::of(tried).await.refused(404, "run_not_found");
    for (caller, query, expected) in [
        (&alice, "", &["start_run"][..]),
        (&alice, "?run_id=hers", &["cancel_run", "start_run"]),
        (&token("bob", "acme", &[]), "?run_id=hers", &[]),
        (&token("bob", "acme", &["arp.run.read"]), "", &["start_run"]),
        (&carol, "", &["cancel_run"]),
        (&carol, "?run_id=hers", &["cancel_run"]),
        (&token("root", "", &["arp.admin"]), "", &["cancel_run", "start_run"]),
    ] {
        let path = format!("/x/audit{query}");
        let page = Answer::of(t.operator_request("GET", &path).bearer_auth(caller)).await.ok();
        assert_eq!(operations(&page), expected, "{query}: {page}");
    }
    t.stop().await;
}

#[tokio::test]
async fn exported_runs_verify_live_and_finished() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let run = t
        .run_start_with("composite.accept", json!({"deep": "x".repeat(100_000)}), json!({"run_id": "r"}))
        .await;
    let root = run.root_node_run_id.clone();
    t.node_run_in(&root, NodeRunState::Running).await;
    let spec = json!({"node_type_ref": {"node_type_id": "composite.accept", "version": "1.0.0"},
                      "inputs": {"text": "y".repeat(50_000)}});
    t.children(&run.run_id, &root, &vec![spec; 20]).await;
    let export = async || {
        let answer = get(&t, "/x/runs/r/export").await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        evidence::read(answer.text.as_bytes()).expect("a bundle that is whole")
    };
    // While it goes on: each is of one moment.
    for _ in 0..5 {
        let bundle = export().await;
        assert_eq!((bundle.nodes.len(), bundle.run.run.state.is_terminal()), (21, false));
    }
    t.cancel(&run.run_id).await;
    let bundle = export().await;
    assert!(bundle.run.run.state.is_terminal());
    assert_eq!(bundle.audit.len(), 3, "the start, the children, the cancel");
    assert_eq!(bundle.events.len(), t.events(&run.run_id).await.len());
    get(&t, "/x/runs/nowhere/export").await.refused(404, "run_not_found");
    t.stop().await;
}

#[tokio::test]
async fn exports_take_places_of_streams() {
    let t = TestServer::start_with(&[LISTEN, ("JARVIS_RUN_COORDINATOR_MAX_STREAMS", "1")]).await;
    let big = json!({"text": "x".repeat(7 << 20)});
    t.run_start_with("composite.accept", big, json!({"run_id": "r"})).await;
    // It is not read, so it keeps its place.
    let held = t.operator_request("GET", "/x/runs/r/export").send().await.expect("an answer");
    assert_eq!(held.status(), 200);
    get(&t, "/x/runs/r/export").await.refused(503, "overloaded");
    let whole = held.bytes().await.expect("the rest");
    evidence::read(&*whole).expect("a bundle that is whole");
    crate::support::soon("the place", async {
        while get(&t, "/x/runs/r/export").await.status != 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    t.stop().await;
}
