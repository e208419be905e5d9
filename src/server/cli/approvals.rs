//! `approvals`: lists what waits for an approval, and decides about it.

use super::{
    args::{ApprovalsCommand, Decision},
    each::{Deed, each},
    exit::{Exit, Failure},
    listing::{self, Identified, Row, pages},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    show::{actor, type_of},
};
use crate::clients::operator::types::{Approval, DecisionRequest, Outcome};

/// Runs the subcommand.
pub(super) async fn approvals(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    command: &ApprovalsCommand,
) -> Result<Exit, Failure> {
    match command {
        ApprovalsCommand::List { run, page } => {
            let client = remote.client();
            let found = pages(page.at_most.limit, async |wanted, token| {
                let run = run.as_ref().map(|run| run.as_str());
                let page = client.call(client.list_approvals(Some(wanted), token, run));
                let page = remote.answer("GET /x/approvals", page).await?;
                Ok((page.items, page.next_page))
            })
            .await?;
            listing::print(printer, &found, page.printed)?;
            Ok(Exit::Ok)
        }
        ApprovalsCommand::Approve(decision) => decide(remote, printer, decision, true).await,
        ApprovalsCommand::Deny(decision) => decide(remote, printer, decision, false).await,
    }
}

async fn decide(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    decision: &Decision,
    is_granted: bool,
) -> Result<Exit, Failure> {
    let Decision { approvals, change } = decision;
    let (client, body) = (remote.client(), DecisionRequest { reason: change.reason.clone() });
    let verb = if is_granted { "approve" } else { "deny" };
    let act = async |id: &str| {
        let asked = format!("POST /x/approvals/{id}:{verb}");
        if is_granted {
            remote.answer(&asked, client.call(client.approve_node_run(id, &body))).await
        } else {
            remote.answer(&asked, client.call(client.deny_node_run(id, &body))).await
        }
    };
    let deed = Deed { verb, thing: "approval", ids: approvals, care: change.care, printed: change.printed };
    each(printer, deed, async |id| get(remote, id).await, act).await
}

async fn get(remote: &Remote<OperatorClient>, id: &str) -> Result<Approval, RemoteError> {
    let client = remote.client();
    remote.answer(&format!("GET /x/approvals/{id}"), client.call(client.get_approval(id))).await
}

impl Row for Approval {
    const HEADS: &'static [&'static str] =
        &["APPROVAL", "RUN", "NODE TYPE", "DEMANDED BY", "WHY", "REQUESTED", "EXPIRES", "STATE", "BY"];

    fn row(&self) -> Vec<String> {
        let (state, by) = match &self.decision {
            None => ("waits", String::new()),
            Some(decision) => (word(decision.outcome), actor(&decision.by)),
        };
        let why = self.message.as_ref().or(self.reason_code.as_ref());
        vec![
            self.approval_id.clone(),
            self.run_id.clone(),
            type_of(&self.node_type_ref),
            self.demanded_by.to_string(),
            why.cloned().unwrap_or_default(),
            self.requested_at.to_string(),
            self.expires_at.to_string(),
            state.to_owned(),
            by,
        ]
    }
}

impl Identified for Approval {
    fn id(&self) -> &str {
        &self.approval_id
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved",
        Outcome::Denied => "denied",
        Outcome::Expired => "expired",
        Outcome::Lifted => "lifted",
    }
}
