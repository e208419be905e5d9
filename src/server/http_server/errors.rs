//! Every failure as the caller sees it: one envelope, whatever its cause.
//!
//! ```text
//! CoordinatorError ─┐
//! AuthError        ─┼─> ApiError ──> status + headers + {"error": {code, message, …}}
//! dropshot's own   ─┘        └─────> the log: the internal message
//! ```
//!
//! **Invariant:** the internal message never leaves the process; of the
//! caller's input, only names of members are echoed.
//!
//! How an endpoint's error passes dropshot unharmed: see `request_scope`.

use std::{
    fmt,
    time::{Duration, Instant},
};

use dropshot::{Body, ErrorStatusCode, HttpError};
use http::{
    HeaderMap, HeaderValue, Response,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use schemars::{JsonSchema, r#gen::SchemaGenerator, schema::Schema};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use slog::Logger;

use super::{
    folds::{Folds, Kind},
    hosts::Foreign,
};
use crate::{
    auth::AuthError,
    coordinator::{CoordinatorError, FieldError, Step},
    journal::JournalError,
    types::{Error, ErrorEnvelope},
};

const OVERLOADED: &str = "overloaded";

/// A failed request: status, headers and envelope for the caller, and a message
/// for the log.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Failure>);

/// A limit that is reached, and when to try again.
#[derive(Clone, Copy, Debug)]
pub(super) struct LimitReached {
    pub(super) name: &'static str,
    pub(super) value: usize,
    pub(super) unit: &'static str,
    pub(super) wait: Duration,
}

#[derive(Clone, Debug)]
struct Failure {
    status: ErrorStatusCode,
    headers: HeaderMap,
    envelope: ErrorEnvelope,
    /// For the log only.
    internal: Option<String>,
    /// The cause has been logged where it was found.
    is_logged: bool,
}

impl ApiError {
    fn new(status: ErrorStatusCode, code: &str, message: impl Into<String>, retryable: Option<bool>) -> Self {
        let error = Error { retryable, ..Error::new(code, message) };
        let envelope = ErrorEnvelope { error, extensions: None };
        Self(Box::new(Failure {
            status,
            headers: HeaderMap::new(),
            envelope,
            internal: None,
            is_logged: false,
        }))
    }

    /// Makes a 500. `why` is for the log.
    pub(crate) fn internal(why: impl Into<String>) -> Self {
        Self::new(ErrorStatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Internal server error", None)
            .with_internal(why)
    }

    /// Makes a 400 that lists what is wrong with the request, and where (contract
    /// §3.6).
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        CoordinatorError::Invalid(errors).into()
    }

    /// Makes a 400 with a single error.
    pub(crate) fn invalid_at(kind: &'static str, location: &[&str], message: &str) -> Self {
        let location = location.iter().map(|&step| step.into()).collect();
        Self::invalid(vec![FieldError { kind, location, message: message.into() }])
    }

    pub(super) fn unauthorized(refusal: &AuthError) -> Self {
        let AuthError { error, message } = refusal;
        let challenge = format!("Bearer error=\"{error}\", error_description=\"{message}\"");
        let mut api_error = Self::new(ErrorStatusCode::UNAUTHORIZED, "unauthorized", *message, None);
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            api_error.0.headers.insert(WWW_AUTHENTICATE, challenge);
        }
        api_error
    }

    /// Makes a 403 for a request under a name that is not the server's, or of a page
    /// that is not.
    pub(super) fn foreign(foreign: Foreign) -> Self {
        Self::new(ErrorStatusCode::FORBIDDEN, foreign.code(), foreign.message(), Some(false))
    }

    /// Makes a 503 for a probe: these checks are down. It is in the health report,
    /// and not logged for every probe.
    pub(super) fn not_ready(why: &str, checks: &[String]) -> Self {
        let mut error = Self::new(ErrorStatusCode::SERVICE_UNAVAILABLE, "not_ready", why, Some(true));
        if !checks.is_empty() {
            error.0.envelope.error.details = Some([("checks", json!(checks))].into());
        }
        error.0.is_logged = true;
        error
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("The request body is larger than {limit} bytes");
        Self::new(ErrorStatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message, Some(false))
    }

    /// Makes a 408. The connection is closed, because the rest of the body would
    /// be taken for the next request.
    pub(super) fn body_too_slow(limit: Duration) -> Self {
        let message = format!("The request body did not arrive within {} s", limit.as_secs_f64());
        Self::new(ErrorStatusCode::REQUEST_TIMEOUT, "request_timeout", message, Some(true)).closing()
    }

    /// Makes a 503: a limit of the server is reached.
    pub(super) fn overloaded(limit: LimitReached) -> Self {
        Self::at_limit(ErrorStatusCode::SERVICE_UNAVAILABLE, OVERLOADED, limit)
    }

    /// Makes a 429: a limit of the caller is reached.
    pub(super) fn rate_limited(limit: LimitReached) -> Self {
        Self::at_limit(ErrorStatusCode::TOO_MANY_REQUESTS, "rate_limited", limit)
    }

    fn at_limit(status: ErrorStatusCode, code: &str, limit: LimitReached) -> Self {
        let LimitReached { name, value, unit, wait } = limit;
        let message = format!("The limit of {value} {unit} is reached: try again later");
        let mut error = Self::new(status, code, message, Some(true));
        let limit = json!({ "name": name, "value": value, "unit": unit });
        error.0.envelope.error.details = Some([("limit", limit)].into());
        // Rounded up: earlier would be refused again.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        error.0.headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        error
    }

    /// Closes the connection after this answer.
    pub(super) fn closing(mut self) -> Self {
        self.0.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        self
    }

    pub(crate) fn no_such_route() -> Self {
        Self::new(ErrorStatusCode::NOT_FOUND, "http_error", "Not Found", Some(false))
    }

    /// Adds to the details of a 404 what was probably meant.
    pub(super) fn hinting(mut self, hint: String) -> Self {
        if self.0.status == ErrorStatusCode::NOT_FOUND {
            self.0.envelope.error.details = Some([("hint", hint.into())].into());
        }
        self
    }

    #[cfg(test)]
    pub(super) fn into_envelope(self) -> ErrorEnvelope {
        self.0.envelope
    }

    /// Adds `method` to the `Allow` header of a 405.
    pub(super) fn allowing(mut self, method: &'static str) -> Self {
        if self.0.status == ErrorStatusCode::METHOD_NOT_ALLOWED {
            self.0.headers.append(ALLOW, HeaderValue::from_static(method));
        }
        self
    }

    fn with_internal(mut self, why: impl Into<String>) -> Self {
        self.0.internal = Some(why.into());
        self
    }

    /// Logs the coordinator's own failures, and refusals for which there is a limit
    /// or a record in the way. What else is wrong with a request is its caller's.
    pub(super) fn record(&self, operation: &'static str, folds: &Folds, log: &Logger) {
        let Failure { status, envelope, is_logged, .. } = &*self.0;
        // `limits` logs overload, at a bounded rate.
        let is_logged = *is_logged || envelope.error.code == OVERLOADED;
        let is_of_interest = status.as_status().is_server_error() || *status == ErrorStatusCode::CONFLICT;
        if is_of_interest && !is_logged {
            let kind = Kind { operation, status: status.as_u16(), code: envelope.error.code.clone() };
            folds.note(kind, &self.to_string(), log, Instant::now());
        }
    }

    pub(super) fn status(&self) -> ErrorStatusCode {
        self.0.status
    }

    /// The whole answer as HTTP/1.1, for a connection that is closed without
    /// waiting for a request.
    pub(super) fn on_the_wire(&self) -> Vec<u8> {
        let response = self.clone().closing().into_response();
        let body = serde_json::to_vec(&self.0.envelope).unwrap_or_default();
        let mut bytes =
            format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", response.status(), body.len()).into_bytes();
        for (name, value) in response.headers() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&body);
        bytes
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let Failure { status, headers, envelope, internal: _, is_logged: _ } = *self.0;
        // The envelope is strings and JSON values: this cannot fail.
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status.as_status();
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(dropshot::CONTENT_TYPE_JSON));
        response
    }
}

impl From<CoordinatorError> for ApiError {
    fn from(error: CoordinatorError) -> Self {
        if let CoordinatorError::AssignmentEnded = error {
            return Self::unauthorized(&AuthError::ASSIGNMENT_ENDED);
        }
        if let CoordinatorError::Unauthenticated = error {
            return Self::unauthorized(&AuthError::MISSING);
        }
        let facts = error.facts();
        let status =
            ErrorStatusCode::from_u16(facts.status).unwrap_or(ErrorStatusCode::INTERNAL_SERVER_ERROR);
        let mut api_error = Self::new(status, facts.code, error.to_string(), facts.retryable);
        api_error.0.internal = error.internal();
        api_error.0.is_logged =
            matches!(error, CoordinatorError::Journal(JournalError::Full(_) | JournalError::Reserved));
        if let CoordinatorError::Invalid(errors)
        | CoordinatorError::InputSchema(errors)
        | CoordinatorError::SchemaUnusable(errors) = &error
        {
            let errors = errors.iter().map(field_error).collect();
            api_error.0.envelope.error.details = Some([("errors", errors)].into());
        }
        api_error
    }
}

/// Writes an error as pydantic does, but without `input`.
fn field_error(error: &FieldError) -> Value {
    let step = |step: &Step| match step {
        Step::Member(name) => json!(name),
        Step::Index(index) => json!(index),
    };
    let location: Vec<Value> = error.location.iter().map(step).collect();
    json!({ "type": error.kind, "loc": location, "msg": error.message })
}

/// Dropshot's own failures. Their messages are for the log, because they
/// describe its internals.
impl From<HttpError> for ApiError {
    fn from(error: HttpError) -> Self {
        let status = error.status_code;
        let mut api_error = if status == ErrorStatusCode::NOT_FOUND {
            Self::no_such_route()
        } else if status == ErrorStatusCode::METHOD_NOT_ALLOWED {
            Self::new(status, "http_error", "Method Not Allowed", Some(false))
        } else if status.as_status().is_client_error() {
            Self::new(status, "invalid_request", "Request validation failed", Some(false))
        } else {
            Self::internal("")
        };
        if let Some(allow) = error.headers.as_ref().map(|headers| headers.get_all(ALLOW)) {
            for method in allow {
                api_error.0.headers.append(ALLOW, method.clone());
            }
        }
        api_error.with_internal(error.internal_message)
    }
}

/// The message for the log.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.internal.as_deref().unwrap_or(&self.0.envelope.error.message))
    }
}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.envelope.serialize(serializer)
    }
}

/// In the API document an error is its envelope.
impl JsonSchema for ApiError {
    fn schema_name() -> String {
        ErrorEnvelope::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ErrorEnvelope::json_schema(generator)
    }
}

#[cfg(test)]
mod tests;
