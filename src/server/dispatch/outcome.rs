//! The outcome of a call to an executor, in the engine's terms (contract §9.2,
//! §17.1). Whether the node is dispatched again, the engine decides.

use std::time::Duration;

use crate::{
    clients::{
        CallError, Failure, NotSent, atomic_executor::types::AtomicExecuteResult,
        composite_executor::types::CompositeBeginResponse,
    },
    engine::{AttemptResult, FailedCall, Usage, Work},
    types::{Error, NodeRunId},
};

/// The longest `Retry-After` that is granted: a node must not be forgotten over
/// it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// The result of an atomic executor's answer about `node`.
pub(super) fn executed(node: &NodeRunId, answer: Result<AtomicExecuteResult, CallError>) -> AttemptResult {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return AttemptResult::Failed(failed(error)),
    };
    if answer.node_run_id != *node {
        return invalid("Atomic Executor answered for another NodeRun");
    }
    if !answer.state.is_terminal() {
        return invalid("Atomic Executor answered with a state that is not terminal");
    }
    AttemptResult::Answered {
        state: answer.state,
        outputs: answer.outputs,
        output_artifacts: answer.output_artifacts,
        error: answer.error,
        usage: Usage::reported(answer.extensions.as_ref()),
        violations: None,
    }
}

/// The result of a composite executor's answer; `None` if it accepted the node.
pub(super) fn accepted(answer: Result<CompositeBeginResponse, CallError>) -> Option<AttemptResult> {
    match answer {
        Ok(answer) if answer.accepted => None,
        Ok(answer) => {
            let message = answer.message.unwrap_or_else(|| "Composite assignment rejected".into());
            Some(refused(Error::new("composite_rejected", message)))
        }
        Err(error) => Some(AttemptResult::Failed(failed(error))),
    }
}

fn invalid(message: &str) -> AttemptResult {
    refused(Error::new("atomic_executor_invalid_result", message))
}

fn refused(error: Error) -> AttemptResult {
    AttemptResult::Failed(FailedCall { error, work: Work::Rejected, retry_after: None })
}

fn failed(error: CallError) -> FailedCall {
    let retry_after = error.retry_after().map(|wait| wait.min(RETRY_AFTER_MAX));
    FailedCall { work: work(&error.failure), retry_after, error: error.into_error() }
}

/// What a failed call says about the work.
fn work(failure: &Failure) -> Work {
    match *failure {
        Failure::NotSent(NotSent::NoConnection | NotSent::NoToken { .. }) => Work::NotStarted,
        Failure::NotSent(NotSent::Invalid { .. }) => Work::Rejected,
        Failure::NoResponse { .. } => Work::Unanswered,
        // The gateway says when to come back: the executor is too busy. (Without
        // `Retry-After`, a proxy also answers 503 when a call breaks off at work.)
        Failure::HttpStatus { status: 429 | 503, retry_after: Some(_), .. } => Work::NotStarted,
        // From something in between, or from an executor that broke down over the
        // work: how far the call got is unknown.
        Failure::HttpStatus { status: 408 | 429 | 500.., .. } => Work::Uncertain,
        Failure::HttpStatus { .. } => Work::Rejected,
        // A gateway that speaks ARP: how far the call got is unknown.
        Failure::Envelope { status: 408 | 502 | 504, .. } => Work::Uncertain,
        // The service's own error envelope: trust its `retryable`.
        Failure::Envelope { retryable: true, .. } => Work::NotStarted,
        Failure::Envelope { retryable: false, .. } | Failure::Malformed { .. } | Failure::TooLarge { .. } => {
            Work::Rejected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clients::Service, types::JsonObject};

    fn status(status: u16, retry_after: Option<u64>) -> Failure {
        let retry_after = retry_after.map(Duration::from_secs);
        Failure::HttpStatus { status, reason: "why".into(), retry_after }
    }

    fn envelope(status: u16, retryable: bool) -> Failure {
        Failure::Envelope {
            status,
            code: "code".into(),
            message: "Message".into(),
            details: JsonObject::new(),
            retryable,
            retry_after: None,
        }
    }

    #[test]
    fn failed_call_tells_whether_the_work_began() {
        for (failure, expected) in [
            (Failure::NotSent(NotSent::NoConnection), Work::NotStarted),
            (Failure::NotSent(NotSent::NoToken { reason: "why".into() }), Work::NotStarted),
            (Failure::NotSent(NotSent::Invalid { reason: "why".into() }), Work::Rejected),
            (Failure::NoResponse { reason: "why".into() }, Work::Unanswered),
            (status(408, None), Work::Uncertain),
            (status(429, None), Work::Uncertain),
            (status(503, None), Work::Uncertain),
            (status(429, Some(1)), Work::NotStarted),
            (status(503, Some(1)), Work::NotStarted),
            (status(502, None), Work::Uncertain),
            (status(502, Some(1)), Work::Uncertain),
            (status(500, None), Work::Uncertain),
            (status(404, None), Work::Rejected),
            (status(302, None), Work::Rejected),
            (envelope(429, true), Work::NotStarted),
            (envelope(503, true), Work::NotStarted),
            (envelope(503, false), Work::Rejected),
            (envelope(504, true), Work::Uncertain),
            (envelope(408, false), Work::Uncertain),
            (envelope(500, false), Work::Rejected),
            (envelope(500, true), Work::NotStarted),
            (envelope(404, false), Work::Rejected),
            (Failure::Malformed { reason: "why".into() }, Work::Rejected),
        ] {
            assert_eq!(work(&failure), expected, "{failure:?}");
        }
    }

    #[test]
    fn retry_after_is_granted_up_to_a_limit() {
        let busy = |seconds| CallError::new(Service::AtomicExecutor, status(503, Some(seconds)));
        assert_eq!(failed(busy(7)).retry_after, Some(Duration::from_secs(7)));
        assert_eq!(failed(busy(86_400)).retry_after, Some(RETRY_AFTER_MAX));
    }
}
