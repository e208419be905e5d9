//! What a report looks like: a CloudEvent in its structured form. Pure.
//!
//! **Invariants.** The id follows from what is reported, so that a receiver recognises a
//! repetition. A report has names, states and codes: never inputs or outputs, and no
//! text that an executor wrote. It is at most [`BODY_BYTES`] long.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::facts::Facts;
use crate::{
    clients::path::encode_path,
    record::{Notice, WebhookId},
    time::Timestamp,
};

/// The longest body: what the receivers of Standard Webhooks have to take.
const BODY_BYTES: usize = 64 << 10;

/// In front of the kinds of notices.
const TYPE_PREFIX: &str = "org.arp.";

/// Who reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The coordinator's URL, if it has one.
    pub public_url: Option<String>,
}

/// The `source` of a coordinator without a URL.
const NAMELESS: &str = "/jarvis-run-coordinator";

impl Source {
    fn name(&self) -> &str {
        self.public_url.as_deref().unwrap_or(NAMELESS)
    }

    /// A link to something of the ARP API; relative, without a URL.
    fn link(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.as_deref().unwrap_or_default())
    }
}

/// The id of the report about a notice.
pub(super) fn id(notice: &Notice, at: Timestamp) -> String {
    // Encoding cannot fail: a notice is ids and names.
    let what = serde_json::to_string(notice).unwrap_or_default();
    derived(&format!("{what}@{}", at.as_micros()))
}

fn derived(from: &str) -> String {
    Sha256::digest(from).iter().take(16).fold("evt_".to_owned(), |mut id, byte| {
        // Writing to a text cannot fail.
        _ = write!(id, "{byte:02x}");
        id
    })
}

/// The report about a notice.
pub(super) fn report(source: &Source, id: &str, notice: &Notice, at: Timestamp, facts: &Facts) -> String {
    let subject = match notice {
        Notice::RunCompleted { run_id }
        | Notice::NodeRunFailed { run_id, .. }
        | Notice::ApprovalRequested { run_id, .. }
        | Notice::WorkParked { run_id, .. } => run_id.to_string(),
        Notice::ExecutorDown(name) | Notice::ExecutorUp(name) => match &name.member {
            None => name.executor.clone(),
            Some(member) => format!("{}/{member}", name.executor),
        },
    };
    let head = Head { id, kind: notice.kind().as_str(), subject: &subject, at };
    let body = event(source, head, &data(source, notice, facts));
    if body.len() <= BODY_BYTES {
        return body;
    }
    // Ids of adopted runs are not bounded.
    event(source, Head { subject: "too_long", ..head }, &json!({"truncated": true}))
}

/// The report of a test, which is not stored.
pub(super) fn test(source: &Source, webhook: &WebhookId, nonce: &str, at: Timestamp) -> (String, String) {
    let id = derived(&format!("test@{webhook}@{nonce}"));
    let head = Head { id: &id, kind: "webhook.test", subject: webhook.as_str(), at };
    let body = event(source, head, &json!({"webhook_id": webhook.as_str()}));
    (id, body)
}

/// The members of an event that say what it is.
#[derive(Clone, Copy)]
struct Head<'h> {
    id: &'h str,
    kind: &'h str,
    subject: &'h str,
    at: Timestamp,
}

fn event(source: &Source, head: Head<'_>, data: &Value) -> String {
    let Head { id, kind, subject, at } = head;
    json!({
        "specversion": "1.0",
        "id": id,
        "source": source.name(),
        "type": format!("{TYPE_PREFIX}{kind}"),
        "subject": subject,
        "time": at,
        "datacontenttype": "application/json",
        "data": data,
    })
    .to_string()
}

fn data(source: &Source, notice: &Notice, facts: &Facts) -> Value {
    let mut data = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            data.insert(name.to_owned(), value);
        }
    };
    let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
    put("run_id", notice.run_id().map(|id| json!(id)));
    put("node_run_id", notice.node_run_id().map(|id| json!(id)));
    put("state", text(&facts.state));
    put("error_code", text(&facts.error_code));
    put("tenant", text(&facts.tenant));
    put("node_type", facts.node_type.as_ref().map(|(id, version)| json!({"id": id, "version": version})));
    put("started_at", facts.started_at.map(|at| json!(at)));
    put("ended_at", facts.ended_at.map(|at| json!(at)));
    match notice {
        Notice::RunCompleted { .. } | Notice::NodeRunFailed { .. } => {}
        Notice::ApprovalRequested { approval_id, .. } => {
            put("approval_id", Some(json!(approval_id)));
            put("expires_at", facts.expires_at.map(|at| json!(at)));
        }
        Notice::WorkParked { job, .. } => put("job", Some(json!(job))),
        Notice::ExecutorDown(name) | Notice::ExecutorUp(name) => {
            put("executor", Some(json!(name.executor)));
            put("member", text(&name.member));
        }
    }
    let mut links = Map::new();
    if let Some(run) = notice.run_id() {
        links.insert("run".into(), source.link(&format!("/v1/runs/{}", encode_path(run.as_str()))).into());
    }
    if let Some(node) = notice.node_run_id() {
        let path = format!("/v1/node-runs/{}", encode_path(node.as_str()));
        links.insert("node_run".into(), source.link(&path).into());
    }
    put("links", (!links.is_empty()).then_some(Value::Object(links)));
    Value::Object(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ApprovalId, ExecutorName};

    fn facts() -> Facts {
        Facts {
            tenant: Some("acme".into()),
            node_type: Some(("atomic.echo".into(), "1.0.0".into())),
            state: Some("failed".into()),
            error_code: Some("timeout".into()),
            started_at: None,
            ended_at: Some(Timestamp::from_micros(2_000_000)),
            expires_at: None,
        }
    }

    fn source() -> Source {
        Source { public_url: Some("https://runs.example.com".into()) }
    }

    fn parsed(notice: &Notice, facts: &Facts) -> Value {
        let at = Timestamp::from_micros(2_000_000);
        serde_json::from_str(&report(&source(), &id(notice, at), notice, at, facts)).expect("JSON")
    }

    #[test]
    fn report_is_a_cloud_event_with_names_only() {
        let notice = Notice::NodeRunFailed { run_id: "run:1".into(), node_run_id: "n".into() };
        let event = parsed(&notice, &facts());
        let id = event["id"].clone();
        assert_eq!(
            event,
            json!({
                "specversion": "1.0", "id": id, "source": "https://runs.example.com",
                "type": "org.arp.node_run.failed", "subject": "run:1", "time": "1970-01-01T00:00:02.000000Z",
                "datacontenttype": "application/json",
                "data": {
                    "run_id": "run:1", "node_run_id": "n", "state": "failed", "error_code": "timeout",
                    "tenant": "acme", "node_type": {"id": "atomic.echo", "version": "1.0.0"},
                    "ended_at": "1970-01-01T00:00:02.000000Z",
                    "links": {"run": "https://runs.example.com/v1/runs/run%3A1",
                              "node_run": "https://runs.example.com/v1/node-runs/n"},
                },
            })
        );
    }

    #[test]
    fn id_of_a_report_follows_from_what_it_is_about() {
        let (at, later) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        let completed = |run: &str| Notice::RunCompleted { run_id: run.into() };
        let approval = |number| Notice::ApprovalRequested {
            run_id: "a".into(),
            approval_id: ApprovalId::new("n".into(), number),
        };
        let ids = [
            id(&completed("a"), at),
            id(&completed("a"), later),
            id(&completed("b"), at),
            id(&approval(1), at),
            id(&approval(2), at),
        ];
        assert_eq!(id(&completed("a"), at), ids[0]);
        for (place, one) in ids.iter().enumerate() {
            assert!(one.starts_with("evt_") && one.len() == 36, "{one}");
            assert!(!ids[place + 1..].contains(one), "{ids:?}");
        }
    }

    #[test]
    fn executors_are_the_subject_of_their_reports() {
        let name = |member: Option<&str>| ExecutorName {
            executor: "atomic_executor".into(),
            member: member.map(str::to_owned),
        };
        let down = parsed(&Notice::ExecutorDown(name(Some("a"))), &Facts::default());
        assert_eq!(
            (&down["subject"], &down["type"]),
            (&json!("atomic_executor/a"), &json!("org.arp.executor.down"))
        );
        assert_eq!(down["data"], json!({"executor": "atomic_executor", "member": "a"}));
        let up = parsed(&Notice::ExecutorUp(name(None)), &Facts::default());
        assert_eq!(up["subject"], "atomic_executor");
    }

    #[test]
    fn report_is_bounded_whatever_the_ids_are() {
        let long = Notice::RunCompleted { run_id: "x".repeat(BODY_BYTES).as_str().into() };
        let at = Timestamp::from_micros(1);
        let body = report(&Source { public_url: None }, &id(&long, at), &long, at, &facts());
        let event: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((&event["data"], &event["source"]), (&json!({"truncated": true}), &json!(NAMELESS)));
    }
}
