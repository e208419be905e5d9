//! Assignment tokens (contract §9.4, D-19): a composite executor may do with its
//! token what its work needs, within its subtree, and nothing else.
//!
//! ```text
//!   root ─┬─ node ── below     the token of `node` is valid for `node` and `below`,
//!         └─ sibling           and for reading the run
//! ```

use std::collections::BTreeSet;

use jarvis_run_coordinator::{api::openapi, types::NodeRunState};
use serde_json::{Value, json};

use crate::support::{
    Answer, FakeExecutors, FakeStores, Signer, Sts, TestServer, UNREACHABLE, soon,
    sts::{claims, now},
};

fn spec(id: &str) -> Value {
    json!({"node_type_ref": {"node_type_id": id, "version": "1.0.0"}, "inputs": {"x": 1}})
}

/// A caller with a bearer token.
struct Bearer<'t> {
    t: &'t TestServer,
    token: String,
}

impl<'t> Bearer<'t> {
    fn new(t: &'t TestServer, token: impl Into<String>) -> Self {
        Self { t, token: token.into() }
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.t.request("GET", path).bearer_auth(&self.token)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.t.request("POST", path).bearer_auth(&self.token).json(body)).await
    }

    /// Starts a run; returns its id and that of its root.
    async fn start(&self, node_type: &str) -> [String; 2] {
        let request = json!({"root_node_type_ref": spec(node_type)["node_type_ref"], "input": {}});
        let run = self.post("/v1/runs", &request).await.ok();
        ["run_id", "root_node_run_id"].map(|name| run[name].as_str().expect("an id").to_owned())
    }

    /// Creates a child; returns its id.
    async fn create(&self, run: &str, parent: &str, node_type: &str) -> String {
        let request = json!({"run_id": run, "parent_node_run_id": parent, "node_runs": [spec(node_type)]});
        let created = self.post("/v1/node-runs", &request).await.ok();
        created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned()
    }

    /// Polls until a node has succeeded.
    async fn succeeded(&self, node: &str) {
        let state = NodeRunState::Succeeded.to_string();
        soon("the end of the node", async {
            while self.get(&format!("/v1/node-runs/{node}")).await.ok()["state"] != state {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn guarded(sts: &Sts, more: &[(&str, &str)]) -> TestServer {
    let journal = tempfile::tempdir().expect("a folder for the journal");
    guarded_on(journal, FakeExecutors::start(), sts, more).await
}

async fn guarded_on(
    journal: tempfile::TempDir,
    executors: FakeExecutors,
    sts: &Sts,
    more: &[(&str, &str)],
) -> TestServer {
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend_from_slice(more);
    TestServer::try_start(journal, executors, &vars).await.expect("the server starts")
}

fn user(t: &TestServer) -> Bearer<'_> {
    Bearer::new(t, Signer::known().sign(&claims(&json!({}))))
}

/// The assignment token that the executor of a composite received.
async fn assigned(t: &TestServer, node: &str) -> String {
    let is_assignment =
        |call: &&crate::support::Call| call.path.ends_with(":begin") && call.body["node_run_id"] == node;
    let calls =
        t.executors.calls_until("the assignment", |calls| calls.iter().any(|c| is_assignment(&c))).await;
    let call = calls.iter().find(is_assignment).expect("the assignment");
    call.body["assignment_token"].as_str().expect("a token").to_owned()
}

#[track_caller]
fn forbidden(answer: &Answer, node: &str) {
    let message = format!("Token is scoped to NodeRun '{node}' and its descendants");
    let expected = json!({"code": "forbidden", "message": message, "retryable": false});
    assert_eq!(answer.refused(403, "forbidden"), expected);
}

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
        composite.succeeded(node).await;
    }
    assert_eq!(composite.get(&format!("/v1/runs/{run}")).await.ok()["state"], "succeeded");
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

/// A request: the operation in the API document, the path, and the body.
type Request = ((&'static str, &'static str), String, Value);

/// The requests of all operations on a node of a run.
fn about_node(run: &str, node: &str) -> Vec<Request> {
    let path = format!("/v1/node-runs/{node}");
    let evaluation = json!({"evaluation_result": {"status": "fail"}});
    let create = json!({"run_id": run, "parent_node_run_id": node, "node_runs": [spec("atomic.echo")]});
    vec![
        (("get", "/v1/node-runs/{node_run_id}"), path.clone(), Value::Null),
        (("get", "/v1/node-runs/{node_run_id}/events"), format!("{path}/events"), Value::Null),
        (("post", "/v1/node-runs/{node_run_id}:evaluation"), format!("{path}:evaluation"), evaluation),
        (("post", "/v1/node-runs"), "/v1/node-runs".into(), create),
        (
            ("post", "/v1/node-runs/{node_run_id}:complete"),
            format!("{path}:complete"),
            json!({"state": "succeeded"}),
        ),
    ]
}

async fn send(bearer: &Bearer<'_>, (operation, path, body): &Request) -> Answer {
    match operation.0 {
        "get" => bearer.get(path).await,
        _ => bearer.post(path, body).await,
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
    let [_, payload, _] = token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload).expect("base64");
    let claims: Value = serde_json::from_slice(&payload).expect("claims");
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
