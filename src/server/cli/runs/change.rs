//! `runs cancel`, `hold`, `release` and `rerun`.

use std::time::Duration;

use super::super::{
    args::{Change, RerunFrom, Runs},
    each::{Deed, each},
    exit::{Exit, Failure},
    listing::{Identified, Row},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    show::{actor, text},
};
use crate::{
    clients::operator::types::{
        CancelRequest, Held, HoldRequest, ReleaseRequest, Report, Rerun, RerunRequest, RunExplanation,
    },
    time::{Clock, SystemClock, Timestamp},
};

/// The time between two looks at the report of a cancel.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Cancels runs, and waits until their executors know, at most for this time.
pub(super) async fn cancel(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    runs: &Runs,
    change: &Change,
    wait: Duration,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let body = CancelRequest { reason: change.reason.clone() };
    let act = async |id: &str| {
        let call = client.call(client.cancel_run_with_report(id, &body));
        let report = remote.answer(&format!("POST /x/runs/{id}:cancel"), call).await?;
        settled(remote, id, report, wait).await
    };
    each(printer, deed("cancel", runs, change), async |id| explained(remote, id).await, act).await
}

/// The report once no executor is to be notified any more, or when the time is up.
async fn settled(
    remote: &Remote<OperatorClient>,
    id: &str,
    mut report: Report,
    wait: Duration,
) -> Result<Report, RemoteError> {
    let client = remote.client();
    let looks = wait.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        if report.counts.get("notified").is_none_or(|count| *count == 0) {
            break;
        }
        SystemClock.sleep(LOOK_EVERY).await;
        let call = client.call(client.get_cancel_report(id));
        report = remote.answer(&format!("GET /x/runs/{id}/cancel-report"), call).await?;
    }
    Ok(report)
}

/// Holds runs.
pub(super) async fn hold(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    runs: &Runs,
    change: &Change,
    until: Option<Timestamp>,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let body = HoldRequest { reason: change.reason.clone(), until };
    let act = async |id: &str| {
        remote.answer(&format!("POST /x/runs/{id}:hold"), client.call(client.hold_run(id, &body))).await
    };
    each(printer, deed("hold", runs, change), async |id| explained(remote, id).await, act).await
}

/// Releases runs.
pub(super) async fn release(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    runs: &Runs,
    change: &Change,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let body = ReleaseRequest { reason: change.reason.clone() };
    let act = async |id: &str| {
        remote.answer(&format!("POST /x/runs/{id}:release"), client.call(client.release_run(id, &body))).await
    };
    each(printer, deed("release", runs, change), async |id| explained(remote, id).await, act).await
}

/// Repeats runs that have ended.
pub(super) async fn rerun(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    runs: &Runs,
    change: &Change,
    from: RerunFrom,
) -> Result<Exit, Failure> {
    let client = remote.client();
    let from = Some(from.wire());
    let body = RerunRequest { reason: change.reason.clone(), from, idempotency_key: None };
    let act = async |id: &str| {
        remote.answer(&format!("POST /x/runs/{id}:rerun"), client.call(client.rerun_run(id, &body))).await
    };
    each(printer, deed("rerun", runs, change), async |id| explained(remote, id).await, act).await
}

fn deed<'d>(verb: &'d str, runs: &'d Runs, change: &Change) -> Deed<'d> {
    Deed { verb, thing: "run", ids: &runs.runs, care: change.care, printed: change.printed }
}

/// The run as it is.
async fn explained(remote: &Remote<OperatorClient>, id: &str) -> Result<RunExplanation, RemoteError> {
    let client = remote.client();
    remote.answer(&format!("GET /x/runs/{id}/explain"), client.call(client.explain_run(id))).await
}

impl Row for RunExplanation {
    const HEADS: &'static [&'static str] = &["RUN", "STATE", "LIVE NODE RUNS"];

    fn row(&self) -> Vec<String> {
        let more = if self.more { " or more" } else { "" };
        let live = format!("{}{more}", self.live.values().sum::<u64>());
        vec![self.run_id.to_string(), self.state.to_string(), live]
    }
}

impl Identified for RunExplanation {
    fn id(&self) -> &str {
        self.run_id.as_str()
    }
}

impl Row for Held {
    const HEADS: &'static [&'static str] = &["RUN", "STATE", "HELD SINCE", "UNTIL", "BY", "REASON"];

    fn row(&self) -> Vec<String> {
        let hold = self.hold.as_ref();
        vec![
            self.run_id.to_string(),
            self.state.to_string(),
            text(hold.map(|hold| hold.since)),
            text(hold.and_then(|hold| hold.until)),
            hold.map(|hold| actor(&hold.by)).unwrap_or_default(),
            hold.map(|hold| hold.reason.clone()).unwrap_or_default(),
        ]
    }
}

impl Identified for Held {
    fn id(&self) -> &str {
        self.run_id.as_str()
    }
}

impl Row for Report {
    const HEADS: &'static [&'static str] =
        &["RUN", "STATE", "NEVER STARTED", "ACKNOWLEDGED", "NOTIFIED", "GIVEN UP"];

    fn row(&self) -> Vec<String> {
        let count = |fate: &str| self.counts.get(fate).copied().unwrap_or_default().to_string();
        vec![
            self.run_id.to_string(),
            self.state.to_string(),
            count("never_started"),
            count("acknowledged"),
            count("notified"),
            count("given_up"),
        ]
    }
}

impl Identified for Report {
    fn id(&self) -> &str {
        self.run_id.as_str()
    }
}

impl Row for Rerun {
    const HEADS: &'static [&'static str] = &["RUN", "STATE", "RERUN OF", "ROOT"];

    fn row(&self) -> Vec<String> {
        vec![
            self.run_id.to_string(),
            self.state.to_string(),
            self.rerun_of.to_string(),
            self.root_node_run_id.to_string(),
        ]
    }
}

impl Identified for Rerun {
    fn id(&self) -> &str {
        self.run_id.as_str()
    }
}
