//! `audit`: who asked for what, and what came of it, from the operator API.

use super::{
    args::AuditSelect,
    exit::{Exit, Failure},
    listing::{Row, pages, print_rows},
    output::Printer,
    remote::{OperatorClient, Remote},
    show::actor,
};
use crate::{
    clients::operator::types::{self, AuditItem},
    record::AuditOutcome,
    time::Timestamp,
};

/// Lists records, the newest first.
pub(super) async fn audit(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    select: &AuditSelect,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let AuditSelect { run, actor, operation, outcome, since, before, at_most, shown } = select;
    let (after, before) = (since.map(|since| since.from(now)), before.map(|before| before.from(now)));
    let outcome = outcome.map(|outcome| match outcome {
        AuditOutcome::Applied => types::RecordOutcome::Applied,
        AuditOutcome::Refused => types::RecordOutcome::Refused,
    });
    let found = pages(at_most.limit, async |wanted, token| {
        let call = client.call(client.list_audit(
            actor.as_deref(),
            after.as_ref(),
            before.as_ref(),
            Some(wanted),
            operation.as_deref(),
            outcome,
            token,
            run.as_ref().map(|run| run.as_str()),
        ));
        let page = remote.answer("GET /x/audit", call).await?;
        Ok((page.items, page.next_page))
    })
    .await?;
    print_rows(printer, &found, *shown)?;
    Ok(Exit::Ok)
}

impl Row for AuditItem {
    const HEADS: &'static [&'static str] =
        &["TIME", "OUTCOME", "OPERATION", "ACTOR", "RUN", "NODE RUN", "REASON", "DETAIL"];

    fn row(&self) -> Vec<String> {
        vec![
            self.at.to_string(),
            self.outcome.to_string(),
            self.operation.clone(),
            actor(&self.actor),
            self.run_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.node_run_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            self.reason.clone().unwrap_or_default(),
            self.detail.clone().unwrap_or_default(),
        ]
    }
}
