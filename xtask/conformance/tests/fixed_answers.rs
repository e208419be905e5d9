//! The conformance suite fails servers that are no coordinators: these give the same
//! answer to every request.

use std::{collections::BTreeSet, time::Duration};

use conformance::{Outcome, Selection, Setup, TypeName, all, executors, suite};
use scripted_executor::{Reply, server::Server};
use serde_json::json;

const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A server that answers the same to everything.
struct FixedAnswers(Server);

impl FixedAnswers {
    fn new(status: u16, content_type: &'static str, body: &str) -> Self {
        let reply = Reply { content_type, ..Reply::json(status, body) };
        Self(Server::start(ANYWHERE.into(), move |_| reply.clone()).expect("it listens"))
    }

    /// The outcomes of all checks, none of which is skipped.
    fn outcomes(&self) -> Vec<Outcome> {
        let setup = Setup {
            url: self.0.url(),
            token: Some("e30.e30.e30".into()),
            atomic_type: None,
            composite_type: None,
            denied_type: Some(TypeName::new("denied", "1")),
            denied_tenant: Some("denied".into()),
            patience: Duration::from_millis(50),
        };
        let executors = executors::listen(ANYWHERE.into()).expect("they listen");
        let checks = Selection::default().of(all()).expect("there are checks");
        suite::run(&checks, setup, Some(executors), |_| {})
    }
}

fn passed(outcomes: &[Outcome]) -> BTreeSet<&'static str> {
    let passed = outcomes.iter().filter(|outcome| outcome.verdict.is_ok());
    passed.map(|outcome| outcome.check.id).collect()
}

#[test]
fn nonsense_answers_pass_nothing() {
    for (status, content_type, body) in [
        (200, "application/json", "{}"),
        (204, "application/json", ""),
        (404, "application/json", "{\"detail\": \"Not Found\"}"),
        (500, "text/plain", "Internal Server Error"),
        (400, "application/json", "{\"error\": {\"code\": \"bad_request\", \"message\": \"no\"}}"),
    ] {
        let outcomes = FixedAnswers::new(status, content_type, body).outcomes();
        assert_eq!(passed(&outcomes), BTreeSet::new(), "{status} {body}");
        let failed = outcomes.iter().filter(|outcome| outcome.failed()).count();
        assert_eq!(failed, outcomes.len(), "nothing is skipped");
    }
}

/// A server that refuses everything with a valid envelope passes the checks of
/// refusals, and one that accepts everything those of acceptance.
#[test]
fn constant_answers_pass_little() {
    let no = json!({"error": {"code": "invalid_request", "message": "Request validation failed"}});
    let yes = json!({"run_id": "r", "root_node_run_id": "n", "node_run_id": "n", "state": "succeeded",
        "status": "ok", "time": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:00Z", "service_name": "arp-jarvis-run-coordinator",
        "service_version": "1", "supported_api_versions": ["v1"], "node_runs": [{"node_run_id": "n"}]});
    let mut text = String::new();
    for (status, body) in [(400, no), (200, yes)] {
        let outcomes = FixedAnswers::new(status, "application/json", &body.to_string()).outcomes();
        text += &format!("{status}\n");
        for id in passed(&outcomes) {
            text += &format!("  {id}\n");
        }
    }
    expectorate::assert_contents("tests/output/fixed-answers.txt", &text);
}
