//! `work`: what of all runs is due, in hand, parked, waiting or owed.

use super::{
    args::{Form, Shown},
    exit::{Exit, Failure},
    output::Printer,
    remote::{OperatorClient, Remote},
    show::{members, text},
    table::table,
};
use crate::{
    clients::operator::types::{DueLane, Executor, Lane, Member, ParkedItem, Work},
    time::Timestamp,
    types::NodeKind,
};

/// Shows the work of all runs.
pub(super) async fn work(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    shown: Shown,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let work = remote.answer("GET /x/work", client.call(client.get_work())).await?;
    match printer.form(shown.output) {
        Form::Table => printer.line(&work_shown(&work))?,
        Form::Json => printer.json(&work)?,
    }
    Ok(Exit::Ok)
}

fn work_shown(work: &Work) -> String {
    let since = |count: u64, oldest: Option<Timestamp>| {
        oldest.map_or_else(|| count.to_string(), |oldest| format!("{count}, the first since {oldest}"))
    };
    let mut sections = vec![members(&[
        ("at", work.at.to_string()),
        ("live", format!("{} runs, {} node runs", work.runs_live, work.node_runs_live)),
        ("due", since(work.due.count, work.due.oldest)),
        ("in hand", work.in_hand.count.to_string()),
        ("parked", work.parked.count.to_string()),
        ("approvals", since(work.approvals.count, work.approvals.oldest)),
        ("without wake-up", work.without_wake_up.to_string()),
    ])];
    let due = |lane: &DueLane| {
        vec![lane.job.clone(), kind(lane.kind), lane.count.to_string(), lane.oldest.to_string()]
    };
    section(&mut sections, &["DUE", "KIND", "COUNT", "OLDEST"], work.due.lanes.iter().map(due));
    let lane = |lane: &Lane| {
        vec![lane.job.clone(), kind(lane.kind), lane.in_hand.to_string(), lane.room.to_string()]
    };
    section(&mut sections, &["IN HAND", "KIND", "COUNT", "ROOM"], work.in_hand.lanes.iter().map(lane));
    let parked = |item: &ParkedItem| {
        let node = item.node_run_id.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![
            item.run_id.to_string(),
            node,
            item.job.clone(),
            item.times.to_string(),
            item.until.to_string(),
            item.error.clone(),
        ]
    };
    let heads = ["PARKED RUN", "NODE RUN", "JOB", "TIMES", "UNTIL", "ERROR"];
    section(&mut sections, &heads, work.parked.items.iter().map(parked));
    let heads = ["EXECUTOR", "MEMBER", "SLOTS", "IN USE", "WAITING", "BREAKER", "UNTIL", "LAST ERROR"];
    let members = work.executors.iter().flat_map(|all| all.members.iter().map(move |one| executor(all, one)));
    section(&mut sections, &heads, members);
    let outbox = work.outbox.iter().map(|backlog| {
        let more = if backlog.more { " or more" } else { "" };
        vec![backlog.recipient.to_string(), format!("{}{more}", backlog.entries), text(backlog.oldest)]
    });
    section(&mut sections, &["OUTBOX", "ENTRIES", "OLDEST"], outbox);
    let workers = work.workers.iter().map(|worker| {
        let this = if worker.this { "this process" } else { "" };
        vec![worker.worker.clone(), worker.claims.to_string(), this.to_owned()]
    });
    section(&mut sections, &["WORKER", "CLAIMS", ""], workers);
    sections.join("\n\n")
}

/// A table, if it has rows.
fn section(sections: &mut Vec<String>, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        sections.push(table(heads, &rows));
    }
}

fn executor(executor: &Executor, member: &Member) -> Vec<String> {
    vec![
        executor.executor.clone(),
        member.name.clone().unwrap_or_default(),
        member.slots.to_string(),
        member.in_use.to_string(),
        executor.waiting.to_string(),
        member.breaker.to_string(),
        text(member.open_until),
        member.last_error.as_ref().map(|error| format!("{} {}", error.at, error.message)).unwrap_or_default(),
    ]
}

fn kind(kind: Option<NodeKind>) -> String {
    kind.map(|kind| kind.to_string()).unwrap_or_default()
}
