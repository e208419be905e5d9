//! `nodes`: one node run, its attempts and events, and why it does not move.

use super::{
    args::{Change, NodeRuns, NodesCommand, Servers},
    connect::{Both, with_both, with_operator},
    each::{Deed, each},
    exit::{Exit, Failure},
    explain,
    listing::{Found, Identified, Row, pages, print_rows},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    runs,
    show::text,
};
use crate::{
    clients::operator::types::{Attempt, NodeExplanation, WakeRequest},
    config::Flags,
    types::NodeRunId,
};

/// Runs the subcommand.
pub(super) fn nodes(command: &NodesCommand, servers: &Servers, flags: &Flags) -> Result<Exit, Failure> {
    match command {
        NodesCommand::Get { node_run, shown } => {
            with_both(servers, flags, async |both, printer| runs::node(both, printer, node_run, *shown).await)
        }
        NodesCommand::Events { node_run, read } => with_both(servers, flags, async |both: &Both, printer| {
            let run = runs::node_run(both, node_run).await?.run_id;
            runs::print_events(both, printer, &run, *read, runs::Narrow::To(node_run)).await
        }),
        NodesCommand::Attempts { node_run, at_most, shown } => {
            with_operator(&servers.operator, async |remote, printer| {
                print_rows(printer, &attempts(remote, node_run, at_most.limit).await?, *shown)?;
                Ok(Exit::Ok)
            })
        }
        NodesCommand::Explain { node_run, shown } => {
            with_operator(&servers.operator, async |remote, printer| {
                explain::node(remote, printer, node_run, *shown).await
            })
        }
        NodesCommand::Wake { node_runs, change } => {
            with_operator(&servers.operator, async |remote, printer| {
                wake(remote, printer, node_runs, change).await
            })
        }
    }
}

/// Tries node runs now.
async fn wake(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    node_runs: &NodeRuns,
    change: &Change,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let body = WakeRequest { reason: change.reason.clone() };
    let look = async |id: &str| {
        remote
            .answer(&format!("GET /x/node-runs/{id}/explain"), client.call(client.explain_node_run(id)))
            .await
    };
    let act = async |id: &str| {
        let asked = format!("POST /x/node-runs/{id}:wake");
        remote.answer(&asked, client.call(client.wake_node_run(id, &body))).await
    };
    let (ids, care, printed) = (&node_runs.node_runs[..], change.care, change.printed);
    each(printer, Deed { verb: "wake", thing: "node run", ids, care, printed }, look, act).await
}

/// The attempts of a node run that did not end it.
async fn attempts(
    remote: &Remote<OperatorClient>,
    node: &NodeRunId,
    limit: u32,
) -> Result<Found<Attempt>, RemoteError> {
    let client = remote.client();
    let asked = format!("GET /x/node-runs/{node}/attempts");
    pages(limit, async |wanted, token| {
        let call = client.call(client.list_attempts(node.as_str(), Some(wanted), token));
        let page = remote.answer(&asked, call).await?;
        Ok((page.items, page.next_page))
    })
    .await
}

impl Row for NodeExplanation {
    const HEADS: &'static [&'static str] = &["NODE RUN", "RUN", "STATE", "WHY"];

    fn row(&self) -> Vec<String> {
        let why = self.reasons.first().map(|reason| reason.sentence.clone()).unwrap_or_default();
        vec![self.node_run_id.clone(), self.run_id.clone(), self.state.to_string(), why]
    }
}

impl Identified for NodeExplanation {
    fn id(&self) -> &str {
        &self.node_run_id
    }
}

impl Row for Attempt {
    const HEADS: &'static [&'static str] =
        &["ATTEMPT", "OUTCOME", "STARTED", "ENDED", "RETRY", "ERROR", "MESSAGE"];

    fn row(&self) -> Vec<String> {
        vec![
            self.attempt.to_string(),
            self.outcome.to_string(),
            self.started_at.to_string(),
            self.ended_at.to_string(),
            text(self.retry_at),
            self.error_code.clone().unwrap_or_default(),
            self.error_message.clone().unwrap_or_default(),
        ]
    }
}
