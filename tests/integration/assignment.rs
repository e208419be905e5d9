//! Assignment tokens (contract §9.4, D-19): a composite executor may do with its
//! token what its work needs, within its subtree, and nothing else.
//!
//! ```text
//!   root ─┬─ node ── below     the token of `node` is valid for `node` and `below`,
//!         └─ sibling           and for reading the run
//! ```

use std::collections::BTreeSet;

use jarvis_run_coordinator::api::openapi;
use serde_json::{Value, json};

use crate::{
    bearer::{
        Bearer, Request, about_node, assigned, claims_of, forbidden, guarded, guarded_on, send, spec, user,
    },
    support::{FakeStores, Sts, TestServer, UNREACHABLE, sts::now},
};

#[tokio::test]
async fn assignment_token_allows_the_composites_own_work() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let user = user(&t);
    let [run, root] = user.start("composite.accept").await;
    let composite = Bearer::new(&t, assigned(&t, &root).await);
    let create = json!({"run_id": run, "parent_node_run_id": root, "node_runs": [spec("atomic.echo")]});
    let before = t.post("/v1/node-runs", &create).await.refused(401, "unauthorized");
    assert_eq!(before["message"], "Missing Authorization header");

    // One atomic child, and a nested composite that does the same with its own token.
    let child = composite.create(&run, &root, "atomic.echo").await;
    composite.succeeded(&child).await;
    let inner = composite.create(&run, &root, "composite.accept").await;
    let nested = Bearer::new(&t, assigned(&t, &inner).await);
    assert_ne!(nested.token, composite.token);
    let leaf = nested.create(&run, &inner, "atomic.echo").await;
    nested.succeeded(&leaf).await;
    for (bearer, node) in [(&nested, &inner), (&composite, &root)] {
        let path = format!("/v1/node-runs/{node}");
        let evaluation =
            json!({"evaluation_result": {"status": "success", "reason_code": "composite_evaluation"}});
        bearer.post(&format!("{path}:evaluation"), &evaluation).await.no_content();
        bearer.post(&format!("{path}:complete"), &json!({"state": "succeeded"})).await.no_content();
        user.succeeded(node).await;
    }
    assert_eq!(user.get(&format!("/v1/runs/{run}")).await.ok()["state"], "succeeded");
    assert_eq!(t.owner_of(&run), "alice");
    t.stop().await;
}

/// A run that is unknown to the journal is looked up for a user (`adoption`), but not
/// for an assignment token, whose bearer may not learn that the run exists.
#[tokio::test]
async fn assignment_token_does_not_trigger_adoption() {
    let (sts, stores) = (Sts::start(), FakeStores::start());
    let elsewhere = json!({"run_id": "elsewhere", "root_node_run_id": "root", "state": "canceled"});
    let root = json!({"run_id": "elsewhere", "node_run_id": "root", "state": "canceled",
        "node_type_ref": spec("atomic.echo")["node_type_ref"]});
    stores.put(&elsewhere, &[root], &[]);
    let t = guarded(&sts, &stores.vars()).await;
    let user = user(&t);
    let [_, node] = user.start("composite.accept").await;
    let composite = Bearer::new(&t, assigned(&t, &node).await);
    let create =
        json!({"run_id": "elsewhere", "parent_node_run_id": "root", "node_runs": [spec("atomic.echo")]});
    composite.get("/v1/runs/elsewhere").await.refused(404, "run_not_found");
    composite.get("/v1/node-runs/root/events").await.refused(404, "node_run_not_found");
    composite.post("/v1/node-runs", &create).await.refused(404, "run_not_found");
    assert_eq!(stores.reads(), [] as [&str; 0]);

    user.get("/v1/runs/elsewhere").await.ok();
    forbidden(&composite.get("/v1/runs/elsewhere").await, &node);
    t.stop().await;
}

/// A run at rest: a root with two composites below it, and one below the first of
/// them.
struct Tree {
    run: String,
    root: String,
    node: String,
    sibling: String,
    below: String,
}

impl Tree {
    async fn grow(user: &Bearer<'_>) -> Self {
        let [run, root] = user.start("composite.accept").await;
        let node = user.create(&run, &root, "composite.accept").await;
        let sibling = user.create(&run, &root, "composite.accept").await;
        let below = user.create(&run, &node, "composite.accept").await;
        Self { run, root, node, sibling, below }
    }
}

#[tokio::test]
async fn assignment_token_is_forbidden_outside_its_subtree() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let user = user(&t);
    let (own, other) = (Tree::grow(&user).await, Tree::grow(&user).await);
    t.executors.called(":begin", 8).await;
    t.at_rest().await;
    let bearer = Bearer::new(&t, assigned(&t, &own.node).await);

    let run_of = |run: &str| ("get", "/v1/runs/{run_id}", format!("/v1/runs/{run}"));
    let mut requests: Vec<Request> = Vec::new();
    for tree in [&own, &other] {
        let (run, path) = (&tree.run, format!("/v1/runs/{}", tree.run));
        requests.push((("get", "/v1/runs/{run_id}/events"), format!("{path}/events"), Value::Null));
        requests.push((("get", "/v1/runs/{run_id}/events"), format!("{path}/events?follow=1"), Value::Null));
        requests.push((("post", "/v1/runs/{run_id}:cancel"), format!("{path}:cancel"), json!({})));
        requests.extend(about_node(run, &tree.root));
        requests.extend(about_node(run, &tree.sibling));
    }
    let (method, operation, path) = run_of(&other.run);
    requests.push(((method, operation), path, Value::Null));
    requests.extend(about_node(&other.run, &other.node));
    requests.extend(about_node(&other.run, &other.below));
    // Its own node with the id of another run, and the reverse.
    requests.push(about_node(&other.run, &own.node).remove(3));
    requests.push(about_node(&own.run, &other.node).remove(3));
    for id in [json!(null), json!("mine"), json!(own.run)] {
        let mut start = json!({"root_node_type_ref": spec("atomic.echo")["node_type_ref"], "input": {}});
        if !id.is_null() {
            start["run_id"] = id;
        }
        requests.push((("post", "/v1/runs"), "/v1/runs".into(), start));
    }

    let before = t.journal_rows();
    let calls = t.executors.calls().len();
    for request in &requests {
        forbidden(&send(&bearer, request).await, &own.node);
    }
    assert_eq!(t.journal_rows(), before, "a forbidden request writes nothing");
    assert_eq!(t.executors.calls().len(), calls);

    // Every secured operation of the API document was tried.
    let tried: BTreeSet<String> =
        requests.iter().map(|((method, path), ..)| format!("{method} {path}")).collect();
    let document = openapi::document();
    let mut secured = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            if operation["security"].is_null() {
                secured.insert(format!("{method} {path}"));
            }
        }
    }
    assert_eq!(tried, secured);

    // Unknown ids are not found, as for any caller.
    bearer.get("/v1/runs/nothing").await.refused(404, "run_not_found");
    bearer.post("/v1/runs/nothing:cancel", &json!({})).await.refused(404, "run_not_found");
    bearer.get("/v1/node-runs/nothing").await.refused(404, "node_run_not_found");
    let create = about_node("nothing", &own.node).remove(3);
    send(&bearer, &create).await.refused(404, "run_not_found");
    let create = about_node(&own.run, "nothing").remove(3);
    send(&bearer, &create).await.refused(404, "parent_node_run_not_found");

    // Its own subtree is allowed, down to the last descendant.
    bearer.get(&format!("/v1/runs/{}", own.run)).await.ok();
    for node in [&own.below, &own.node] {
        for request in about_node(&own.run, node) {
            let answer = send(&bearer, &request).await;
            assert!([200, 204].contains(&answer.status), "{request:?}: {}", answer.text);
        }
    }
    // A user may read all of it.
    for request in requests.iter().filter(|(operation, ..)| operation.0 == "get") {
        if !request.1.contains("follow") {
            assert_eq!(send(&user, request).await.status, 200, "{request:?}");
        }
    }
    t.stop().await;
}

#[tokio::test]
async fn assignment_token_survives_a_restart_without_the_sts() {
    let sts = Sts::start();
    // The signing keys are unreachable; anonymous callers may start runs.
    let vars = [("ARP_AUTH_MODE", "optional"), ("ARP_AUTH_JWKS_URI", UNREACHABLE)];
    let t = guarded(&sts, &vars).await;
    let run = t.run_start("composite.accept", json!({})).await;
    let root = run.root_node_run_id.as_str();
    let token = assigned(&t, root).await;
    t.at_rest().await;
    let (journal, executors) = t.stop().await;

    let t = guarded_on(journal, executors, &sts, &vars).await;
    let refused = user(&t).get(&format!("/v1/node-runs/{root}")).await.refused(401, "unauthorized");
    assert_eq!(refused["message"], "Unable to fetch JWKS");
    let composite = Bearer::new(&t, &*token);
    let child = composite.create(run.run_id.as_str(), root, "atomic.echo").await;
    composite.succeeded(&child).await;
    let complete = format!("/v1/node-runs/{root}:complete");
    composite.post(&complete, &json!({"state": "succeeded"})).await.no_content();
    assert_eq!(t.run_ended(&run.run_id).await.state.to_string(), "succeeded");
    t.stop().await;

    // Another journal has another signing key.
    let t = guarded(&sts, &vars).await;
    let stranger = Bearer::new(&t, token).get("/v1/runs/a").await.refused(401, "unauthorized");
    assert_eq!(stranger["message"], "Invalid token");
    t.stop().await;
}

#[tokio::test]
async fn assignment_token_expires_at_its_nodes_deadline() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let [_, root] = user(&t).start("composite.accept").await;
    let token = assigned(&t, &root).await;
    let claims = claims_of(&token);
    let deadline = t.deadline_of(&root);
    let exp = claims["exp"].as_i64().expect("a number") * 1_000_000;
    assert!((0..=1_000_000).contains(&(exp - deadline)), "{exp} {deadline}");
    assert!((now() - 60..=now()).contains(&claims["iat"].as_i64().expect("a number")));
    assert_eq!((&claims["sub"], &claims["att"]), (&json!(root), &json!(1)));
    t.stop().await;
}

#[tokio::test]
async fn no_assignment_token_is_issued_without_authentication() {
    let t = TestServer::start().await;
    t.run_start("composite.accept", json!({})).await;
    let call = t.executors.called(":begin", 1).await.remove(0);
    assert_eq!(call.body.get("assignment_token"), None);
    t.stop().await;
}

#[tokio::test]
async fn assignment_token_of_a_lost_node_is_refused_after_a_restore() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let [run, root] = user(&t).start("composite.accept").await;
    let root_token = assigned(&t, &root).await;
    t.at_rest().await;
    let (journal, executors) = t.stop().await;
    let (file, backup) = (journal.path().join("journal.db"), journal.path().join("backup.db"));
    std::fs::copy(&file, &backup).expect("a backup");

    let t = guarded_on(journal, executors, &sts, &[]).await;
    let composite = Bearer::new(&t, &*root_token);
    let forgotten = composite.create(&run, &root, "composite.accept").await;
    let below = composite.create(&run, &forgotten, "composite.accept").await;
    let old_token = assigned(&t, &forgotten).await;
    t.at_rest().await;
    let (journal, executors) = t.stop().await;
    std::fs::copy(&backup, &file).expect("restored");

    let t = guarded_on(journal, executors, &sts, &[]).await;
    let composite = Bearer::new(&t, &*root_token);
    let node = composite.create(&run, &root, "composite.accept").await;
    let inner = composite.create(&run, &node, "composite.accept").await;
    assert!(node != forgotten && inner != below);
    let old = Bearer::new(&t, old_token);
    forbidden(&old.get(&format!("/v1/runs/{run}")).await, &forgotten);
    for request in about_node(&run, &node).iter().chain(&about_node(&run, &inner)) {
        forbidden(&send(&old, request).await, &forgotten);
    }
    let new = Bearer::new(&t, assigned(&t, &node).await);
    for request in about_node(&run, &inner).iter().chain(&about_node(&run, &node)) {
        let answer = send(&new, request).await;
        assert!([200, 204].contains(&answer.status), "{request:?}: {}", answer.text);
    }
    t.stop().await;
}
