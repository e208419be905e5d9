//! Failures as ARP error envelopes, also those with another body.

use serde::Deserialize;
use serde_json::json;

use super::bounded;
use crate::types::{ErrorEnvelope, JSON_LEVELS_MAX};

/// The code of an envelope that was made here. No service uses it.
pub(super) const NOT_AN_ENVELOPE: &str = "";

/// How services built with FastAPI report a failure.
#[derive(Deserialize)]
struct Detail {
    detail: String,
}

/// The limit of a failure's body.
const FAILURE_BYTES: usize = 1 << 20;

/// Turns the body of a failure into an envelope, with the same status. The
/// generated clients would report a body that they cannot read, and lose the
/// status.
pub(super) async fn of_failure(answer: reqwest::Response) -> reqwest::Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let headers = answer.headers().clone();
    let body = match bounded::json(answer, FAILURE_BYTES, JSON_LEVELS_MAX).bytes().await {
        // No service describes a failure at such length: the status has to do.
        Err(error) if bounded::limit_broken(&error).is_some() => bytes::Bytes::new(),
        body => body?,
    };
    let body = match serde_json::from_slice::<ErrorEnvelope>(&body) {
        Ok(_) => body,
        Err(_) => {
            // The JARVIS stores answer {"detail": "…"}; a proxy answers anything.
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
