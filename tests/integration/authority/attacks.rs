//! What a caller of another tenant tries with a valid token.

use jarvis_run_coordinator::types::RunState;
use serde_json::{Value, json};

use super::{Caller, create, guarded, start};
use crate::support::{FakeService, Sts};

const TENANT: (&str, &str) = ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", "tenant");

#[tokio::test]
async fn foreign_run_cannot_be_read_forged_or_canceled() {
    let sts = Sts::start();
    let t = guarded(&sts, &[TENANT]).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
    let both = json!({"tenant_id": "beta", "roles": ["arp.run.read", "arp.run.operate"]});
    let bob = Caller::new(&t, "bob", both);
    let run = alice.start(json!({"run_id": "pay-1", "run_context": {"tenant_id": "acme"}})).await;
    let root = run["root_node_run_id"].as_str().expect("an id").to_owned();
    t.executors.called(":begin", 1).await;
    let before = t.journal_rows();

    let node = format!("/v1/node-runs/{root}");
    let done = json!({"state": "succeeded", "outputs": {"forged": true}});
    let verdict = json!({"evaluation_result": {"status": "success"}, "recovery_action": {"type": "abort"}});
    let answers = [
        (bob.get("/v1/runs/pay-1").await, "run_not_found", "Run 'pay-1' not found"),
        (bob.get("/v1/runs/pay-1/events?follow=1").await, "run_not_found", "Run 'pay-1' not found"),
        (bob.post("/v1/runs/pay-1:cancel", &json!({})).await, "run_not_found", "Run 'pay-1' not found"),
        (bob.post("/v1/node-runs", &create("pay-1", &root)).await, "run_not_found", "Run 'pay-1' not found"),
    ];
    for (answer, code, message) in answers {
        let expected = json!({"code": code, "message": message, "retryable": false});
        assert_eq!(answer.refused(404, code), expected);
    }
    for answer in [
        bob.get(&node).await,
        bob.get(&format!("{node}/events")).await,
        bob.post(&format!("{node}:complete"), &done).await,
        bob.post(&format!("{node}:evaluation"), &verdict).await,
    ] {
        let expected = json!({"code": "node_run_not_found", "message": format!("NodeRun '{root}' not found"),
            "retryable": false});
        assert_eq!(answer.refused(404, "node_run_not_found"), expected);
    }
    // The answers are those about ids that do not exist.
    let unknown = bob.get("/v1/runs/pay-2").await.text.replace("pay-2", "pay-1");
    assert_eq!(bob.get("/v1/runs/pay-1").await.text, unknown);
    assert_eq!(t.journal_rows(), before, "nothing was written");
    assert_eq!(alice.get("/v1/runs/pay-1").await.ok()["state"], RunState::Running.to_string());
    t.stop().await;
}

#[tokio::test]
async fn callers_without_a_token_do_not_learn_which_ids_exist() {
    let sts = Sts::start();
    let t = guarded(&sts, &[TENANT, ("ARP_AUTH_MODE", "optional")]).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
    let run = alice.start(json!({"run_id": "pay-1"})).await;
    let root = run["root_node_run_id"].as_str().expect("an id");
    let anonymous = Caller::with_token(&t, None);
    for (known, unknown) in [
        ("/v1/runs/pay-1".to_owned(), "/v1/runs/pay-2"),
        ("/v1/runs/pay-1/events".to_owned(), "/v1/runs/pay-2/events"),
        (format!("/v1/node-runs/{root}"), "/v1/node-runs/other"),
    ] {
        let answers = [anonymous.get(&known).await, anonymous.get(unknown).await];
        answers.iter().for_each(|answer| drop(answer.refused(401, "unauthorized")));
        assert_eq!(answers[0].text, answers[1].text);
    }
    let creations = [create("pay-1", root), create("pay-2", "other")];
    for creation in creations {
        anonymous.post("/v1/node-runs", &creation).await.refused(401, "unauthorized");
    }
    t.stop().await;
}

/// A start learns that an id is taken and nothing more, whether it repeats the
/// other request or not.
#[tokio::test]
async fn repeated_start_does_not_reveal_a_foreign_run() {
    let sts = Sts::start();
    let t = guarded(&sts, &[TENANT]).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
    let bob = Caller::new(&t, "bob", json!({"tenant_id": "beta"}));
    let same = start(json!({"run_id": "pay-1"}));
    let first = alice.post("/v1/runs", &same).await.ok();
    assert_eq!(alice.post("/v1/runs", &same).await.ok()["root_node_run_id"], first["root_node_run_id"]);
    let other = start(json!({"run_id": "pay-1", "input": {"other": 1}}));
    let answers = [bob.post("/v1/runs", &same).await, bob.post("/v1/runs", &other).await];
    for answer in &answers {
        answer.refused(409, "run_already_exists");
        assert_eq!(answer.text, answers[0].text);
        assert!(!answer.text.contains("root_node_run_id") && !answer.text.contains("alice"));
    }
    // Both at the same moment: one gets the run, the other nothing.
    let race = start(json!({"run_id": "race"}));
    let (one, two) = tokio::join!(alice.post("/v1/runs", &race), bob.post("/v1/runs", &race));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text, two.text);
    t.stop().await;
}

#[tokio::test]
async fn tenant_that_policy_sees_is_the_one_of_the_token() {
    let sts = Sts::start();
    for (setting, named, expected) in [
        // (setting, run_context.tenant_id, what the PDP is asked with)
        ("open", Some("gold"), "suspended"),
        ("open", None, "suspended"),
        ("owner", Some("suspended"), "suspended"),
        ("tenant", None, "suspended"),
    ] {
        let pdp = FakeService::start(|_, _| json!({"decision": "allow"}));
        let url = pdp.url();
        let vars = [("JARVIS_RUN_COORDINATOR_AUTHORIZATION", setting), ("JARVIS_PDP_URL", url)];
        let t = guarded(&sts, &vars).await;
        let mallory = Caller::new(&t, "mallory", json!({"tenant_id": "suspended", "azp": "cli"}));
        let context = named.map_or(json!({}), |named| json!({"run_context": {"tenant_id": named}}));
        let run = mallory.start(context).await;
        t.executors.called(":begin", 1).await;
        let asked = pdp.requests();
        assert_eq!(asked.len(), 2, "{setting}: at the start and at the dispatch");
        for question in asked {
            assert_eq!(question["context"]["tenant_id"], expected, "{setting}: {question}");
            assert_eq!(question["context"]["owner"]["client"], "cli", "{question}");
            let in_context = &question["run_context"]["tenant_id"];
            assert!(in_context.is_null() || in_context == expected, "{setting}: {question}");
        }
        let owner = json!({"issuer": crate::support::sts::ISSUER, "subject": "mallory", "client": "cli",
            "tenant": "suspended"});
        assert_eq!(run["extensions"]["jarvis.owner"], owner, "{setting}");
        t.stop().await;
    }
}

#[tokio::test]
async fn run_for_another_tenant_is_refused_where_authorization_is_on() {
    let sts = Sts::start();
    for setting in ["owner", "tenant"] {
        let vars = [
            ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", setting),
            ("JARVIS_RUN_COORDINATOR_TRUSTED_CLIENTS", "gateway"),
        ];
        let t = guarded(&sts, &vars).await;
        let before = t.journal_rows();
        let gold = start(json!({"run_context": {"tenant_id": "gold"}}));
        for claims in [json!({"tenant_id": "suspended"}), json!({}), json!({"tenant_id": ""})] {
            let mallory = Caller::new(&t, "mallory", claims);
            let expected = json!({"code": "tenant_mismatch", "retryable": false,
                "message": "run_context.tenant_id is not the tenant of the caller's token"});
            assert_eq!(mallory.post("/v1/runs", &gold).await.refused(403, "tenant_mismatch"), expected);
        }
        assert_eq!(t.journal_rows(), before);
        // A client that acts for others is believed.
        let gateway = Caller::new(&t, "gateway-service", json!({"azp": "gateway", "tenant_id": "platform"}));
        let run = gateway.post("/v1/runs", &gold).await.ok();
        assert_eq!(run["extensions"]["jarvis.owner"]["tenant"], "gold");
        let reader = Caller::new(&t, "grace", json!({"tenant_id": "gold", "roles": "arp.run.read"}));
        let path = format!("/v1/runs/{}", run["run_id"].as_str().expect("an id"));
        reader.get(&path).await.ok();
        t.stop().await;
    }
}

#[tokio::test]
async fn events_name_their_actor_and_attempt() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme", "azp": "cli"}));
    let forged = json!({"jarvis.owner": {"subject": "admin"}, "jarvis.actor": {"kind": "coordinator"}});
    let run = alice.start(json!({"run_id": "r", "extensions": forged})).await;
    assert_eq!(run["extensions"]["jarvis.owner"]["subject"], "alice");
    assert_eq!(run["extensions"]["jarvis.actor"], Value::Null);
    let root = run["root_node_run_id"].as_str().expect("an id");
    let executor = Caller::with_token(&t, Some(super::assigned(&t, root).await));
    executor.post("/v1/node-runs", &create("r", root)).await.ok();
    executor
        .post(&format!("/v1/node-runs/{root}:complete"), &json!({"state": "succeeded"}))
        .await
        .no_content();
    let events = alice.get("/v1/runs/r/events").await.text;
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    // Without those of the child, which may have been dispatched or not.
    let of_others = |event: &Value| event["node_run_id"].is_null() || event["node_run_id"] == root;
    let actors: Vec<Value> = events
        .filter(of_others)
        .map(|event| json!([event["type"], event["extensions"]["jarvis.actor"]]))
        .collect();
    let issuer = crate::support::sts::ISSUER;
    let caller =
        json!({"kind": "caller", "issuer": issuer, "subject": "alice", "client": "cli", "tenant": "acme"});
    let executor = json!({"kind": "executor", "node_run_id": root, "attempt": 1});
    let expected = json!([
        ["run_started", caller],
        ["node_run_assigned", caller],
        ["policy_decided", caller],
        ["policy_decided", {"kind": "coordinator"}],
        ["composite_decomposed", executor],
        ["run_completed", executor],
    ]);
    assert_eq!(Value::Array(actors), expected);
    t.stop().await;
}
