//! The person of the demo: waits until the run waits for an approval, asks why it does not
//! move, as `runs explain` does, and approves.

use std::time::Duration;

use super::error::DemoError;
use crate::{
    clients::operator::{Client, types::DecisionRequest},
    time::Clock,
    types::RunId,
};

/// Between two looks at the list.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a person takes to read what is asked. Long enough to be seen on a screen.
const READS_FOR: Duration = Duration::from_millis(300);

/// The reason that is kept with the decision.
pub(super) const REASON: &str = "the demo agrees";

/// What the run waited for.
pub(super) struct Waited {
    /// Why it did not move, in the words of the coordinator.
    pub(super) sentence: String,
    /// The command that lets it go on.
    pub(super) command: String,
}

/// Approves what this run waits for. Returns when that is done.
pub(super) async fn give(operator: &Client, run: &RunId, clock: &dyn Clock) -> Result<Waited, DemoError> {
    let approval = loop {
        let page = operator.call(operator.list_approvals(None, None, Some(run.as_str()))).await?;
        if let Some(approval) = page.items.into_iter().next() {
            break approval.approval_id;
        }
        clock.sleep(LOOK_EVERY).await;
    };
    let explained = operator.call(operator.explain_run(run.as_str())).await?;
    let reasons = explained.nodes.into_iter().flat_map(|node| node.reasons);
    let waited = reasons
        .filter_map(|reason| Some(Waited { sentence: reason.sentence, command: reason.command? }))
        .find(|waited| waited.command.contains(&approval))
        .ok_or_else(|| DemoError::Setup(format!("nothing explains the approval {approval}")))?;
    clock.sleep(READS_FOR).await;
    let decision = DecisionRequest { reason: REASON.to_owned() };
    operator.call(operator.approve_node_run(&approval, &decision)).await?;
    Ok(waited)
}
