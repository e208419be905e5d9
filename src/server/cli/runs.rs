//! `runs list`, `runs count`, `runs tree` and `attempts`: what the operator API says
//! about runs.

use std::collections::BTreeMap;

use super::{
    args::{Listed, Output, Select},
    listing::{json_lines, pages, with_hint},
    remote::{OperatorClient, Remote, RemoteError},
    table::table,
};
use crate::{
    clients::operator::types::{Attempt, CountBy, NodeEntry, RunEntry},
    time::Timestamp,
    types::{NodeRunId, NodeTypeRef, RunId},
};

/// Lists runs, the newest first.
pub(super) async fn list(
    remote: &Remote<OperatorClient>,
    select: &Select,
    page: &Listed,
    now: Timestamp,
) -> Result<String, RemoteError> {
    let client = remote.client();
    let (since, before) = times(select, now);
    let Select { state, node_type, tenant, owner, error_code, since: _, before: _, id_prefix } = select;
    let labels = BTreeMap::new();
    let (runs, is_all) = pages(page.limit, async |wanted, token| {
        let call = client.call(client.list_runs(
            None,
            error_code.as_deref(),
            id_prefix.as_deref(),
            &labels,
            Some(wanted),
            node_type.as_deref(),
            owner.as_deref(),
            token,
            since.as_ref(),
            before.as_ref(),
            state.as_ref(),
            tenant.as_deref(),
        ));
        let page = remote.answer("GET /x/runs", call).await?;
        Ok((page.items, page.next_page))
    })
    .await?;
    Ok(match page.output {
        Output::Table => with_hint(runs_shown(&runs), is_all),
        Output::Json => json_lines(&runs),
    })
}

/// Counts runs by state.
pub(super) async fn count(
    remote: &Remote<OperatorClient>,
    select: &Select,
    now: Timestamp,
) -> Result<String, RemoteError> {
    let client = remote.client();
    let (since, before) = times(select, now);
    let Select { state, node_type, tenant, owner, error_code, since: _, before: _, id_prefix } = select;
    let labels = BTreeMap::new();
    let (mut runs, mut token) = (BTreeMap::<String, u64>::new(), None::<String>);
    loop {
        let call = client.call(client.count_runs(
            None,
            CountBy::State,
            error_code.as_deref(),
            id_prefix.as_deref(),
            &labels,
            None,
            node_type.as_deref(),
            owner.as_deref(),
            token.as_deref(),
            since.as_ref(),
            before.as_ref(),
            state.as_ref(),
            tenant.as_deref(),
        ));
        let page = remote.answer("GET /x/runs:count", call).await?;
        for (state, count) in page.runs {
            *runs.entry(state).or_default() += count;
        }
        token = page.next_page;
        if token.is_none() {
            break;
        }
    }
    let rows: Vec<_> = runs.into_iter().map(|(state, count)| [state, count.to_string()]).collect();
    Ok(table(["STATE", "RUNS"], &rows))
}

/// Shows the node runs of a run, each before its descendants.
pub(super) async fn tree(
    remote: &Remote<OperatorClient>,
    run: &RunId,
    under: Option<&NodeRunId>,
    page: &Listed,
) -> Result<String, RemoteError> {
    let client = remote.client();
    let asked = format!("GET /x/runs/{run}/tree");
    let (nodes, is_all) = pages(page.limit, async |wanted, token| {
        let under = under.map(NodeRunId::as_str);
        let call = client.call(client.get_run_tree(run.as_str(), Some(wanted), token, under));
        let page = remote.answer(&asked, call).await?;
        Ok((page.items, page.next_page))
    })
    .await?;
    Ok(match page.output {
        Output::Table => with_hint(nodes_shown(&nodes), is_all),
        Output::Json => json_lines(&nodes),
    })
}

/// Shows the attempts of a node run that did not end it.
pub(super) async fn attempts(
    remote: &Remote<OperatorClient>,
    node: &NodeRunId,
    page: &Listed,
) -> Result<String, RemoteError> {
    let client = remote.client();
    let asked = format!("GET /x/node-runs/{node}/attempts");
    let (attempts, is_all) = pages(page.limit, async |wanted, token| {
        let call = client.call(client.list_attempts(node.as_str(), Some(wanted), token));
        let page = remote.answer(&asked, call).await?;
        Ok((page.items, page.next_page))
    })
    .await?;
    Ok(match page.output {
        Output::Table => with_hint(attempts_shown(&attempts), is_all),
        Output::Json => json_lines(&attempts),
    })
}

fn times(select: &Select, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    (select.since.map(|since| since.from(now)), select.before.map(|before| before.from(now)))
}

fn runs_shown(runs: &[RunEntry]) -> String {
    let heads = ["RUN", "STATE", "NODE TYPE", "STARTED", "ENDED", "TENANT", "OWNER", "ERROR"];
    let row = |run: &RunEntry| {
        let owner = run.owner.as_ref();
        [
            run.run_id.clone(),
            run.state.to_string(),
            run.node_type_ref.as_ref().map(type_of).unwrap_or_default(),
            run.started_at.to_string(),
            text(run.ended_at),
            owner.and_then(|owner| owner.tenant.clone()).unwrap_or_default(),
            owner.map(|owner| owner.subject.clone()).unwrap_or_default(),
            run.error_code.clone().unwrap_or_default(),
        ]
    };
    table(heads, &runs.iter().map(row).collect::<Vec<_>>())
}

fn nodes_shown(nodes: &[NodeEntry]) -> String {
    let heads = ["NODE RUN", "NODE TYPE", "STATE", "ATTEMPT", "CHILDREN", "STARTED", "ENDED"];
    let row = |node: &NodeEntry| {
        let depth = node.path.bytes().filter(|byte| *byte == b'.').count();
        [
            // Wide trees are more usual than deep ones.
            format!("{}{}", "· ".repeat(depth.min(32)), node.node_run_id),
            type_of(&node.node_type_ref),
            node.state.to_string(),
            node.attempt.to_string(),
            node.children.to_string(),
            text(node.started_at),
            text(node.ended_at),
        ]
    };
    table(heads, &nodes.iter().map(row).collect::<Vec<_>>())
}

fn attempts_shown(attempts: &[Attempt]) -> String {
    let heads = ["ATTEMPT", "OUTCOME", "STARTED", "ENDED", "RETRY", "ERROR", "MESSAGE"];
    let row = |attempt: &Attempt| {
        [
            attempt.attempt.to_string(),
            attempt.outcome.to_string(),
            attempt.started_at.to_string(),
            attempt.ended_at.to_string(),
            text(attempt.retry_at),
            attempt.error_code.clone().unwrap_or_default(),
            attempt.error_message.clone().unwrap_or_default(),
        ]
    };
    table(heads, &attempts.iter().map(row).collect::<Vec<_>>())
}

fn type_of(node_type: &NodeTypeRef) -> String {
    format!("{}@{}", node_type.node_type_id, node_type.version)
}

fn text(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}
