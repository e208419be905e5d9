//! What can go wrong with a call, in one shape (contract §17.1).

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::{
    Service,
    bounded::{self, Limit},
};
use crate::types::{Error, ErrorEnvelope, JSON_LEVELS_MAX, JsonObject};

/// A call to another service that did not give what was asked for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.in_a_line())]
pub struct CallError {
    /// The service's own code, or `<service>_unavailable`.
    pub code: String,
    pub message: String,
    pub details: JsonObject,
    /// None if no answer came.
    pub status: Option<u16>,
    /// The connection was never made: the service has not begun anything.
    pub never_sent: bool,
    /// The service's own words, not those of something in between.
    pub spoken: bool,
    pub retryable: bool,
    /// So long the service wants to be left alone (`Retry-After`).
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// From what the generated client says.
    pub fn new(service: Service, error: progenitor_client::Error<ErrorEnvelope>) -> Self {
        let status = error.status().map(|status| status.as_u16());
        let retryable = error.is_retryable();
        match error {
            progenitor_client::Error::ErrorResponse(answer) => {
                let retry_after = retry_after(answer.headers());
                let error = answer.into_inner().error;
                if error.code == NOT_AN_ENVELOPE {
                    let unavailable = Self::unavailable(service, &error.message);
                    return Self { status, retryable, retry_after, ..unavailable };
                }
                Self {
                    code: error.code,
                    message: error.message,
                    details: error.details.unwrap_or_default(),
                    status,
                    never_sent: false,
                    spoken: true,
                    retryable: error.retryable.unwrap_or(retryable),
                    retry_after,
                }
            }
            progenitor_client::Error::Custom(reason) => Self {
                code: TOKEN_REQUEST_FAILED.into(),
                message: format!("{} token request failed", service.label()),
                details: reason_only(&reason),
                // The token endpoint's status is not the service's: its 404
                // does not mean that the service does not know something.
                status: None,
                never_sent: true,
                spoken: false,
                // Whatever it is, it is no fault of the request.
                retryable: true,
                retry_after: None,
            },
            progenitor_client::Error::CommunicationError(error) => {
                let reason = if error.is_connect() {
                    "the connection could not be made"
                } else if error.is_timeout() {
                    "no answer in time"
                } else {
                    "the connection broke off"
                };
                Self { never_sent: error.is_connect(), ..Self::unavailable(service, reason) }
            }
            progenitor_client::Error::ResponseBodyError(error) => match bounded::limit_broken(&error) {
                Some(limit) => Self::too_much(service, limit),
                None => Self::unavailable(service, "the answer broke off"),
            },
            progenitor_client::Error::InvalidResponsePayload(_, error) => Self {
                status: Some(200),
                retryable: false,
                ..Self::unavailable(service, &format!("the answer makes no sense: {error}"))
            },
            progenitor_client::Error::UnexpectedResponse(answer) => Self {
                status,
                ..Self::unavailable(service, &format!("unexpected status {}", answer.status()))
            },
            progenitor_client::Error::InvalidRequest(reason) => {
                Self { never_sent: true, retryable: false, ..Self::unavailable(service, &reason) }
            }
            progenitor_client::Error::InvalidUpgrade(_) => Self::unavailable(service, "unexpected upgrade"),
        }
    }

    /// No answer came, or none that can be read.
    pub fn unavailable(service: Service, reason: &str) -> Self {
        Self {
            code: format!("{}_unavailable", service.name()),
            message: format!("{} request failed", service.label()),
            details: reason_only(reason),
            status: None,
            never_sent: false,
            spoken: false,
            retryable: true,
            retry_after: None,
        }
    }

    /// An answer that was not read to its end, or not looked into. It is whole
    /// where it came from: asking again would bring it again.
    fn too_much(service: Service, limit: Limit) -> Self {
        let unavailable = Self::unavailable(service, &format!("the answer has {limit}"));
        let error = Self { status: Some(200), retryable: false, ..unavailable };
        match service {
            Service::AtomicExecutor => Self {
                code: "atomic_executor_invalid_result".into(),
                message: format!("{} answered with {limit}", service.label()),
                details: JsonObject::new(),
                ..error
            },
            Service::ArtifactStore
            | Service::CompositeExecutor
            | Service::EventStream
            | Service::NodeRegistry
            | Service::Pdp
            | Service::RunCoordinator
            | Service::RunStore
            | Service::Selection => error,
        }
    }

    /// It says something about the service: it was asked, or could not be.
    pub fn is_about_the_service(&self) -> bool {
        self.code != TOKEN_REQUEST_FAILED
    }

    /// For a person who knows what was asked of whom.
    fn in_a_line(&self) -> String {
        let Self { code, message, details, status, .. } = self;
        match (status, details.text("error")) {
            (Some(status), _) => format!("{status} {code}: {message}"),
            (None, Some(reason)) => format!("{code}: {message}: {reason}"),
            (None, None) => format!("{code}: {message}"),
        }
    }

    /// As it is recorded with a NodeRun.
    pub fn into_error(self) -> Error {
        Error {
            details: (!self.details.is_empty()).then_some(self.details),
            retryable: Some(self.retryable),
            ..Error::new(&self.code, self.message)
        }
    }
}

/// The service was not even looked for: there is no token for it.
const TOKEN_REQUEST_FAILED: &str = "token_request_failed";

/// What `Retry-After` says: seconds, or a date, which is read by the clock of
/// whoever sent it.
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

fn reason_only(reason: &str) -> JsonObject {
    [("error", reason.into())].into()
}

/// The code of an envelope that we made ourselves: no service says this.
const NOT_AN_ENVELOPE: &str = "";

/// How services built with FastAPI report a failure.
#[derive(Deserialize)]
struct Detail {
    detail: String,
}

/// What is read of an answer that tells of a failure.
const FAILURE_BYTES: usize = 1 << 20;

/// Whatever a service, or a proxy in front of it, answers on failure becomes an
/// ARP envelope of the same status: progenitor would report a body that it
/// cannot read, and forget the status.
pub(super) async fn as_envelope(answer: reqwest::Response) -> reqwest::Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let headers = answer.headers().clone();
    let body = match bounded::json(answer, FAILURE_BYTES, JSON_LEVELS_MAX).bytes().await {
        // Nobody has that much to say about a failure: its status has to do.
        Err(error) if bounded::limit_broken(&error).is_some() => bytes::Bytes::new(),
        body => body?,
    };
    let body = match serde_json::from_slice::<ErrorEnvelope>(&body) {
        Ok(_) => body,
        Err(_) => {
            // The JARVIS stores say {"detail": "…"}; a proxy says anything.
            let detail = serde_json::from_slice::<Detail>(&body);
            let message =
                detail.map_or_else(|_| format!("HTTP status {}", status.as_u16()), |body| body.detail);
            json!({"error": {"code": NOT_AN_ENVELOPE, "message": message}}).to_string().into()
        }
    };
    let mut envelope = http::Response::new(body);
    *envelope.status_mut() = status;
    *envelope.headers_mut() = headers;
    envelope.headers_mut().remove(http::header::CONTENT_LENGTH);
    Ok(envelope.into())
}

#[cfg(test)]
mod tests {
    use http::{
        HeaderMap, HeaderName,
        header::{DATE, RETRY_AFTER},
    };

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_clock_of_its_sender() {
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
}
