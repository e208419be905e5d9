//! What the door has to know about an operation before it runs it.
//!
//! **Invariant:** every operation of the API document has a treatment: one that is
//! new does not compile without, and a test compares with the document.

use crate::record::Operation;

/// How an operation is treated under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Is asked by machines that have no token, and always answered.
    Probe,
    /// A file of the web page: is asked for by browsers, which have no token yet, and
    /// always answered.
    Page,
    /// Does not depend on the caller, and is always answered.
    Public,
    /// Reads one thing: has a reserve, so that an overloaded server can be
    /// watched.
    Read,
    /// Ends work: has a reserve, so that an overloaded server can be steered.
    End,
    /// Everything else.
    Work,
}

impl Class {
    /// Whether it does not depend on the caller, and needs no place.
    pub(super) fn is_public(self) -> bool {
        match self {
            Self::Probe | Self::Page | Self::Public => true,
            Self::Read | Self::End | Self::Work => false,
        }
    }
}

/// The treatment of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Treatment {
    pub(super) class: Class,
    /// Whether its endpoint reads the request's body.
    pub(super) reads_body: bool,
}

/// The operations that do not depend on the caller, and do not wait for
/// authentication. (The API document lists the same as public.)
const PUBLIC: [&str; 2] = ["health", "version"];

/// The operations of load balancers and the like. Their paths are exempt from
/// authentication without being listed.
const PROBES: [&str; 2] = ["livez", "readyz"];

/// The files of the web page, which no document has. They are the same for all.
const PAGE: [&str; 1] = ["page"];

/// The operations that other documents than ours describe: the scrape of metrics.
const UNDOCUMENTED: [&str; 1] = ["metrics"];

impl Treatment {
    /// The name of the operation in metrics.
    pub(super) fn name_of(id: &str) -> &'static str {
        let known = Operation::ALL.into_iter().map(Operation::as_str);
        let others = PUBLIC.into_iter().chain(PROBES).chain(PAGE).chain(UNDOCUMENTED);
        known.chain(others).find(|known| *known == id).unwrap_or("unknown")
    }

    /// Whether requests of the operation have spans: those of machines that ask all the
    /// time have none.
    pub(super) fn is_traced(name: &str) -> bool {
        !(PUBLIC.contains(&name) || PROBES.contains(&name) || UNDOCUMENTED.contains(&name))
    }

    /// The treatment of the operation with this id. What the document does not have
    /// (endpoints of tests) is ordinary work.
    pub(super) fn of_id(id: &str) -> Self {
        match Operation::ALL.into_iter().find(|operation| operation.as_str() == id) {
            Some(operation) => Self::of(operation),
            None if PUBLIC.contains(&id) => Self { class: Class::Public, reads_body: false },
            None if PROBES.contains(&id) => Self { class: Class::Probe, reads_body: false },
            None if PAGE.contains(&id) => Self { class: Class::Page, reads_body: false },
            None if UNDOCUMENTED.contains(&id) => Self { class: Class::Read, reads_body: false },
            None => Self { class: Class::Work, reads_body: true },
        }
    }

    fn of(operation: Operation) -> Self {
        let (class, reads_body) = match operation {
            Operation::StartRun
            | Operation::CreateNodeRuns
            | Operation::RerunRun
            | Operation::StartBulk
            | Operation::CreateWebhook => (Class::Work, true),
            Operation::StreamRunEvents
            | Operation::StreamNodeRunEvents
            | Operation::ShowRunEvents
            | Operation::ExportRun
            | Operation::TestWebhook
            | Operation::RedeliverWebhook => (Class::Work, false),
            Operation::GetRun
            | Operation::GetNodeRun
            | Operation::ListApprovals
            | Operation::GetApproval
            | Operation::ListRuns
            | Operation::CountRuns
            | Operation::GetRunTree
            | Operation::ListAttempts
            | Operation::ExplainRun
            | Operation::ExplainNodeRun
            | Operation::ListDispatchPauses
            | Operation::GetCancelReport
            | Operation::ListBulk
            | Operation::GetBulk
            | Operation::ListBulkResults
            | Operation::ShowRun
            | Operation::ShowNodeRun
            | Operation::WhoAmI
            | Operation::GetSystem
            | Operation::GetConfiguration
            | Operation::GetWork
            | Operation::ListAudit
            | Operation::ListWebhooks
            | Operation::GetWebhook
            | Operation::ListWebhookDeliveries => (Class::Read, false),
            Operation::CancelRun | Operation::DeleteWebhook => (Class::End, false),
            Operation::ReportNodeRunEvaluation
            | Operation::CompleteNodeRun
            | Operation::ApproveNodeRun
            | Operation::DenyNodeRun
            | Operation::HoldRun
            | Operation::ReleaseRun
            | Operation::PauseDispatch
            | Operation::ResumeDispatch
            | Operation::WakeNodeRun
            | Operation::CancelRunWithReport
            | Operation::AbortBulk => (Class::End, true),
        };
        Self { class, reads_body }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{api, operator};

    #[test]
    fn treatments_agree_with_the_documents() {
        let documents = [api::openapi::document(), operator::openapi::document()];
        let items =
            documents.iter().flat_map(|document| document["paths"].as_object().expect("paths").values());
        let operations: Vec<&Value> =
            items.flat_map(|item| item.as_object().expect("an item").values()).collect();
        for operation in &operations {
            let id = operation["operationId"].as_str().expect("an id");
            let treatment = Treatment::of_id(id);
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            assert_eq!(treatment.class.is_public(), is_public, "{id}");
            assert_eq!(treatment.reads_body, operation["requestBody"].is_object(), "{id}");
        }
        assert_eq!(operations.len(), Operation::ALL.len() + PUBLIC.len() + PROBES.len());
    }
}
