//! Approvals as operators see them: what waits, and a decision about it (contract
//! §9.2, D-08).
//!
//! ```text
//!   list ───▶ journal: what waits, oldest first ──▶ may the caller see it? ──▶ page
//!   decide ─▶ authorize ──▶ engine ──▶ commit: decision, event, audit record ──▶ answer
//!                                        └─▶ dispatched, or failed
//! ```
//!
//! **Invariants.** A page is bounded in its cost, however many approvals wait and
//! however few of them the caller may see. A decision is durable before it is
//! answered, and the same decision again changes nothing.

use std::{fmt, str::FromStr};

use slog::info;

use super::{
    Coordinator,
    error::{CoordinatorError, FieldError},
};
use crate::{
    auth::Principal,
    engine::{self, ApprovalVerdict, Cause, DecideApproval},
    journal::{JournalError, Waiting, WaitingPlace},
    record::{
        Approval, ApprovalId, AuditObject, Identity, Job, NodeRecord, Operation, REASON_BYTES, RunRecord,
    },
    time::Timestamp,
    types::{NodeRunId, NodeTypeRef, RunId},
};

/// The maximum of approvals on a page.
pub const APPROVALS_PAGE_MAX: u32 = 200;

/// Nodes that are looked at for one page, however few the caller may see.
const EXAMINED_MAX: u32 = 1000;

/// Which approvals are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApprovalsQuery {
    /// Only of this run.
    pub run_id: Option<RunId>,
    /// Only those behind this place, which the page before has named.
    pub after: Option<ApprovalCursor>,
    /// The maximum of approvals, at most [`APPROVALS_PAGE_MAX`].
    pub limit: u32,
}

/// A place in the list of approvals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalCursor(WaitingPlace);

/// The text names no place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of the list of approvals")]
pub struct NoCursor;

impl fmt::Display for ApprovalCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(WaitingPlace { since, node_run_id }) = self;
        write!(f, "{}.{node_run_id}", since.as_micros())
    }
}

impl FromStr for ApprovalCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (since, node) = text.split_once('.').ok_or(NoCursor)?;
        let since = Timestamp::from_micros(since.parse().map_err(|_| NoCursor)?);
        Ok(Self(WaitingPlace { since, node_run_id: NodeRunId::new(node) }))
    }
}

/// An approval with what is needed to decide about it.
#[derive(Clone, Debug, PartialEq)]
pub struct ApprovalView {
    pub approval: Approval,
    pub run_id: RunId,
    pub node_run_id: NodeRunId,
    pub node_type_ref: NodeTypeRef,
    /// Who started the run.
    pub owner: Option<Identity>,
}

impl ApprovalView {
    fn of(approval: Approval, node: &NodeRecord, run: Option<&RunRecord>) -> Self {
        Self {
            approval,
            run_id: node.node.run_id.clone(),
            node_run_id: node.id().clone(),
            node_type_ref: node.node.node_type_ref.clone(),
            owner: run.and_then(|run| run.owner.clone()),
        }
    }
}

/// A page of the list. It may be shorter than asked for, and even empty, although more
/// follows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApprovalsPage {
    pub approvals: Vec<ApprovalView>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<ApprovalCursor>,
}

impl Coordinator {
    /// Lists the approvals that wait, as far as the caller may see them: those that
    /// have waited longest first.
    pub async fn approvals_list(
        &self,
        caller: &Principal,
        query: ApprovalsQuery,
    ) -> Result<ApprovalsPage, CoordinatorError> {
        self.list_authorize(caller, Operation::ListApprovals).await?;
        let ApprovalsQuery { run_id, after, limit } = query;
        let wanted = limit.clamp(1, APPROVALS_PAGE_MAX) as usize;
        let mut place = after.map(|ApprovalCursor(place)| place);
        let mut approvals = Vec::new();
        let journal = &self.committer.journal;
        // The journal bounds the cost of a page by itself, so this is about those that
        // the caller may not see.
        let page = journal.approvals_page(place.as_ref(), run_id.as_ref(), EXAMINED_MAX).await;
        let page = page.map_err(|failure| self.committer.read_failed(failure))?;
        for waiting in page.waiting {
            if approvals.len() == wanted {
                return Ok(ApprovalsPage { approvals, next: place.map(ApprovalCursor) });
            }
            approvals.extend(self.waiting(caller, &waiting).await?);
            place = Some(waiting.place);
        }
        let next = page.scanned_to.filter(|_| !page.at_end).map(ApprovalCursor);
        Ok(ApprovalsPage { approvals, next })
    }

    /// A node that waits, if it still does and the caller may see it.
    async fn waiting(
        &self,
        caller: &Principal,
        waiting: &Waiting,
    ) -> Result<Option<ApprovalView>, CoordinatorError> {
        let Waiting { place, run_id } = waiting;
        let run = readable(self.committer.run_find(run_id).await)?.flatten();
        if !self.may_see(caller, run.as_ref().and_then(|run| run.owner.as_ref())) {
            return Ok(None);
        }
        // A damaged record is not listed: the health of the journal says so.
        let node = readable(self.committer.node_find_bare(&place.node_run_id).await)?.flatten();
        let Some(node) = node else { return Ok(None) };
        let waits = node.wake.as_ref().is_some_and(|wake| wake.job == Job::Approval);
        let approval = node.waits.approval.as_deref().filter(|approval| waits && approval.is_open());
        Ok(approval.map(|approval| ApprovalView::of(approval.clone(), &node, run.as_ref())))
    }

    /// The newest approval of a node. Earlier ones are not kept.
    pub async fn approval_get(
        &self,
        caller: &Principal,
        id: &ApprovalId,
    ) -> Result<ApprovalView, CoordinatorError> {
        let node = self.approval_authorize(caller, Operation::GetApproval, id).await?;
        let approval = node.waits.approval.as_deref().filter(|approval| approval.approval_id == *id);
        let approval = approval.ok_or_else(|| CoordinatorError::ApprovalNotFound(id.clone()))?;
        let run = self.committer.run_find(&node.node.run_id).await?;
        Ok(ApprovalView::of(approval.clone(), &node, run.as_ref()))
    }

    /// Decides about an approval. The reason is kept with it.
    pub async fn approval_decide(
        &self,
        caller: &Principal,
        id: &ApprovalId,
        verdict: ApprovalVerdict,
        reason: &str,
    ) -> Result<ApprovalView, CoordinatorError> {
        let operation = match verdict {
            ApprovalVerdict::Approve => Operation::ApproveNodeRun,
            ApprovalVerdict::Deny => Operation::DenyNodeRun,
        };
        let node = self.approval_authorize(caller, operation, id).await?;
        check_reason(reason)?;
        let committer = &*self.committer;
        let reason = committer.redactor.message(reason).into_owned();
        let (run_id, command) = (&node.node.run_id, &DecideApproval { number: id.number, verdict, reason });
        let decided = committer
            .request(Cause::asked(caller.actor(), operation), run_id, |cx| async move {
                let view = committer.with_payers(committer.bare_view(&id.node).await?).await?;
                let claim = committer.queue.claim(run_id, [view.node.node.kind]);
                Ok(engine::approval_decide(view, command, cx.with_claim(claim))?)
            })
            .await;
        let object = AuditObject::node(run_id, &id.node);
        let approval = self.audit_trail().judged(caller, operation, object, decided).await?;
        info!(committer.log, "approval decided"; "run_id" => %run_id, "node_run_id" => %id.node,
            "approval_id" => %id, "outcome" => approval.outcome().map(|outcome| outcome.as_str()));
        let run = committer.run_find(run_id).await?;
        Ok(ApprovalView::of(approval, &node, run.as_ref()))
    }
}

/// What was read, unless its record is damaged.
pub(super) fn readable<T>(read: Result<T, CoordinatorError>) -> Result<Option<T>, CoordinatorError> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(CoordinatorError::Journal(JournalError::Damaged(_))) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Checks the reason that an operator gives.
pub(super) fn check_reason(reason: &str) -> Result<(), CoordinatorError> {
    let (kind, message) = if reason.trim().is_empty() {
        ("string_too_short", "a reason must be given".to_owned())
    } else if reason.len() > REASON_BYTES {
        ("string_too_long", format!("a reason has at most {REASON_BYTES} bytes"))
    } else {
        return Ok(());
    };
    let location = vec!["body".into(), "reason".into()];
    Err(CoordinatorError::Invalid(vec![FieldError { kind, location, message }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_reads_as_it_was_written() {
        let place = WaitingPlace { since: Timestamp::from_micros(-7), node_run_id: "a.b".into() };
        let cursor = ApprovalCursor(place);
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", ".", "x.n", "1"] {
            assert_eq!(bad.parse::<ApprovalCursor>(), Err(NoCursor), "{bad}");
        }
    }

    #[test]
    fn reason_must_be_given_and_short() {
        let kind = |reason: &str| match check_reason(reason) {
            Err(CoordinatorError::Invalid(errors)) => Some(errors[0].kind),
            Err(other) => panic!("{other:?}"),
            Ok(()) => None,
        };
        assert_eq!(kind(""), Some("string_too_short"));
        assert_eq!(kind(" \n"), Some("string_too_short"));
        assert_eq!(kind("x"), None);
        assert_eq!(kind(&"x".repeat(REASON_BYTES)), None);
        assert_eq!(kind(&"x".repeat(REASON_BYTES + 1)), Some("string_too_long"));
    }
}
