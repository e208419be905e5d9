//! `runs get` and `nodes get`: one run or node run, and why it is where it is.
//!
//! The API knows the record, the operator API the reasons. Without the second, the
//! first is printed alone: its listener is off by default.

use serde::Serialize;
use serde_json::Value;

use super::super::{
    args::{Form, Shown},
    connect::Both,
    exit::{Exit, Failure},
    explain::reasons,
    output::Printer,
    remote::RemoteError,
    show::{members, text, type_of},
};
use crate::{
    clients::operator::types::{NodeExplanation, RunExplanation},
    types::{Extensions, NodeRun, NodeRunId, Run, RunId},
};

/// The record, with its reasons if they are known.
#[derive(Serialize)]
struct Explained<T, E> {
    #[serde(flatten)]
    record: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<E>,
}

pub(super) async fn run(both: &Both, printer: Printer, run: &RunId, shown: Shown) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Record {
        run: Run,
        root: NodeRun,
    }
    let client = both.server.client();
    let asked = format!("GET /v1/runs/{run}");
    let found = both.server.answer(&asked, client.call(client.get_run(run))).await?;
    let root = node_run(both, &found.root_node_run_id).await?;
    let operator = both.operator.client();
    let asked = format!("GET /x/runs/{run}/explain");
    let why = both.operator.answer(&asked, operator.call(operator.explain_run(run.as_str()))).await;
    let explanation = known(printer, why);
    match printer.form(shown.output) {
        Form::Json => printer.json(&Explained { record: Record { run: found, root }, explanation })?,
        Form::Table => printer.line(&run_shown(&found, &root, explanation.as_ref()))?,
    }
    Ok(Exit::Ok)
}

pub(in super::super) async fn node(
    both: &Both,
    printer: Printer,
    node: &NodeRunId,
    shown: Shown,
) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Record {
        node_run: NodeRun,
    }
    let found = node_run(both, node).await?;
    let operator = both.operator.client();
    let asked = format!("GET /x/node-runs/{node}/explain");
    let why = both.operator.answer(&asked, operator.call(operator.explain_node_run(node.as_str()))).await;
    let explanation = known(printer, why);
    match printer.form(shown.output) {
        Form::Json => printer.json(&Explained { record: Record { node_run: found }, explanation })?,
        Form::Table => printer.line(&node_shown(&found, explanation.as_ref()))?,
    }
    Ok(Exit::Ok)
}

pub(in super::super) async fn node_run(both: &Both, node: &NodeRunId) -> Result<NodeRun, RemoteError> {
    let client = both.server.client();
    both.server.answer(&format!("GET /v1/node-runs/{node}"), client.call(client.get_node_run(node))).await
}

fn known<E>(printer: Printer, why: Result<E, RemoteError>) -> Option<E> {
    why.map_err(|error| printer.note(&format!("Why it is where it is, is not known: {error}"))).ok()
}

fn run_shown(run: &Run, root: &NodeRun, explanation: Option<&RunExplanation>) -> String {
    let extension = |name| extension(run.extensions.as_ref(), name);
    let mut shown = members(&[
        ("run", run.run_id.to_string()),
        ("state", run.state.to_string()),
        ("type", type_of(&root.node_type_ref)),
        ("root", root.node_run_id.to_string()),
        ("started", text(run.started_at)),
        ("ended", text(run.ended_at)),
        ("owner", extension("jarvis.owner").map(|owner| owner_of(&owner)).unwrap_or_default()),
        ("budget", extension("jarvis.budget").map(|budget| budget_of(&budget)).unwrap_or_default()),
        ("error", error_of(root)),
    ]);
    for node in explanation.iter().flat_map(|explained| &explained.nodes) {
        shown.push_str("\n\n");
        shown.push_str(&super::super::explain::node_shown(node));
    }
    shown
}

fn node_shown(node: &NodeRun, explanation: Option<&NodeExplanation>) -> String {
    let extension = |name| extension(node.extensions.as_ref(), name);
    let executor = node.executor_binding.as_ref().map(|bound| bound.executor_instance_id.clone());
    let mut shown = members(&[
        ("node run", node.node_run_id.to_string()),
        ("run", node.run_id.to_string()),
        ("parent", node.parent_node_run_id.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("state", node.state.to_string()),
        ("type", type_of(&node.node_type_ref)),
        ("executor", executor.unwrap_or_default()),
        ("created", text(node.created_at)),
        ("started", text(node.started_at)),
        ("ended", text(node.ended_at)),
        ("budget", extension("jarvis.budget").map(|budget| budget_of(&budget)).unwrap_or_default()),
        ("error", error_of(node)),
    ]);
    if let Some(explained) = explanation {
        shown.push('\n');
        shown.push_str(&reasons(&explained.reasons));
    }
    shown
}

fn extension(extensions: Option<&Extensions>, name: &str) -> Option<Value> {
    extensions?.get(name)
}

/// The extension may be written with our prefix (contract §12).
fn error_of(node: &NodeRun) -> String {
    let of = |name| extension(node.extensions.as_ref(), name);
    let Some(error) = of("completion_error").or_else(|| of("jarvis.completion_error")) else {
        return String::new();
    };
    let word = |member: &str| error[member].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", word("code"), word("message"))
}

fn owner_of(owner: &Value) -> String {
    let subject = owner["subject"].as_str().unwrap_or_default();
    owner["tenant"].as_str().map_or_else(|| subject.to_owned(), |tenant| format!("{subject} of {tenant}"))
}

/// `steps 7 of 20, cost 1.25 of 2.5`
fn budget_of(budget: &Value) -> String {
    let Some(limits) = budget["limit"].as_object() else { return String::new() };
    let of = |account: &str, kind: &str| budget[account][kind].as_f64().unwrap_or_default();
    let kind = |(kind, limit): (&String, &Value)| {
        let reserved = of("reserved", kind);
        let reserved = if reserved > 0.0 { format!(" and {reserved} reserved") } else { String::new() };
        format!("{kind} {}{reserved} of {limit}", of("used", kind))
    };
    limits.iter().map(kind).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn budget_is_shown_by_kind() {
        let budget = json!({"limit": {"steps": 20, "cost": 2.5}, "reserved": {"steps": 0, "cost": 0.5},
            "used": {"steps": 7, "external_calls": 11, "cost": 1.25}});
        assert_eq!(budget_of(&budget), "cost 1.25 and 0.5 reserved of 2.5, steps 7 of 20");
        assert_eq!(budget_of(&json!({})), "");
    }

    #[test]
    fn owner_is_shown_with_its_tenant() {
        assert_eq!(owner_of(&json!({"subject": "alice", "tenant": "acme"})), "alice of acme");
        assert_eq!(owner_of(&json!({"subject": "alice"})), "alice");
    }
}
