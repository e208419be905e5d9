//! `nodes`: one node run, its attempts and events, and why it does not move.

use super::{
    args::{NodesCommand, Servers},
    connect::{Both, with_both, with_operator},
    exit::{Exit, Failure},
    explain,
    listing::{Found, Row, pages, print_rows},
    remote::{OperatorClient, Remote, RemoteError},
    runs,
    show::text,
};
use crate::{clients::operator::types::Attempt, config::Flags, types::NodeRunId};

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
    }
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
