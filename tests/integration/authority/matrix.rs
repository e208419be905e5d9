//! Every operation by every kind of caller and each setting, answered by a real
//! server. After an intended change, rewrite the file with
//! `EXPECTORATE=overwrite cargo test --test integration authority`.

use std::fmt::Write as _;

use jarvis_run_coordinator::record::{Interface, Operation};
use serde_json::{Value, json};

use super::{Caller, assigned, create, guarded, start};
use crate::support::{Answer, Sts, TestServer};

/// The callers, by the head of their column. All runs are alice's, of tenant acme.
pub(super) const CALLERS: [(&str, &str); 12] = [
    ("owner", "alice, who started the run"),
    ("colleague", "of the same tenant, without a role"),
    ("reader", "of the same tenant, with arp.run.read"),
    ("operator", "of the same tenant, with arp.run.operate"),
    ("foreign", "of another tenant, with both of these roles"),
    ("nowhere", "with both of these roles, but without a tenant"),
    ("admin", "of no tenant, with arp.admin"),
    ("trusted", "a client that is listed as trusted"),
    ("anonymous", "without a token (mode optional)"),
    ("node", "with the assignment token of the node run"),
    ("sibling", "with the assignment token of its sibling"),
    ("ended", "with the assignment token of the node run, which has ended"),
];

/// What is asked for: an operation, or a variant of one.
#[derive(Clone, Copy)]
enum Ask {
    Plain(Operation),
    /// The start of alice's run, again.
    StartAgain,
    /// Another start under the id of alice's run.
    StartOther,
    /// A start for a tenant that is not in the caller's token.
    StartForTenant,
}

impl Ask {
    fn all() -> impl Iterator<Item = Self> {
        let variants = [Self::StartAgain, Self::StartOther, Self::StartForTenant];
        variants.into_iter().chain(Operation::of(Interface::Arp).map(Self::Plain))
    }

    fn name(self) -> String {
        match self {
            Self::Plain(operation) => operation.to_string(),
            Self::StartAgain => "start_run, repeated".into(),
            Self::StartOther => "start_run, same id".into(),
            Self::StartForTenant => "start_run, tenant gold".into(),
        }
    }
}

/// Alice's run with two composites below its root.
pub(super) struct Scene {
    pub(super) run: String,
    pub(super) root: String,
    pub(super) node: String,
    sibling: String,
}

impl Scene {
    pub(super) async fn set(alice: &Caller<'_>, name: &str) -> Self {
        let run = alice.start(json!({"run_id": name})).await;
        let root = run["root_node_run_id"].as_str().expect("an id");
        let node = alice.create(name, root).await;
        let sibling = alice.create(name, root).await;
        Self { run: name.to_owned(), root: root.to_owned(), node, sibling }
    }

    async fn ask(&self, caller: &Caller<'_>, ask: Ask) -> Answer {
        let (run, node) = (format!("/v1/runs/{}", self.run), format!("/v1/node-runs/{}", self.node));
        match ask {
            Ask::StartAgain => caller.post("/v1/runs", &start(json!({"run_id": self.run}))).await,
            Ask::StartOther => {
                let other = json!({"run_id": self.run, "input": {"other": true}});
                caller.post("/v1/runs", &start(other)).await
            }
            Ask::StartForTenant => {
                caller.post("/v1/runs", &start(json!({"run_context": {"tenant_id": "gold"}}))).await
            }
            Ask::Plain(operation) => match operation {
                Operation::StartRun => caller.post("/v1/runs", &start(json!({}))).await,
                Operation::GetRun => caller.get(&run).await,
                Operation::CancelRun => caller.post(&format!("{run}:cancel"), &json!({})).await,
                Operation::StreamRunEvents => caller.get(&format!("{run}/events")).await,
                Operation::CreateNodeRuns => {
                    caller.post("/v1/node-runs", &create(&self.run, &self.node)).await
                }
                Operation::GetNodeRun => caller.get(&node).await,
                Operation::StreamNodeRunEvents => caller.get(&format!("{node}/events")).await,
                Operation::ReportNodeRunEvaluation => {
                    let evaluation = json!({"evaluation_result": {"status": "fail"}});
                    caller.post(&format!("{node}:evaluation"), &evaluation).await
                }
                Operation::CompleteNodeRun => {
                    caller.post(&format!("{node}:complete"), &json!({"state": "succeeded"})).await
                }
                Operation::ListApprovals
                | Operation::GetApproval
                | Operation::ApproveNodeRun
                | Operation::DenyNodeRun
                | Operation::ListRuns
                | Operation::CountRuns
                | Operation::GetRunTree
                | Operation::ListAttempts
                | Operation::ExplainRun
                | Operation::ExplainNodeRun
                | Operation::HoldRun
                | Operation::ReleaseRun
                | Operation::PauseDispatch
                | Operation::ResumeDispatch
                | Operation::ListDispatchPauses
                | Operation::WakeNodeRun
                | Operation::CancelRunWithReport
                | Operation::GetCancelReport
                | Operation::RerunRun
                | Operation::StartBulk
                | Operation::ListBulk
                | Operation::GetBulk
                | Operation::ListBulkResults
                | Operation::AbortBulk
                | Operation::ShowRun
                | Operation::ShowNodeRun
                | Operation::ShowRunEvents
                | Operation::WhoAmI
                | Operation::GetSystem
                | Operation::GetConfiguration
                | Operation::GetWork
                | Operation::ListAudit
                | Operation::ExportRun
                | Operation::CreateWebhook
                | Operation::ListWebhooks
                | Operation::GetWebhook
                | Operation::DeleteWebhook
                | Operation::TestWebhook
                | Operation::ListWebhookDeliveries
                | Operation::RedeliverWebhook => {
                    unreachable!("{operation} is no operation of the ARP API")
                }
            },
        }
    }
}

pub(super) async fn caller<'t>(
    t: &'t TestServer,
    alice: &Caller<'t>,
    scene: &Scene,
    name: &str,
) -> Caller<'t> {
    let of = |subject: &str, claims: Value| Caller::new(t, subject, claims);
    match name {
        "owner" => of("alice", json!({"tenant_id": "acme"})),
        "colleague" => of("bob", json!({"tenant_id": "acme"})),
        "reader" => of("bob", json!({"tenant_id": "acme", "roles": ["arp.run.read"]})),
        "operator" => of("bob", json!({"tenant_id": "acme", "roles": ["arp.run.operate"]})),
        "foreign" => of("carol", json!({"tenant_id": "beta", "roles": "arp.run.read arp.run.operate"})),
        "nowhere" => of("dave", json!({"roles": "arp.run.read arp.run.operate"})),
        "admin" => of("root", json!({"roles": ["arp.admin"]})),
        "trusted" => of("gateway-service", json!({"azp": "gateway"})),
        "anonymous" => Caller::with_token(t, None),
        "node" => Caller::with_token(t, Some(assigned(t, &scene.node).await)),
        "sibling" => Caller::with_token(t, Some(assigned(t, &scene.sibling).await)),
        "ended" => {
            let token = assigned(t, &scene.node).await;
            let path = format!("/v1/node-runs/{}:complete", scene.node);
            alice.post(&path, &json!({"state": "succeeded"})).await.no_content();
            Caller::with_token(t, Some(token))
        }
        other => unreachable!("{other} is not a caller"),
    }
}

/// The status of an answer. The code of a refusal follows from it.
fn shown(ask: Ask, answer: &Answer) -> String {
    let code = if answer.status >= 400 { answer.body()["error"]["code"].clone() } else { Value::Null };
    let expected: &[&str] = match (answer.status, ask) {
        (200 | 204, _) => return answer.status.to_string(),
        (401, _) => &["unauthorized"],
        (403, Ask::StartForTenant) => &["tenant_mismatch", "forbidden"],
        (403, _) => &["forbidden"],
        (404, _) => &["run_not_found", "node_run_not_found"],
        (409, Ask::StartAgain | Ask::StartOther) => &["run_already_exists"],
        (409, _) => &["node_run_terminal", "parent_node_run_terminal", "run_terminal", "completion_conflict"],
        (status, _) => panic!("{status}: {}", answer.text),
    };
    let code = code.as_str().expect("a code");
    assert!(expected.contains(&code), "{}: {}", answer.status, answer.text);
    // A foreign run leaks nothing.
    assert!(!answer.text.contains("of alice"), "{}", answer.text);
    if code == "tenant_mismatch" { "403t".into() } else { answer.status.to_string() }
}

#[tokio::test]
async fn matrix_of_callers_and_operations_is_the_golden_file() {
    let sts = Sts::start();
    let mut text = String::from("All runs are alice's, of tenant acme. 403t: tenant_mismatch.\n\n");
    for (name, who) in CALLERS {
        writeln!(text, "{name:>9}  {who}").expect("text");
    }
    for setting in ["open", "owner", "tenant"] {
        let t = guarded(
            &sts,
            &[
                ("ARP_AUTH_MODE", "optional"),
                ("JARVIS_RUN_COORDINATOR_AUTHORIZATION", setting),
                ("JARVIS_RUN_COORDINATOR_TRUSTED_CLIENTS", "other, gateway"),
            ],
        )
        .await;
        let alice = Caller::new(&t, "alice", json!({"tenant_id": "acme"}));
        write!(text, "\nJARVIS_RUN_COORDINATOR_AUTHORIZATION={setting}\n\n{:27}", "operation").expect("text");
        CALLERS.iter().for_each(|(name, _)| write!(text, " {name:>9}").expect("text"));
        text.push('\n');
        for (row, ask) in Ask::all().enumerate() {
            write!(text, "{:27}", ask.name()).expect("text");
            for (column, (name, _)) in CALLERS.iter().enumerate() {
                let scene = Scene::set(&alice, &format!("run-{row}-{column}")).await;
                let caller = caller(&t, &alice, &scene, name).await;
                let answer = scene.ask(&caller, ask).await;
                write!(text, " {:>9}", shown(ask, &answer)).expect("text");
            }
            text.push('\n');
        }
        t.stop().await;
    }
    expectorate::assert_contents("tests/output/authority.txt", &text);
}
