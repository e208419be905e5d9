//! Commands that talk to a server which is up: `send-request`, `health`.
//!
//! ```text
//!   flags, variables ──▶ Remote ──HTTP──▶ the server
//!                          ▲
//!            send_request ─┴─ health   what is said of the answers
//! ```
//!
//! They print answers on stdout, as JSON. What goes wrong is an error that
//! says what was asked of whom.

mod health;
mod send_request;

use std::time::Duration;

use serde::Serialize;

use crate::{
    clients::{self, CallError, Failure, run_coordinator::Client},
    config::{Secret, value::masked_url},
};

pub use health::health;
pub use send_request::send_request;

/// More than an answer takes that waits for the JARVIS stores.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A server, and how we call it.
pub struct Remote {
    /// As messages have it: without user and password.
    url: String,
    client: Client,
}

/// Why a command has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("{0}")]
    Setup(String),
    #[error("{0}")]
    File(String),
    #[error("{}", no_answer(.asked, .url, .error))]
    Call { asked: String, url: String, error: CallError },
    #[error("{asked} at {url}: no answer within {} s", ANSWER_WITHIN.as_secs())]
    Late { asked: String, url: String },
    #[error("the run {run} has been started, but then:\n{error}")]
    AfterStart { run: String, error: Box<RemoteError> },
}

impl Remote {
    pub fn new(url: &str, token: Option<&Secret>) -> Result<Self, RemoteError> {
        let client = clients::coordinator(url, token.map(Secret::expose)).map_err(RemoteError::Setup)?;
        Ok(Self { url: masked_url(url), client })
    }

    /// Waits for an answer, but not for ever. `asked` is what a person calls it.
    async fn answer<T>(
        &self,
        asked: &str,
        answer: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, RemoteError> {
        let (asked, url) = (asked.to_owned(), self.url.clone());
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer.map_err(|error| RemoteError::Call { asked, url, error }),
            Err(_) => Err(RemoteError::Late { asked, url }),
        }
    }
}

/// What went wrong, and what may help.
fn no_answer(asked: &str, url: &str, error: &CallError) -> String {
    let reason = error.reason();
    match (&error.failure, error.status()) {
        (Failure::NotSent(_), _) => {
            format!(
                "{asked} at {url}: {reason}\nIs the server running? --url, or --host and --port, say where."
            )
        }
        (_, None) => format!("{asked} at {url}: {reason}"),
        (_, Some(status)) => {
            let (code, message, details) = (error.code(), error.message(), error.details());
            let mut text = format!("{asked} at {url} was refused: {status} {code}: {message}");
            if status == 401 {
                text.push_str("\nA token goes into JARVIS_RUN_COORDINATOR_TOKEN, or --token.");
            }
            if !details.is_empty() {
                text = format!("{text}\n{}", pretty(&details));
            }
            text
        }
    }
}

/// As it is printed. A value that is no JSON cannot come from JSON.
fn pretty(value: &impl Serialize) -> String {
    // As a tree first: what is carried as text would stay in one line.
    let tree = serde_json::to_value(value).unwrap_or_default();
    serde_json::to_string_pretty(&tree).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clients::{NotSent, Service};

    fn refused(status: u16, details: serde_json::Value) -> CallError {
        let serde_json::Value::Object(details) = details else { panic!("an object") };
        let failure = Failure::Envelope {
            status,
            code: "some_code".into(),
            message: "Some message".into(),
            details: details.into(),
            retryable: false,
            retry_after: None,
        };
        CallError::new(Service::RunCoordinator, failure)
    }

    #[test]
    fn an_error_says_what_was_asked_of_whom_and_what_may_help() {
        let said = |error: &CallError| no_answer("GET /v1/x", "http://h", error);
        assert_eq!(
            said(&refused(409, json!({}))),
            "GET /v1/x at http://h was refused: 409 some_code: Some message"
        );
        assert_eq!(
            said(&refused(401, json!({"a": 1}))),
            "GET /v1/x at http://h was refused: 401 some_code: Some message\n\
             A token goes into JARVIS_RUN_COORDINATOR_TOKEN, or --token.\n{\n  \"a\": 1\n}"
        );
        let broken = CallError::no_response(Service::RunCoordinator, "the connection broke off");
        assert_eq!(said(&broken), "GET /v1/x at http://h: the connection broke off");
        let nobody = said(&CallError::new(Service::RunCoordinator, Failure::NotSent(NotSent::NoConnection)));
        assert!(
            nobody.ends_with("Is the server running? --url, or --host and --port, say where."),
            "{nobody}"
        );
    }
}
