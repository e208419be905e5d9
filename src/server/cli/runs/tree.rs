//! `runs tree`.

use super::super::{
    args::Listed,
    exit::{Exit, Failure},
    listing::{self, Found, Identified, Row, pages},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    show::{text, type_of},
};
use crate::{
    clients::operator::types::NodeEntry,
    types::{NodeRunId, RunId},
};

/// Shows the node runs of a run, each before its descendants.
pub(super) async fn tree(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    run: &RunId,
    under: Option<&NodeRunId>,
    page: Listed,
) -> Result<Exit, Failure> {
    let found = nodes(remote, run, under, page.at_most.limit).await?;
    listing::print(printer, &found, page.printed)?;
    Ok(Exit::Ok)
}

/// At most `limit` node runs of a run.
pub(super) async fn nodes(
    remote: &Remote<OperatorClient>,
    run: &RunId,
    under: Option<&NodeRunId>,
    limit: u32,
) -> Result<Found<NodeEntry>, RemoteError> {
    let client = remote.client();
    let asked = format!("GET /x/runs/{run}/tree");
    pages(limit, async |wanted, token| {
        let under = under.map(NodeRunId::as_str);
        let call = client.call(client.get_run_tree(run.as_str(), Some(wanted), token, under));
        let page = remote.answer(&asked, call).await?;
        Ok((page.items, page.next_page))
    })
    .await
}

impl Row for NodeEntry {
    const HEADS: &'static [&'static str] =
        &["NODE RUN", "NODE TYPE", "STATE", "ATTEMPT", "CHILDREN", "STARTED", "ENDED"];

    fn row(&self) -> Vec<String> {
        let depth = self.path.bytes().filter(|byte| *byte == b'.').count();
        vec![
            // Wide trees are more usual than deep ones.
            format!("{}{}", "· ".repeat(depth.min(32)), self.node_run_id),
            type_of(&self.node_type_ref),
            self.state.to_string(),
            self.attempt.to_string(),
            self.children.to_string(),
            text(self.started_at),
            text(self.ended_at),
        ]
    }
}

impl Identified for NodeEntry {
    fn id(&self) -> &str {
        &self.node_run_id
    }
}
