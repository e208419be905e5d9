//! What came of a call to an executor, in the engine's terms (contract §9.2,
//! §17.1). Whether the node is handed over again, the engine decides.

use std::time::Duration;

use crate::{
    clients::{
        CallError, atomic_executor::types::AtomicExecuteResult,
        composite_executor::types::CompositeBeginResponse,
    },
    engine::{AttemptResult, FailedCall, Work},
    types::{Error, NodeRunId},
};

/// However long an executor wants to be left alone: a node is not to be
/// forgotten over it.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// What an atomic executor answered about `node`.
pub(super) fn executed(node: &NodeRunId, answer: Result<AtomicExecuteResult, CallError>) -> AttemptResult {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return AttemptResult::Failed(failed(error)),
    };
    if answer.node_run_id != *node {
        return invalid("Atomic Executor answered for another NodeRun");
    }
    if !answer.state.is_terminal() {
        return invalid("Atomic Executor answered with a state that is not an end");
    }
    AttemptResult::Answered {
        state: answer.state,
        outputs: answer.outputs,
        output_artifacts: answer.output_artifacts,
        error: answer.error,
    }
}

/// What a composite executor answered; `None` if it has taken the node on.
pub(super) fn begun(answer: Result<CompositeBeginResponse, CallError>) -> Option<AttemptResult> {
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
    let retry_after = error.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
    FailedCall { work: work(&error), retry_after, error: error.into_error() }
}

fn work(error: &CallError) -> Work {
    let not_now = if error.retryable { Work::NotStarted } else { Work::Rejected };
    match error.status {
        _ if error.never_sent => not_now,
        None => Work::Unanswered,
        // It is there, and too busy: so it says itself, or whoever keeps callers
        // off it. (A proxy says 503 as well when a call has broken off at work.)
        Some(429 | 503) if error.spoken || error.retry_after.is_some() => not_now,
        Some(429 | 503) => Work::Uncertain,
        // The words of something in between: who knows how far the call got.
        Some(408 | 502 | 504) => Work::Uncertain,
        // Its own words: it says itself whether to come back.
        Some(_) if error.spoken => not_now,
        // It broke down over the work.
        Some(500..) => Work::Uncertain,
        Some(_) => Work::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Service;

    #[test]
    fn what_a_failed_call_says_about_the_work() {
        let unavailable = || CallError::unavailable(Service::AtomicExecutor, "why");
        let wait = Some(Duration::from_secs(1));
        let answered = |status, spoken, retryable| CallError {
            status: Some(status),
            spoken,
            retryable,
            ..unavailable()
        };
        for (error, expected) in [
            (CallError { never_sent: true, ..unavailable() }, Work::NotStarted),
            (CallError { never_sent: true, retryable: false, ..unavailable() }, Work::Rejected),
            (unavailable(), Work::Unanswered),
            (answered(429, false, true), Work::Uncertain),
            (answered(503, false, true), Work::Uncertain),
            (CallError { retry_after: wait, ..answered(429, false, true) }, Work::NotStarted),
            (CallError { retry_after: wait, ..answered(503, false, true) }, Work::NotStarted),
            (answered(429, true, true), Work::NotStarted),
            (answered(503, true, true), Work::NotStarted),
            (answered(503, true, false), Work::Rejected),
            (answered(502, false, true), Work::Uncertain),
            (answered(504, true, true), Work::Uncertain),
            (answered(500, false, false), Work::Uncertain),
            (answered(500, true, false), Work::Rejected),
            (answered(500, true, true), Work::NotStarted),
            (answered(404, true, false), Work::Rejected),
            (answered(404, false, false), Work::Rejected),
            // An answer that makes no sense.
            (answered(200, false, false), Work::Rejected),
        ] {
            assert_eq!(work(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn an_executor_is_left_alone_for_as_long_as_it_asks_within_reason() {
        let busy = |seconds| CallError {
            status: Some(503),
            retry_after: Some(Duration::from_secs(seconds)),
            ..CallError::unavailable(Service::AtomicExecutor, "busy")
        };
        assert_eq!(failed(busy(7)).retry_after, Some(Duration::from_secs(7)));
        assert_eq!(failed(busy(86_400)).retry_after, Some(RETRY_AFTER_MAX));
    }
}
