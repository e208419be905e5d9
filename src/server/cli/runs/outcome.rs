//! How a run has ended that a command followed: if it failed, so does the command, with
//! the error of the run.

use super::super::{
    exit::{Exit, Failure},
    table::printable,
};
use crate::types::{Error, RunEvent, RunEventType, RunId, RunState};

/// The end of the command, by the last event that it has seen.
pub(super) fn outcome(run: &RunId, last: Option<&RunEvent>) -> Result<Exit, Failure> {
    let Some(end) = last.filter(|event| event.type_ == RunEventType::RunCompleted) else {
        return Ok(Exit::Ok);
    };
    let state = end.data.as_ref().and_then(|data| data.text("state")?.parse().ok());
    match state {
        Some(RunState::Failed) => {
            Err(Failure::new(Exit::RunFailed, format!("run {run} failed: {}", why(end))))
        }
        // A person has ended it on purpose.
        Some(RunState::Canceled) => Ok(Exit::Ok),
        Some(RunState::Succeeded | RunState::Queued | RunState::Running) | None => Ok(Exit::Ok),
    }
}

/// The error with which the run has failed (contract §12).
fn why(end: &RunEvent) -> String {
    let error = end.extensions.as_ref().and_then(|extensions| extensions.get("jarvis.error"));
    match error.and_then(|error| serde_json::from_value::<Error>(error).ok()) {
        Some(Error { code, message, .. }) => format!("{}: {}", printable(&code), printable(&message)),
        None => "the server does not say why".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn ended(type_: &str, state: &str, extensions: &Value) -> Result<Exit, String> {
        let event = json!({"run_id": "r", "seq": 7, "type": type_, "time": "2026-11-28T12:00:00Z",
            "data": {"state": state}, "extensions": extensions});
        let event = serde_json::from_value(event).expect("an event");
        outcome(&"r".into(), Some(&event)).map_err(|Failure { exit, message }| {
            assert_eq!(exit, Exit::RunFailed);
            message
        })
    }

    #[test]
    fn command_fails_with_its_run() {
        let error = json!({"jarvis.error": {"code": "timeout", "message": "too\nslow", "node_run_id": "n"}});
        assert_eq!(
            ended("run_completed", "failed", &error),
            Err("run r failed: timeout: too\\nslow".to_owned())
        );
        let unknown = "run r failed: the server does not say why".to_owned();
        assert_eq!(ended("run_completed", "failed", &json!({})), Err(unknown));
        for state in ["succeeded", "canceled"] {
            assert_eq!(ended("run_completed", state, &json!({})), Ok(Exit::Ok));
        }
        // It has not ended.
        assert_eq!(ended("atomic_executed", "failed", &error), Ok(Exit::Ok));
        assert!(matches!(outcome(&"r".into(), None), Ok(Exit::Ok)));
    }
}
