//! A running server, as commands call it: its API, or its operator API.
//!
//! ```text
//!   flags, variables ──▶ Remote<its client> ──HTTP──▶ server
//!                          ▲
//!   send_request, health ──┴── approvals   format the answers
//! ```
//!
//! An error names the request and the server.

use std::time::Duration;

use serde::Serialize;

use crate::{
    clients::{self, CallError, Failure, operator, run_coordinator::Client},
    config::{OutboundTls, Secret, value::masked_url},
    transport::{Outbound, TlsError, check_system_roots, unverified},
};

/// The time limit of a request; longer than answers wait for the JARVIS stores.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The client of the operator API.
pub type OperatorClient = operator::Client;

/// A server, and its client.
pub struct Remote<C = Client> {
    /// For messages: without user and password.
    url: String,
    /// What says the address of such a server.
    given_by: &'static str,
    pub(super) client: C,
}

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("{0}")]
    Setup(String),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    File(String),
    #[error("{}", no_answer(.asked, .url, .given_by, .error))]
    Call { asked: String, url: String, given_by: &'static str, error: CallError },
    #[error("{asked} at {url}: no answer within {} s", ANSWER_WITHIN.as_secs())]
    Late { asked: String, url: String },
    /// Another program answers. `found` completes "it is".
    #[error("{url} is not a run coordinator: {found}\nThe address is given by {given_by}.")]
    Foreign { url: String, given_by: &'static str, found: String },
    #[error("run {run} was started, but a later request failed:\n{error}")]
    AfterStart { run: String, error: Box<RemoteError> },
}

impl Remote {
    /// Trusts the system's roots.
    #[cfg(test)]
    pub(super) fn new(url: &str, token: Option<&Secret>) -> Result<Self, RemoteError> {
        Self::over(&OutboundTls::default(), url, token)
    }

    /// A server whose certificate must be valid for its name.
    pub fn over(tls: &OutboundTls, url: &str, token: Option<&Secret>) -> Result<Self, RemoteError> {
        Self::with(http_client(tls, url)?, url, token)
    }

    /// The server of this machine, with any certificate, and without a token:
    /// certificates are not issued for loopback addresses.
    pub fn own(tls: &OutboundTls, url: &str) -> Result<Self, RemoteError> {
        Self::with(clients::http_client_with_tls(clients::CONNECT_TIMEOUT, unverified(tls)?), url, None)
    }

    fn with(
        http: Result<reqwest::Client, String>,
        url: &str,
        token: Option<&Secret>,
    ) -> Result<Self, RemoteError> {
        let http = http.map_err(RemoteError::Setup)?;
        let client = clients::coordinator_over(http, url, token.map(Secret::expose));
        Ok(Self { url: masked_url(url), given_by: "--url, or by --host and --port", client })
    }
}

impl Remote<OperatorClient> {
    /// An operator API whose certificate must be valid for its name.
    pub fn operator(tls: &OutboundTls, url: &str, token: Option<&Secret>) -> Result<Self, RemoteError> {
        let http = http_client(tls, url)?.map_err(RemoteError::Setup)?;
        let client = clients::operator_over(http, url, token.map(Secret::expose));
        let given_by =
            "--operator-url, JARVIS_RUN_COORDINATOR_OPERATOR_URL or JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN";
        Ok(Self { url: masked_url(url), given_by, client })
    }
}

/// A client with this trust and identity, for this address.
fn http_client(tls: &OutboundTls, url: &str) -> Result<Result<reqwest::Client, String>, TlsError> {
    if tls.is_default() {
        // Otherwise the server's certificate would be blamed.
        if url.starts_with("https:") {
            check_system_roots()?;
        }
        return Ok(clients::http_client(clients::CONNECT_TIMEOUT));
    }
    let (outbound, _) = Outbound::load(tls)?;
    Ok(clients::http_client_with_tls(clients::CONNECT_TIMEOUT, outbound.client_config()?))
}

impl<C> Remote<C> {
    pub(super) fn client(&self) -> &C {
        &self.client
    }

    /// Waits for an answer, within the time limit. `asked` names the request.
    pub(super) async fn answer<T>(
        &self,
        asked: &str,
        answer: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, RemoteError> {
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(answer) => answer.map_err(|error| self.failed(asked, error)),
            Err(_) => Err(RemoteError::Late { asked: asked.to_owned(), url: self.url.clone() }),
        }
    }

    /// The failure to be a run coordinator.
    pub(super) fn foreign(&self, found: String) -> RemoteError {
        RemoteError::Foreign { url: self.url.clone(), given_by: self.given_by, found }
    }

    /// The failure of a request.
    pub(super) fn failed(&self, asked: &str, error: CallError) -> RemoteError {
        RemoteError::Call { asked: asked.to_owned(), url: self.url.clone(), given_by: self.given_by, error }
    }
}

impl RemoteError {
    /// The status of the answer, if it was a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Call { error, .. } => error.status(),
            Self::AfterStart { error, .. } => error.status(),
            Self::Setup(_) | Self::Tls(_) | Self::File(_) | Self::Late { .. } | Self::Foreign { .. } => None,
        }
    }
}

/// Describes a failed request, and suggests a remedy.
fn no_answer(asked: &str, url: &str, given_by: &str, error: &CallError) -> String {
    let reason = error.reason();
    match (&error.failure, error.status()) {
        (Failure::NotSent(_), _) => {
            let mut text = format!(
                "{asked} at {url}: {reason}\nIs the server running? Its address is given by {given_by}."
            );
            if url.starts_with("https:") {
                text.push_str("\nA certificate that the system does not trust needs --ca or JARVIS_RUN_COORDINATOR_CA_BUNDLE.");
            }
            text
        }
        (Failure::HttpStatus { .. } | Failure::Malformed { .. }, _) => format!(
            "{asked} at {url}: {reason}\nNo run coordinator has answered: another program has that address, or a \
             proxy is in between. The address is given by {given_by}."
        ),
        (_, None) => format!("{asked} at {url}: {reason}"),
        (_, Some(status)) => {
            let (code, message, details) = (error.code(), error.message(), error.details());
            let mut text = format!("{asked} at {url} was refused: {status} {code}: {message}");
            if status == 401 {
                text.push_str("\nProvide a token with JARVIS_RUN_COORDINATOR_TOKEN or --token.");
            }
            if !details.is_empty() {
                text = format!("{text}\n{}", pretty(&details));
            }
            text
        }
    }
}

/// Formats a value for people.
pub(super) fn pretty(value: &impl Serialize) -> String {
    // Through a tree: free-form objects, carried as text, would stay on one line.
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
    fn error_names_request_server_and_remedy() {
        let message = |error: &CallError| no_answer("GET /v1/x", "http://h", "--url", error);
        assert_eq!(
            message(&refused(409, json!({}))),
            "GET /v1/x at http://h was refused: 409 some_code: Some message"
        );
        assert_eq!(
            message(&refused(401, json!({"a": 1}))),
            "GET /v1/x at http://h was refused: 401 some_code: Some message\n\
             Provide a token with JARVIS_RUN_COORDINATOR_TOKEN or --token.\n{\n  \"a\": 1\n}"
        );
        let broken = CallError::no_response(Service::RunCoordinator, "the connection broke off");
        assert_eq!(message(&broken), "GET /v1/x at http://h: the connection broke off");
        let no_connection = Failure::NotSent(NotSent::NoConnection);
        let not_sent = message(&CallError::new(Service::RunCoordinator, no_connection));
        assert!(not_sent.ends_with("Is the server running? Its address is given by --url."), "{not_sent}");
    }
}
