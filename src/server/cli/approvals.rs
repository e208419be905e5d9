//! `approvals`: lists what waits for an approval, and decides about it.

use std::num::NonZeroU32;

use super::{
    args::{ApprovalsCommand, Decision, Output},
    remote::{OperatorClient, Remote, RemoteError},
    table::table,
};
use crate::clients::operator::types::{Approval, DecisionRequest, Outcome};

/// The most approvals that one request asks for.
const PAGE: u32 = 200;

/// Runs the command, and returns what it prints.
pub async fn approvals(
    remote: &Remote<OperatorClient>,
    command: &ApprovalsCommand,
) -> Result<String, RemoteError> {
    match command {
        ApprovalsCommand::List { run, limit, output } => {
            let (approvals, is_all) = list(remote, run.as_ref().map(|run| run.as_str()), *limit).await?;
            Ok(match output {
                Output::Table if is_all => shown(&approvals),
                Output::Table => format!("{}\n(more: raise --limit)", shown(&approvals)),
                Output::Json => lines(&approvals),
            })
        }
        ApprovalsCommand::Approve(decision) => decide(remote, decision, true).await,
        ApprovalsCommand::Deny(decision) => decide(remote, decision, false).await,
    }
}

/// At most `limit` approvals, and whether there are no more.
async fn list(
    remote: &Remote<OperatorClient>,
    run: Option<&str>,
    limit: u32,
) -> Result<(Vec<Approval>, bool), RemoteError> {
    let client = remote.client();
    let (mut approvals, mut token) = (Vec::new(), None::<String>);
    loop {
        let missing = limit.saturating_sub(u32::try_from(approvals.len()).unwrap_or(u32::MAX));
        let Some(wanted) = NonZeroU32::new(missing.min(PAGE)) else { return Ok((approvals, false)) };
        let page = client.call(client.list_approvals(Some(wanted), token.as_deref(), run));
        let page = remote.answer("GET /x/approvals", page).await?;
        approvals.extend(page.items);
        token = page.next_page;
        if token.is_none() {
            return Ok((approvals, true));
        }
    }
}

async fn decide(
    remote: &Remote<OperatorClient>,
    decision: &Decision,
    is_granted: bool,
) -> Result<String, RemoteError> {
    let Decision { approval: id, reason, output } = decision;
    let (client, body) = (remote.client(), DecisionRequest { reason: reason.clone() });
    let verb = if is_granted { "approve" } else { "deny" };
    let asked = format!("POST /x/approvals/{id}:{verb}");
    let approval = if is_granted {
        remote.answer(&asked, client.call(client.approve_node_run(id, &body))).await?
    } else {
        remote.answer(&asked, client.call(client.deny_node_run(id, &body))).await?
    };
    Ok(match output {
        Output::Table => shown(std::slice::from_ref(&approval)),
        Output::Json => lines(std::slice::from_ref(&approval)),
    })
}

fn lines(approvals: &[Approval]) -> String {
    let line = |approval| serde_json::to_string(approval).unwrap_or_default();
    approvals.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(approvals: &[Approval]) -> String {
    let heads = ["APPROVAL", "RUN", "NODE TYPE", "DEMANDED BY", "WHY", "REQUESTED", "EXPIRES", "STATE", "BY"];
    let row = |approval: &Approval| {
        let node_type = &approval.node_type_ref;
        let (state, by) = match &approval.decision {
            None => ("waits".to_owned(), String::new()),
            Some(decision) => (word(decision.outcome).to_owned(), actor(&decision.by)),
        };
        let why = approval.message.as_ref().or(approval.reason_code.as_ref());
        [
            approval.approval_id.clone(),
            approval.run_id.clone(),
            format!("{}@{}", node_type.node_type_id, node_type.version),
            approval.demanded_by.to_string(),
            why.cloned().unwrap_or_default(),
            approval.requested_at.to_string(),
            approval.expires_at.to_string(),
            state,
            by,
        ]
    };
    table(heads, &approvals.iter().map(row).collect::<Vec<_>>())
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved",
        Outcome::Denied => "denied",
        Outcome::Expired => "expired",
        Outcome::Lifted => "lifted",
    }
}

fn actor(actor: &crate::clients::operator::types::Actor) -> String {
    match (&actor.principal, &actor.node_run_id) {
        (Some(principal), _) => principal.subject.clone(),
        (None, Some(node)) => node.clone(),
        (None, None) => actor.kind.to_string(),
    }
}
