//! `runs explain` and `nodes explain`: why a run or a node run does not move.

use std::fmt::Write;

use super::{
    args::{Form, Shown},
    exit::{Exit, Failure},
    output::Printer,
    remote::{OperatorClient, Remote},
    table::printable,
};
use crate::{
    clients::operator::types::{NodeExplanation, Reason, RunExplanation},
    types::{NodeRunId, RunId},
};

/// Explains a run by the nodes that hold it up.
pub(super) async fn run(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    run: &RunId,
    shown: Shown,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let call = client.call(client.explain_run(run.as_str()));
    let explained = remote.answer(&format!("GET /x/runs/{run}/explain"), call).await?;
    match printer.form(shown.output) {
        Form::Table => printer.line(&run_shown(&explained))?,
        Form::Json => printer.json(&explained)?,
    }
    Ok(Exit::Ok)
}

/// Explains one node.
pub(super) async fn node(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    node: &NodeRunId,
    shown: Shown,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let call = client.call(client.explain_node_run(node.as_str()));
    let explained = remote.answer(&format!("GET /x/node-runs/{node}/explain"), call).await?;
    match printer.form(shown.output) {
        Form::Table => printer.line(&node_shown(&explained))?,
        Form::Json => printer.json(&explained)?,
    }
    Ok(Exit::Ok)
}

fn run_shown(explained: &RunExplanation) -> String {
    let RunExplanation { run_id, state, live, more, held, nodes } = explained;
    let more = if *more { ", and more" } else { "" };
    let live: Vec<String> = live.iter().map(|(state, count)| format!("{count} {state}")).collect();
    let live =
        if live.is_empty() { String::new() } else { format!("; live node runs: {}{more}", live.join(", ")) };
    let mut text = format!("run {}: {state}{live}", printable(run_id.as_str()));
    text.push_str(&reasons(held.as_ref().map_or(&[], std::slice::from_ref)));
    for node in nodes {
        text.push('\n');
        text.push_str(&node_shown(node));
    }
    text
}

/// One node run and its reasons.
pub(super) fn node_shown(explained: &NodeExplanation) -> String {
    let NodeExplanation { run_id: _, node_run_id, state, reasons: all } = explained;
    format!("node run {}: {state}{}", printable(node_run_id.as_str()), reasons(all))
}

/// The reasons, each beginning on a new line.
pub(super) fn reasons(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for Reason { sentence, since, until, acts, command, cause: _ } in reasons {
        let _ = write!(text, "\n  {}", printable(sentence));
        let times = [("since", since), ("until", until)];
        for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, time.as_ref()?))) {
            let _ = write!(text, "\n    {name} {time}");
        }
        let _ = write!(text, "\n    acts: {acts}");
        if let Some(command) = command {
            let _ = write!(text, "\n    {}", printable(command));
        }
    }
    text
}
