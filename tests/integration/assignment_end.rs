//! The end of an assignment (contract §9.4, D-19): when its NodeRun has ended, a
//! token is good for nothing, except to be answered what it missed.
//!
//! ```text
//!   completed · canceled · deadline · silence ──▶ 401 "Assignment has ended"
//!                                             └─▶ its own `:complete` again: 204, 409
//! ```

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::join;
use jarvis_run_coordinator::{
    app::Surroundings,
    journal::{
        Journal, JournalError, OutboxId,
        intercept::{Intercepted, Interceptor},
        sqlite::SqliteJournal,
    },
    record::{ChangeSet, NodeRecord},
    types::{NodeRunId, NodeRunState},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    bearer::{Bearer, about_node, assigned, forbidden, guarded, guarded_on, send, spec, user},
    support::{Answer, FakeExecutors, Sts, TestMachine, TestServer, soon},
};

const ENDED: &str = "Assignment has ended";

#[track_caller]
fn ended(answer: &Answer) {
    let expected = json!({"code": "unauthorized", "message": ENDED});
    assert_eq!(answer.refused(401, "unauthorized"), expected);
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{ENDED}\"");
    assert_eq!(answer.header("www-authenticate"), Some(&*challenge));
}

/// A run with a composite root, a composite below it, and an atomic node below that.
struct Tree<'t> {
    t: &'t TestServer,
    run: String,
    root: String,
    node: String,
    leaf: String,
    bearer: Bearer<'t>,
}

impl<'t> Tree<'t> {
    async fn grow(t: &'t TestServer) -> Self {
        let user = user(t);
        let [run, root] = user.start("composite.accept").await;
        let node = user.create(&run, &root, "composite.accept").await;
        let leaf = user.create(&run, &node, "atomic.hang").await;
        let bearer = Bearer::new(t, assigned(t, &node).await);
        t.executors
            .calls_until("the leaf", |calls| calls.iter().any(|call| call.body["node_run_id"] == *leaf))
            .await;
        Self { t, run, root, node, leaf, bearer }
    }

    /// The token of the node is good for nothing, but answers for its own end.
    async fn has_ended_as(&self, state: &str) {
        let own = format!("/v1/node-runs/{}", self.node);
        assert_eq!(user(self.t).get(&own).await.ok()["state"], state);
        self.t.at_rest().await;
        let before = self.t.journal_rows();
        let complete = |state: &str| (format!("{own}:complete"), json!({"state": state}));
        for node in [&self.root, &self.node, &self.leaf, "nothing"] {
            for request in about_node(&self.run, node) {
                if request.1 != complete(state).0 {
                    ended(&send(&self.bearer, &request).await);
                }
            }
            ended(&self.bearer.get(&format!("/v1/node-runs/{node}/events?follow=1")).await);
        }
        for run in [&self.run, "nothing"] {
            let path = format!("/v1/runs/{run}");
            ended(&self.bearer.get(&path).await);
            ended(&self.bearer.get(&format!("{path}/events")).await);
            ended(&self.bearer.post(&format!("{path}:cancel"), &json!({})).await);
        }
        let start = json!({"root_node_type_ref": spec("atomic.echo")["node_type_ref"], "input": {}});
        ended(&self.bearer.post("/v1/runs", &start).await);
        for said in ["succeeded", "failed", "canceled"] {
            let (path, body) = complete(said);
            let answer = self.bearer.post(&path, &body).await;
            if said == state {
                answer.no_content();
            } else {
                let refused = answer.refused(409, "node_run_terminal");
                assert_eq!(refused["message"], format!("NodeRun is already {state}"));
            }
        }
        assert_eq!(self.t.journal_rows(), before, "nothing is written");
    }
}

#[tokio::test]
async fn assignment_token_ends_when_its_node_is_completed() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    for state in ["succeeded", "failed"] {
        let tree = Tree::grow(&t).await;
        let complete = format!("/v1/node-runs/{}:complete", tree.node);
        tree.bearer.post(&complete, &json!({"state": state})).await.no_content();
        tree.has_ended_as(state).await;
    }
    t.stop().await;
}

#[tokio::test]
async fn assignment_token_ends_when_its_run_or_parent_ends() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let tree = Tree::grow(&t).await;
    user(&t).post(&format!("/v1/runs/{}:cancel", tree.run), &json!({})).await.ok();
    tree.has_ended_as("canceled").await;
    let tree = Tree::grow(&t).await;
    let parent = Bearer::new(&t, assigned(&t, &tree.root).await);
    let complete = format!("/v1/node-runs/{}:complete", tree.root);
    parent.post(&complete, &json!({"state": "succeeded"})).await.no_content();
    tree.has_ended_as("canceled").await;
    t.stop().await;
}

#[tokio::test]
async fn assignment_token_ends_with_a_silent_or_late_node() {
    let sts = Sts::start();
    let vars = sts.variables();
    let mut vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.extend([
        ("ARP_AUTH_MODE", "optional"),
        ("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", "60"),
        ("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "80000"),
    ]);
    let in_a_minute = json!({"constraints": {"budgets": {"max_wall_time_ms": 60_000}}});
    for (more, code) in [(json!({}), "composite_executor_silent"), (in_a_minute, "deadline_exceeded")] {
        let machine = TestMachine::default();
        let t = TestServer::start_with_clock(machine.clone(), &vars).await;
        let run = t.run_start_with("composite.accept", json!({}), more).await;
        let root = &run.root_node_run_id;
        let bearer = Bearer::new(&t, assigned(&t, root.as_str()).await);
        let child = bearer.create(run.run_id.as_str(), root.as_str(), "atomic.echo").await;
        t.node_run_in(&child.as_str().into(), NodeRunState::Succeeded).await;
        t.at_rest().await;
        let own = format!("/v1/node-runs/{root}");
        bearer.get(&own).await.ok();
        machine.pass(Duration::from_secs(65));
        let node = soon("the end", t.node_run_until(root, |node| node.ended_at.is_some())).await;
        ended(&bearer.get(&own).await);
        let error = node.extensions.map(|extensions| extensions.value("completion_error"));
        assert_eq!(error.expect("an error")["code"], code);
        t.stop().await;
    }
}

/// A response of which the head has arrived: its sender has been admitted.
async fn followed(t: &TestServer, token: &str, path: &str) -> reqwest::Response {
    let response = soon("the stream", t.request("GET", path).bearer_auth(token).send()).await;
    let response = response.expect("a stream");
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test]
async fn followed_stream_of_a_token_ends_with_its_node() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let user = user(&t);
    for cancel in [false, true] {
        let tree = Tree::grow(&t).await;
        let stored = |node: &str| format!("/v1/node-runs/{node}/events");
        let (mut by_token, mut by_user) = (Vec::new(), Vec::new());
        for node in [&tree.node, &tree.leaf] {
            let path = format!("{}?follow=1", stored(node));
            by_token.push((node, followed(&t, &tree.bearer.token, &path).await));
            by_user.push(followed(&t, &user.token, &path).await);
        }
        let own = format!("/v1/node-runs/{}", tree.node);
        if cancel {
            user.post(&format!("/v1/runs/{}:cancel", tree.run), &json!({})).await.ok();
        } else {
            tree.bearer.post(&format!("{own}:complete"), &json!({"state": "succeeded"})).await.no_content();
        }
        for (node, response) in by_token {
            let text = soon("the end of the stream", response.text()).await.expect("a sound stream");
            assert_eq!(text, user.get(&stored(node)).await.text, "all events up to its end");
            assert!(text.contains("atomic_executed"), "{text}");
        }
        if !cancel {
            // What happens later is for those only who may still see it.
            let evaluation = json!({"evaluation_result": {"status": "success"}});
            user.post(&format!("{own}:evaluation"), &evaluation).await.no_content();
            user.post(&format!("/v1/runs/{}:cancel", tree.run), &json!({})).await.ok();
        }
        for (response, later) in by_user.into_iter().zip([!cancel, false]) {
            let text = soon("the end of the stream", response.text()).await.expect("a sound stream");
            assert_eq!(text.contains("node_evaluated"), later, "{text}");
        }
    }
    t.stop().await;
}

/// A journal whose commits can be held back, and which counts how often a NodeRun is
/// read as a whole.
#[derive(Clone, Default)]
struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    closed: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
    reads: watch::Sender<BTreeMap<String, usize>>,
}

struct Gated {
    journal: SqliteJournal,
    gate: Gate,
}

impl Gate {
    fn close(&self, closed: bool) {
        self.0.closed.send_replace(closed);
    }

    async fn commit_waits(&self) {
        let mut waiting = self.0.waiting.subscribe();
        soon("a commit", waiting.wait_for(|waiting| *waiting > 0)).await.expect("open");
    }

    fn reads(&self, node: &str) -> usize {
        self.0.reads.borrow().get(node).copied().unwrap_or(0)
    }

    async fn read(&self, node: &str, times: usize) {
        let mut reads = self.0.reads.subscribe();
        soon("a read", reads.wait_for(|reads| reads.get(node) >= Some(&times))).await.expect("open");
    }
}

impl Interceptor for Gated {
    type Inner = SqliteJournal;

    fn journal(&self) -> &SqliteJournal {
        &self.journal
    }

    async fn read<T: Send>(
        &self,
        _: &str,
        work: impl Future<Output = Result<T, JournalError>> + Send,
    ) -> Result<T, JournalError> {
        work.await
    }

    async fn write<T: Send, F: Future<Output = Result<T, JournalError>> + Send>(
        &self,
        _: &str,
        work: impl Fn() -> F + Send + Sync,
    ) -> Result<T, JournalError> {
        work().await
    }

    async fn commit(&self, change: ChangeSet) -> Result<Option<OutboxId>, JournalError> {
        let state = &self.gate.0;
        let mut closed = state.closed.subscribe();
        state.waiting.send_modify(|waiting| *waiting += 1);
        let _ = closed.wait_for(|closed| !closed).await;
        state.waiting.send_modify(|waiting| *waiting -= 1);
        self.journal.commit(change).await
    }

    async fn node_fetch(&self, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
        let found = self.journal.node_fetch(node).await;
        self.gate.0.reads.send_modify(|reads| *reads.entry(node.to_string()).or_default() += 1);
        found
    }
}

/// The token is good when the request is authorized, and its node ends before the
/// decision: that is made on what the journal says then.
#[tokio::test]
async fn ended_assignment_counts_at_the_decision() {
    let (sts, gate) = (Sts::start(), Gate::default());
    let vars = sts.variables();
    let vars: Vec<(&str, &str)> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let inner = gate.clone();
    let surroundings = Surroundings {
        before_journal: Box::new(move |journal| Arc::new(Intercepted(Gated { journal, gate: inner }))),
        ..Surroundings::default()
    };
    let t = TestServer::start_among(surroundings, &vars).await;
    for (target, operation, refusal) in [
        (false, ":evaluation", (401, "unauthorized")),
        (true, ":evaluation", (401, "unauthorized")),
        (false, "create", (409, "parent_node_run_terminal")),
    ] {
        let user = user(&t);
        let [run, root] = user.start("composite.accept").await;
        let node = user.create(&run, &root, "composite.accept").await;
        let below = user.create(&run, &node, "atomic.echo").await;
        user.succeeded(&below).await;
        let bearer = Bearer::new(&t, assigned(&t, &node).await);
        t.at_rest().await;
        let target = if target { &below } else { &node };
        let requests = about_node(&run, target);
        let is_meant =
            |path: &str| path.ends_with(operation) || (operation, path) == ("create", "/v1/node-runs");
        let late = requests.iter().find(|request| is_meant(&request.1)).expect("the operation");

        gate.close(true);
        let own = format!("/v1/node-runs/{node}");
        let (path, body) = (format!("{own}:complete"), json!({"state": "succeeded"}));
        let end = async {
            gate.commit_waits().await;
            let reads = gate.reads(target);
            let open = async {
                // It has been authorized: its node is live for all who ask.
                gate.read(target, reads + 1).await;
                gate.close(false);
            };
            join(send(&bearer, late), open).await.0
        };
        let (ends, late) = join(user.post(&path, &body), end).await;
        ends.no_content();
        late.refused(refusal.0, refusal.1);
        assert_eq!(
            user.get(&format!("/v1/node-runs/{target}")).await.ok()["evaluation_result"],
            // That of the coordinator itself.
            if target == &below {
                json!({"status": "success", "reason_code": "atomic_completed"})
            } else {
                Value::Null
            }
        );
        let events = user.get(&format!("/v1/runs/{run}/events")).await.text;
        assert!(!events.contains("fail"), "{events}");
        assert_eq!(events.matches("node_run_assigned").count(), 3, "{events}");
    }
    t.stop().await;
}

/// An idempotency key determines the id of a child. When a journal is restored, the
/// same id may be in the same place for the second time.
#[tokio::test]
async fn token_is_not_valid_for_a_node_made_again() {
    let sts = Sts::start();
    let t = guarded(&sts, &[]).await;
    let [run, root] = user(&t).start("composite.accept").await;
    let root_token = assigned(&t, &root).await;
    t.at_rest().await;
    let (journal, executors) = t.stop().await;
    let (file, backup) = (journal.path().join("journal.db"), journal.path().join("backup.db"));
    std::fs::copy(&file, &backup).expect("a backup");
    let create = {
        let mut child = spec("composite.accept");
        child["idempotency_key"] = "the child".into();
        json!({"run_id": run, "parent_node_run_id": root, "node_runs": [child]})
    };
    let id_of = |created: Value| created["node_runs"][0]["node_run_id"].as_str().expect("an id").to_owned();

    let t = guarded_on(journal, executors, &sts, &[]).await;
    let composite = Bearer::new(&t, &*root_token);
    let first = id_of(composite.post("/v1/node-runs", &create).await.ok());
    let old_token = assigned(&t, &first).await;
    Bearer::new(&t, &*old_token).get(&format!("/v1/node-runs/{first}")).await.ok();
    t.at_rest().await;
    let (journal, _) = t.stop().await;
    std::fs::copy(&backup, &file).expect("restored");

    let t = guarded_on(journal, FakeExecutors::start(), &sts, &[]).await;
    let composite = Bearer::new(&t, &*root_token);
    let second = id_of(composite.post("/v1/node-runs", &create).await.ok());
    assert_eq!(second, first, "the same id");
    let new_token = assigned(&t, &second).await;
    let (old, new) = (Bearer::new(&t, old_token), Bearer::new(&t, new_token));
    let below = new.create(&run, &second, "atomic.hang").await;
    for node in [&second, &below] {
        for request in about_node(&run, node) {
            forbidden(&send(&old, &request).await, &first);
        }
    }
    forbidden(&old.get(&format!("/v1/runs/{run}")).await, &first);
    for node in [&below, &second] {
        for request in about_node(&run, node).into_iter().filter(|request| !request.1.ends_with("/events")) {
            // (The leaf takes no children.)
            if !(node == &below && request.1 == "/v1/node-runs") {
                let answer = send(&new, &request).await;
                assert!([200, 204].contains(&answer.status), "{request:?}: {}", answer.text);
            }
        }
    }
    t.stop().await;
}
