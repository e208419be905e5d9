//! `bulk`: jobs of the server that do the same to many runs.
//!
//! ```text
//!   start ──▶ what would be done ──▶ confirm ──▶ the job ──▶ get · results · abort
//! ```

use std::collections::BTreeMap;

use super::{
    args::{BasicSelect, BulkAction, BulkCommand, BulkStart, Care, Change, RerunFrom},
    confirm::confirm,
    each::{Deed, each},
    exit::{Exit, Failure},
    ids::ids,
    listing::{self, Found, Identified, Row, pages},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    show::text,
};
use crate::{
    clients::operator::types::{self, Bulk, BulkAbortRequest, BulkFilter, BulkResult, BulkStartRequest},
    time::Timestamp,
};

/// Runs the subcommand.
pub(super) async fn bulk(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    command: &BulkCommand,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let client = remote.client();
    match command {
        BulkCommand::Start(wanted) => return start(remote, printer, wanted, now).await,
        BulkCommand::List { page } => {
            let found = pages(page.at_most.limit, async |wanted, token| {
                let page =
                    remote.answer("GET /x/bulk", client.call(client.list_bulk(Some(wanted), token))).await?;
                Ok((page.items, page.next_page))
            })
            .await?;
            listing::print(printer, &found, page.printed)?;
        }
        BulkCommand::Get { bulk, printed } => {
            let items = vec![get(remote, bulk).await?];
            listing::print(printer, &Found { items, is_all: true }, *printed)?;
        }
        BulkCommand::Results { bulk, page } => {
            let asked = format!("GET /x/bulk/{bulk}/results");
            let found = pages(page.at_most.limit, async |wanted, token| {
                let call = client.call(client.list_bulk_results(bulk, Some(wanted), None, token));
                let page = remote.answer(&asked, call).await?;
                Ok((page.items, page.next_page))
            })
            .await?;
            listing::print(printer, &found, page.printed)?;
        }
        BulkCommand::Abort { bulks, change } => return abort(remote, printer, bulks, change).await,
    }
    Ok(Exit::Ok)
}

async fn start(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    wanted: &BulkStart,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let BulkStart { action, runs, select, from, per_second, reason, care, printed } = wanted;
    let labels = select.labels()?;
    let ids = if runs.is_empty() { None } else { Some(ids(runs, &mut std::io::stdin().lock())?) };
    let (verb, action) = match action {
        BulkAction::Cancel => ("cancel", types::BulkAction::Cancel),
        BulkAction::Rerun => ("rerun", types::BulkAction::Rerun),
    };
    let mut body = BulkStartRequest {
        action,
        reason: reason.clone(),
        filter: ids.is_none().then(|| filter(select, labels, now)),
        ids,
        dry_run: Some(true),
        per_second: *per_second,
        from: from.map(RerunFrom::wire),
    };
    let looked = remote.answer("POST /x/bulk", client_start(remote, &body)).await?;
    let would = looked
        .would
        .ok_or_else(|| Failure::new(Exit::NoAnswer, "the server said nothing of what it would do"))?;
    let more = if would.is_cut { " or more" } else { "" };
    let runs = if would.count == 1 { "run" } else { "runs" };
    let what = format!("{verb} {}{more} {runs}", would.count);
    if care.dry_run {
        printer.note(&format!("would {what}, the first of them:"));
        for run in &would.run_ids {
            printer.line(run)?;
        }
        return Ok(Exit::Ok);
    }
    // A job is for many, however few there are just now.
    confirm(Care { yes: care.yes, dry_run: false }, &what, usize::MAX)?;
    body.dry_run = None;
    let started = remote.answer("POST /x/bulk", client_start(remote, &body)).await?;
    let items = started.job.into_iter().collect();
    listing::print(printer, &Found { items, is_all: true }, *printed)?;
    Ok(Exit::Ok)
}

async fn client_start(
    remote: &Remote<OperatorClient>,
    body: &BulkStartRequest,
) -> Result<types::BulkStarted, crate::clients::CallError> {
    let client = remote.client();
    client.call(client.start_bulk(body)).await
}

fn filter(select: &BasicSelect, labels: BTreeMap<String, String>, now: Timestamp) -> BulkFilter {
    let BasicSelect {
        state,
        node_type,
        tenant,
        owner,
        error_code,
        since,
        before,
        id_prefix,
        held,
        labels: _,
    } = select.clone();
    BulkFilter {
        state,
        node_type,
        tenant,
        owner,
        error_code,
        started_after: since.map(|since| since.from(now)),
        started_before: before.map(|before| before.from(now)),
        id_prefix,
        held: held.then_some(true),
        labels: Some(labels.into_iter().collect()),
    }
}

async fn abort(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    bulks: &[String],
    change: &Change,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let body = BulkAbortRequest { reason: change.reason.clone() };
    let act = async |id: &str| {
        remote.answer(&format!("POST /x/bulk/{id}:abort"), client.call(client.abort_bulk(id, &body))).await
    };
    let deed =
        Deed { verb: "abort", thing: "bulk job", ids: bulks, care: change.care, printed: change.printed };
    each(printer, deed, async |id| get(remote, id).await, act).await
}

async fn get(remote: &Remote<OperatorClient>, id: &str) -> Result<Bulk, RemoteError> {
    let client = remote.client();
    remote.answer(&format!("GET /x/bulk/{id}"), client.call(client.get_bulk(id))).await
}

impl RerunFrom {
    /// As the API names it.
    pub(super) fn wire(self) -> types::RerunFrom {
        match self {
            Self::Start => types::RerunFrom::Start,
            Self::Succeeded => types::RerunFrom::Succeeded,
        }
    }
}

impl Row for Bulk {
    const HEADS: &'static [&'static str] = &[
        "BULK",
        "ACTION",
        "STATE",
        "PENDING",
        "DONE",
        "SKIPPED",
        "FAILED",
        "CREATED",
        "ENDED",
        "BY",
        "REASON",
        "LAST ERROR",
    ];

    fn row(&self) -> Vec<String> {
        vec![
            self.bulk_id.to_string(),
            self.action.to_string(),
            self.state.to_string(),
            format!("{}{}", self.pending, if self.is_listed { "" } else { " or more" }),
            self.done.to_string(),
            self.skipped.to_string(),
            self.failed.to_string(),
            self.created_at.to_string(),
            text(self.ended_at),
            self.by.subject.clone(),
            self.reason.clone(),
            self.last_error.clone().unwrap_or_default(),
        ]
    }
}

impl Identified for Bulk {
    fn id(&self) -> &str {
        self.bulk_id.as_str()
    }
}

impl Row for BulkResult {
    const HEADS: &'static [&'static str] = &["RUN", "OUTCOME", "DETAIL"];

    fn row(&self) -> Vec<String> {
        vec![self.run_id.to_string(), self.outcome.to_string(), self.detail.clone().unwrap_or_default()]
    }
}

impl Identified for BulkResult {
    fn id(&self) -> &str {
        self.run_id.as_str()
    }
}
