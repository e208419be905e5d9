//! `runs cancel`.

use super::super::{
    args::{Change, Runs},
    connect::Both,
    each::{Deed, each},
    exit::{Exit, Failure},
    listing::{Identified, Row},
    output::Printer,
    remote::{Remote, RemoteError},
    show::text,
};
use crate::types::{Run, RunId};

/// Cancels runs.
pub(super) async fn cancel(
    both: &Both,
    printer: Printer,
    runs: &Runs,
    change: &Change,
) -> Result<Exit, Failure> {
    let server = &both.server;
    let cancel = async |id: &str| {
        let run = RunId::new(id);
        let call = server.client().call(server.client().cancel_run(&run));
        server.answer(&format!("POST /v1/runs/{run}:cancel"), call).await
    };
    let deed =
        Deed { verb: "cancel", thing: "run", ids: &runs.runs, care: change.care, printed: change.printed };
    each(printer, deed, async |id| get(server, id).await, cancel).await
}

/// The run as it is.
async fn get(server: &Remote, id: &str) -> Result<Run, RemoteError> {
    let run = RunId::new(id);
    server.answer(&format!("GET /v1/runs/{run}"), server.client().call(server.client().get_run(&run))).await
}

impl Row for Run {
    const HEADS: &'static [&'static str] = &["RUN", "STATE", "STARTED", "ENDED"];

    fn row(&self) -> Vec<String> {
        vec![self.run_id.to_string(), self.state.to_string(), text(self.started_at), text(self.ended_at)]
    }
}

impl Identified for Run {
    fn id(&self) -> &str {
        self.run_id.as_str()
    }
}
