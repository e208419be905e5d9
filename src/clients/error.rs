//! What can go wrong with a call, in one type (contract §17.1).
//!
//! ```text
//!   request ──▶ sent? ──no──▶ NotSent
//!                 │ yes
//!                 ▼
//!              answer? ──no──▶ NoResponse
//!                 │ yes
//!                 ▼
//!               2xx? ──no──▶ ARP envelope? ──yes──▶ Envelope
//!                 │ yes                └─────no──▶ HttpStatus
//!                 ▼
//!              usable? ──no──▶ Malformed, TooLarge
//! ```

use std::{borrow::Cow, time::Duration};

use super::{
    bounded::{self, Limit},
    envelope::NOT_AN_ENVELOPE,
    service::Service,
};
use crate::types::{Error, ErrorEnvelope, JsonObject};

/// A call to a service that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.in_a_line())]
pub struct CallError {
    pub service: Service,
    pub failure: Failure,
}

/// How a call failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The request was not sent: the service has not acted.
    NotSent(NotSent),
    /// The request was sent and no complete answer came: the service may have
    /// acted, or may still act.
    NoResponse { reason: String },
    /// An HTTP status without an ARP error envelope: from a proxy before the
    /// service, or from a service that has no envelopes, as the JARVIS stores.
    HttpStatus { status: u16, reason: String, retry_after: Option<Duration> },
    /// The service's own error envelope.
    Envelope {
        status: u16,
        code: String,
        message: String,
        details: JsonObject,
        retryable: bool,
        retry_after: Option<Duration>,
    },
    /// The service answered 200 with something that cannot be true, or that
    /// cannot be read. Asking again would not help.
    Malformed { reason: String },
    /// The service answered 200 with more than a client reads. Asking again
    /// would bring the same.
    TooLarge { limit: Limit },
}

/// Why a request was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// The connection could not be made.
    NoConnection,
    /// There is no token for the service, or the call is no longer wanted: the
    /// service was not even looked for.
    NoToken { reason: String },
    /// The request cannot be written.
    Invalid { reason: String },
}

impl CallError {
    pub fn new(service: Service, failure: Failure) -> Self {
        Self { service, failure }
    }

    /// No usable answer came. The service may have acted.
    pub fn no_response(service: Service, reason: &str) -> Self {
        Self::new(service, Failure::NoResponse { reason: reason.to_owned() })
    }

    /// The service answered, and the answer cannot be true.
    pub fn malformed(service: Service, reason: &str) -> Self {
        Self::new(service, Failure::Malformed { reason: reason.to_owned() })
    }

    /// From the error of a generated client.
    pub fn from_client(service: Service, error: progenitor_client::Error<ErrorEnvelope>) -> Self {
        Self::new(service, Failure::from(error))
    }

    /// The service's own code, or `<service>_unavailable` and the like.
    pub fn code(&self) -> Cow<'_, str> {
        match (&self.failure, self.service) {
            (Failure::Envelope { code, .. }, _) => code.into(),
            (Failure::NotSent(NotSent::NoToken { .. }), _) => "token_request_failed".into(),
            (Failure::TooLarge { .. }, Service::AtomicExecutor) => "atomic_executor_invalid_result".into(),
            // Contract §16: the store has answered.
            (
                Failure::HttpStatus { .. } | Failure::Malformed { .. } | Failure::TooLarge { .. },
                Service::ArtifactStore,
            ) => "artifact_store_error".into(),
            (
                Failure::NotSent(NotSent::NoConnection | NotSent::Invalid { .. })
                | Failure::NoResponse { .. }
                | Failure::HttpStatus { .. }
                | Failure::Malformed { .. }
                | Failure::TooLarge { .. },
                service,
            ) => format!("{}_unavailable", service.name()).into(),
        }
    }

    /// The service's own message, or one that names the service.
    pub fn message(&self) -> Cow<'_, str> {
        let label = self.service.label();
        match (&self.failure, self.service) {
            (Failure::Envelope { message, .. }, _) => message.into(),
            (Failure::NotSent(NotSent::NoToken { .. }), _) => format!("{label} token request failed").into(),
            (Failure::TooLarge { limit }, Service::AtomicExecutor) => {
                format!("{label} answered with {limit}").into()
            }
            (
                Failure::NotSent(NotSent::NoConnection | NotSent::Invalid { .. })
                | Failure::NoResponse { .. }
                | Failure::HttpStatus { .. }
                | Failure::Malformed { .. }
                | Failure::TooLarge { .. },
                _,
            ) => format!("{label} request failed").into(),
        }
    }

    /// The service's own details, or the reason.
    pub fn details(&self) -> JsonObject {
        match (&self.failure, self.service) {
            (Failure::Envelope { details, .. }, _) => details.clone(),
            // The message has all there is to say.
            (Failure::TooLarge { .. }, Service::AtomicExecutor) => JsonObject::new(),
            (
                Failure::NotSent(_)
                | Failure::NoResponse { .. }
                | Failure::HttpStatus { .. }
                | Failure::Malformed { .. }
                | Failure::TooLarge { .. },
                _,
            ) => [("error", self.reason().as_ref().into())].into(),
        }
    }

    /// The reason in a few words, without an address.
    pub fn reason(&self) -> Cow<'_, str> {
        match &self.failure {
            Failure::NotSent(NotSent::NoConnection) => "the connection could not be made".into(),
            Failure::NotSent(NotSent::NoToken { reason } | NotSent::Invalid { reason })
            | Failure::NoResponse { reason }
            | Failure::HttpStatus { reason, .. }
            | Failure::Malformed { reason } => reason.into(),
            Failure::TooLarge { limit } => format!("the answer has {limit}").into(),
            Failure::Envelope { message, details, .. } => {
                details.text("error").map_or_else(|| message.into(), Cow::from)
            }
        }
    }

    /// The HTTP status of the answer, if one came. (A malformed or too large
    /// answer was a 200.)
    pub fn status(&self) -> Option<u16> {
        match self.failure {
            Failure::NotSent(_) | Failure::NoResponse { .. } => None,
            Failure::HttpStatus { status, .. } | Failure::Envelope { status, .. } => Some(status),
            Failure::Malformed { .. } | Failure::TooLarge { .. } => Some(200),
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        match self.failure {
            // The request is not at fault.
            Failure::NotSent(NotSent::NoConnection | NotSent::NoToken { .. })
            | Failure::NoResponse { .. } => true,
            Failure::HttpStatus { status, .. } => match status {
                400..=599 => is_transient(status),
                // No answer of this service at all.
                _ => true,
            },
            Failure::Envelope { retryable, .. } => retryable,
            Failure::NotSent(NotSent::Invalid { .. })
            | Failure::Malformed { .. }
            | Failure::TooLarge { .. } => false,
        }
    }

    /// How long the service wants to be left alone (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        match self.failure {
            Failure::HttpStatus { retry_after, .. } | Failure::Envelope { retry_after, .. } => retry_after,
            Failure::NotSent(_)
            | Failure::NoResponse { .. }
            | Failure::Malformed { .. }
            | Failure::TooLarge { .. } => None,
        }
    }

    /// The error as a NodeRun records it.
    pub fn into_error(self) -> Error {
        let details = self.details();
        Error {
            details: (!details.is_empty()).then_some(details),
            retryable: Some(self.retryable()),
            ..Error::new(&self.code(), self.message().into_owned())
        }
    }

    /// One line for logs and people.
    fn in_a_line(&self) -> String {
        let (code, message) = (self.code(), self.message());
        let status = self.status().map_or(String::new(), |status| format!("{status} "));
        let reason = match self.failure {
            Failure::Envelope { .. } => String::new(),
            Failure::NotSent(_)
            | Failure::NoResponse { .. }
            | Failure::HttpStatus { .. }
            | Failure::Malformed { .. }
            | Failure::TooLarge { .. } => format!(": {}", self.reason()),
        };
        format!("{status}{code}: {message}{reason}")
    }
}

impl From<progenitor_client::Error<ErrorEnvelope>> for Failure {
    fn from(error: progenitor_client::Error<ErrorEnvelope>) -> Self {
        match error {
            progenitor_client::Error::ErrorResponse(answer) => {
                let (status, retry_after) = (answer.status().as_u16(), retry_after(answer.headers()));
                let error = answer.into_inner().error;
                if error.code == NOT_AN_ENVELOPE {
                    return Self::HttpStatus { status, reason: error.message, retry_after };
                }
                Self::Envelope {
                    status,
                    code: error.code,
                    message: error.message,
                    details: error.details.unwrap_or_default(),
                    retryable: error.retryable.unwrap_or_else(|| is_transient(status)),
                    retry_after,
                }
            }
            // The token endpoint's status is not the service's: its 404 does not
            // mean that the service does not know something.
            progenitor_client::Error::Custom(reason) => Self::NotSent(NotSent::NoToken { reason }),
            progenitor_client::Error::CommunicationError(error) => {
                if error.is_connect() {
                    return Self::NotSent(NotSent::NoConnection);
                }
                let reason =
                    if error.is_timeout() { "no answer in time" } else { "the connection broke off" };
                Self::NoResponse { reason: reason.to_owned() }
            }
            progenitor_client::Error::ResponseBodyError(error) => match bounded::limit_broken(&error) {
                Some(limit) => Self::TooLarge { limit },
                None => Self::NoResponse { reason: "the answer broke off".to_owned() },
            },
            progenitor_client::Error::InvalidResponsePayload(_, error) => {
                Self::Malformed { reason: format!("the answer cannot be read: {error}") }
            }
            progenitor_client::Error::UnexpectedResponse(answer) => {
                let status = answer.status();
                let reason = format!("unexpected status {status}");
                Self::HttpStatus { status: status.as_u16(), reason, retry_after: None }
            }
            progenitor_client::Error::InvalidRequest(reason) => Self::NotSent(NotSent::Invalid { reason }),
            progenitor_client::Error::InvalidUpgrade(_) => {
                Self::NoResponse { reason: "unexpected upgrade".to_owned() }
            }
        }
    }
}

/// Statuses after which the same request may succeed.
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 502..=504)
}

/// The wait that `Retry-After` asks for: seconds, or a date, which is read by
/// the clock of its sender.
fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let given = text(http::header::RETRY_AFTER)?;
    if let Ok(seconds) = given.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text| chrono::DateTime::parse_from_rfc2822(text).ok();
    let wait = date(given)? - date(text(http::header::DATE)?)?;
    Some(wait.to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::{
        HeaderMap, HeaderName,
        header::{DATE, RETRY_AFTER},
    };

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_its_senders_clock() {
        const NOW: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
        type Headers = &'static [(HeaderName, &'static str)];
        let cases: [(Headers, Option<u64>); 8] = [
            (&[], None),
            (&[(RETRY_AFTER, "7")], Some(7)),
            (&[(RETRY_AFTER, " 0 ")], Some(0)),
            (&[(RETRY_AFTER, "soon")], None),
            (&[(RETRY_AFTER, "-1")], None),
            (&[(RETRY_AFTER, "Wed, 21 Oct 2015 07:29:30 GMT"), (DATE, NOW)], Some(90)),
            (&[(RETRY_AFTER, "Wed, 21 Oct 2015 07:00:00 GMT"), (DATE, NOW)], Some(0)),
            (&[(RETRY_AFTER, "Wed, 21 Oct 2015 07:29:30 GMT")], None),
        ];
        for (headers, seconds) in cases {
            let map: HeaderMap =
                headers.iter().map(|(name, text)| (name.clone(), text.parse().expect("a value"))).collect();
            assert_eq!(retry_after(&map), seconds.map(Duration::from_secs), "{headers:?}");
        }
    }

    /// Code, message, status and whether to try again, as contract §17.1 has
    /// them.
    #[test]
    fn each_failure_has_its_code_message_and_status() {
        use Service::{ArtifactStore, AtomicExecutor, Pdp};

        let reason = || "why".to_owned();
        let status = |status| Failure::HttpStatus { status, reason: reason(), retry_after: None };
        let own = |retryable| Failure::Envelope {
            status: 503,
            code: "busy".into(),
            message: "Busy".into(),
            details: [("error", "why".into())].into(),
            retryable,
            retry_after: None,
        };
        let too_large = || Failure::TooLarge { limit: Limit::Bytes(7) };
        let malformed = || Failure::Malformed { reason: reason() };
        let not_sent = Failure::NotSent;
        let failed = "PDP request failed";
        let no_token = NotSent::NoToken { reason: reason() };
        for (service, failure, code, message, status, retryable) in [
            (Pdp, not_sent(NotSent::NoConnection), "pdp_unavailable", failed, None, true),
            (Pdp, not_sent(no_token), "token_request_failed", "PDP token request failed", None, true),
            (Pdp, not_sent(NotSent::Invalid { reason: reason() }), "pdp_unavailable", failed, None, false),
            (Pdp, Failure::NoResponse { reason: reason() }, "pdp_unavailable", failed, None, true),
            (Pdp, status(302), "pdp_unavailable", failed, Some(302), true),
            (Pdp, status(404), "pdp_unavailable", failed, Some(404), false),
            (Pdp, status(500), "pdp_unavailable", failed, Some(500), false),
            (Pdp, status(502), "pdp_unavailable", failed, Some(502), true),
            (Pdp, own(true), "busy", "Busy", Some(503), true),
            (Pdp, own(false), "busy", "Busy", Some(503), false),
            (Pdp, malformed(), "pdp_unavailable", failed, Some(200), false),
            (Pdp, too_large(), "pdp_unavailable", failed, Some(200), false),
            (
                AtomicExecutor,
                too_large(),
                "atomic_executor_invalid_result",
                "Atomic Executor answered with more than 7 bytes",
                Some(200),
                false,
            ),
            (
                ArtifactStore,
                malformed(),
                "artifact_store_error",
                "Artifact Store request failed",
                Some(200),
                false,
            ),
        ] {
            let error = CallError::new(service, failure);
            assert_eq!((&*error.code(), &*error.message()), (code, message), "{error:?}");
            assert_eq!((error.status(), error.retryable()), (status, retryable), "{error:?}");
            let recorded = error.clone().into_error();
            assert_eq!((&*recorded.code, recorded.retryable), (code, Some(retryable)), "{error:?}");
        }
    }
}
