//! The conformance suite finds fault with whoever deserves it: these
//! coordinators are none.

use std::{collections::BTreeSet, time::Duration};

use conformance::{Outcome, Selection, Setup, TypeName, all, executors, suite};
use scripted_executor::{Reply, server::Server};
use serde_json::json;

const ANYWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// Somebody who answers the same to everything.
struct Parrot(Server);

impl Parrot {
    fn new(status: u16, content_type: &'static str, body: &str) -> Self {
        let reply = Reply { content_type, ..Reply::json(status, body) };
        Self(Server::start(ANYWHERE.into(), move |_| reply.clone()).expect("it listens"))
    }

    /// What becomes of all checks, none of which is skipped.
    fn looked_at(&self) -> Vec<Outcome> {
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
fn who_talks_nonsense_passes_nothing() {
    for (status, content_type, body) in [
        (200, "application/json", "{}"),
        (204, "application/json", ""),
        (404, "application/json", "{\"detail\": \"Not Found\"}"),
        (500, "text/plain", "Internal Server Error"),
        (400, "application/json", "{\"error\": {\"code\": \"bad_request\", \"message\": \"no\"}}"),
    ] {
        let outcomes = Parrot::new(status, content_type, body).looked_at();
        assert_eq!(passed(&outcomes), BTreeSet::new(), "{status} {body}");
        let failed = outcomes.iter().filter(|outcome| outcome.failed()).count();
        assert_eq!(failed, outcomes.len(), "nothing is skipped");
    }
}

/// One who refuses everything in the right words is right about what has to be
/// refused, and one who agrees to everything about what must be let in.
#[test]
fn who_always_says_the_same_passes_little() {
    let no = json!({"error": {"code": "invalid_request", "message": "Request validation failed"}});
    let yes = json!({"run_id": "r", "root_node_run_id": "n", "node_run_id": "n", "state": "succeeded",
        "status": "ok", "time": "2026-01-01T00:00:00Z", "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:00Z", "service_name": "arp-jarvis-run-coordinator",
        "service_version": "1", "supported_api_versions": ["v1"], "node_runs": [{"node_run_id": "n"}]});
    let mut text = String::new();
    for (status, body) in [(400, no), (200, yes)] {
        let outcomes = Parrot::new(status, "application/json", &body.to_string()).looked_at();
        text += &format!("{status}\n");
        for id in passed(&outcomes) {
            text += &format!("  {id}\n");
        }
    }
    expectorate::assert_contents("tests/output/conformance-parrots.txt", &text);
}
