//! What the records say about a notice. What is over does not change any more, so it
//! does not matter how much later they are read.

use crate::{
    journal::{Journal, JournalError},
    record::{NodeRecord, Notice, NoticeKind, Reported},
    time::Timestamp,
    types::NodeRunId,
};

/// What a report has beside the names in its notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Of the run. `None`: it has none, or the run is gone.
    pub(super) tenant: Option<String>,
    /// Of the node, or of the run's root: its id and version.
    pub(super) node_type: Option<(String, String)>,
    pub(super) state: Option<String>,
    pub(super) error_code: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    /// Of an approval.
    pub(super) expires_at: Option<Timestamp>,
}

impl Facts {
    /// Reads them. A record that is gone or damaged has none.
    pub(super) async fn read(journal: &dyn Journal, notice: &Notice) -> Result<Self, JournalError> {
        let mut facts = Self::default();
        let Some(run_id) = notice.run_id() else { return Ok(facts) };
        let run = readable(journal.run_fetch(run_id).await)?;
        if let Some(run) = &run {
            facts.tenant = run.owner.as_ref().and_then(|owner| owner.tenant.clone());
        }
        match notice {
            Notice::RunCompleted { .. } => {
                let Some(run) = run else { return Ok(facts) };
                facts.state = Some(run.run.state.to_string());
                (facts.started_at, facts.ended_at) = (run.run.started_at, run.run.ended_at);
                if let Some(root) = node(journal, &run.run.root_node_run_id).await? {
                    facts.error_code = root.error_code();
                    facts.node_type = Some(node_type(&root));
                }
            }
            Notice::NodeRunFailed { node_run_id, .. } => {
                let Some(node) = node(journal, node_run_id).await? else { return Ok(facts) };
                facts.of_node(&node);
                facts.error_code = node.error_code();
            }
            Notice::ApprovalRequested { approval_id, .. } => {
                let Some(node) = node(journal, &approval_id.node).await? else { return Ok(facts) };
                facts.of_node(&node);
                let approval = node.waits.approval.as_deref();
                let approval = approval.filter(|approval| approval.approval_id == *approval_id);
                facts.expires_at = approval.map(|approval| approval.expires_at);
            }
            Notice::WorkParked { node_run_id: Some(node_run_id), .. } => {
                let Some(node) = node(journal, node_run_id).await? else { return Ok(facts) };
                facts.of_node(&node);
            }
            Notice::WorkParked { node_run_id: None, .. }
            | Notice::ExecutorDown(_)
            | Notice::ExecutorUp(_) => {}
        }
        Ok(facts)
    }

    fn of_node(&mut self, node: &NodeRecord) {
        self.state = Some(node.node.state.to_string());
        self.node_type = Some(node_type(node));
        (self.started_at, self.ended_at) = (node.node.started_at, node.node.ended_at);
    }

    /// What subscriptions are compared with.
    pub(super) fn reported(&self, kind: NoticeKind) -> Reported<'_> {
        let node_type = self.node_type.as_ref().map(|(id, _version)| id.as_str());
        Reported { kind, tenant: self.tenant.as_deref(), node_type }
    }
}

fn node_type(node: &NodeRecord) -> (String, String) {
    let node_type = &node.node.node_type_ref;
    (node_type.node_type_id.clone(), node_type.version.clone())
}

async fn node(journal: &dyn Journal, node: &NodeRunId) -> Result<Option<NodeRecord>, JournalError> {
    readable(journal.node_fetch_bare(node).await)
}

fn readable<T>(read: Result<Option<T>, JournalError>) -> Result<Option<T>, JournalError> {
    match read {
        Err(JournalError::Damaged(_) | JournalError::TooBig(_)) => Ok(None),
        Ok(_)
        | Err(
            JournalError::Conflict
            | JournalError::Fenced
            | JournalError::Full(_)
            | JournalError::Reserved
            | JournalError::Failed(_),
        ) => read,
    }
}
