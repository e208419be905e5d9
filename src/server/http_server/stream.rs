//! Event streams: newline-delimited JSON (contract §13).
//!
//! A line is taken from the coordinator when the connection has room for it, so
//! a slow reader costs a few lines of memory, not a backlog. Closing the
//! connection drops the stream.

use std::{future::Future, task::Poll};

use async_trait::async_trait;
use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use dropshot::{
    ApiEndpointBodyContentType, ApiEndpointResponse, Body, ExtensionMode, ExtractorMetadata, HttpError,
    HttpResponse, HttpResponseOk, RequestContext, ServerContext, SharedExtractor,
};
use futures::{StreamExt, stream};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::StreamBody;
use hyper::body::Frame;
use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{connections::Streamed, errors::ApiError, limits::StreamPermit, request_scope};
use crate::{
    coordinator::{EventLines, StreamOptions},
    journal::{JournalError, Pieces},
};

/// An answer that consists of lines.
pub(crate) struct Ndjson(Body);

impl Ndjson {
    /// A stream that follows ends when the server begins to stop, because the
    /// server waits for open connections; its reader sees that the run has not
    /// ended, since there was no `run_completed`. Any other stream ends by itself
    /// and is not cut short: its reader takes it for complete.
    ///
    /// The permit is held until the reader has received everything or is gone.
    pub(crate) fn new(
        lines: EventLines,
        follow: bool,
        stopping: &CancellationToken,
        permit: StreamPermit,
    ) -> Self {
        let frames = lines.map(move |line| {
            let _held = &permit;
            line.map(Frame::data)
        });
        Self(if follow {
            Body::wrap(StreamBody::new(frames.take_until(stopping.clone().cancelled_owned())))
        } else {
            Body::wrap(StreamBody::new(frames))
        })
    }
}

impl Ndjson {
    /// Lines that are complete only as a whole. They are broken off when the server
    /// begins to stop: it does not wait for a slow reader, who would take a clean end
    /// for that of the whole.
    pub(crate) fn whole(mut pieces: Pieces, stopping: &CancellationToken, permit: StreamPermit) -> Self {
        let mut stopping = Some(Box::pin(stopping.clone().cancelled_owned()));
        Self(Body::wrap(StreamBody::new(stream::poll_fn(move |cx| {
            let _held = &permit;
            let Some(stops) = &mut stopping else { return Poll::Ready(None) };
            if stops.as_mut().poll(cx).is_ready() {
                stopping = None;
                return Poll::Ready(Some(Err(JournalError::Failed("the server is stopping".into()))));
            }
            pieces.as_mut().poll_next(cx).map_ok(Frame::data)
        }))))
    }
}

/// Dropshot documents every body as JSON. This schema marks the bodies that are
/// lines; `openapi` replaces it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Ndjson")]
struct Lines(String);

impl HttpResponse for Ndjson {
    fn to_result(self) -> Result<Response<Body>, HttpError> {
        let mut response = Response::new(self.0);
        let content_type = HeaderValue::from_static(dropshot::CONTENT_TYPE_NDJSON);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response.extensions_mut().insert(Streamed);
        Ok(response)
    }

    fn response_metadata() -> ApiEndpointResponse {
        HttpResponseOk::<Lines>::response_metadata()
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::OK
    }
}

/// The part of a stream that is requested, in the query parameters of the JARVIS
/// Event Stream (contract §15). The standard has none, so they are not in the
/// document; unknown parameters are ignored.
pub(crate) struct StreamQuery(pub(crate) StreamOptions);

#[async_trait]
impl SharedExtractor for StreamQuery {
    async fn from_request<C: ServerContext>(rqctx: &RequestContext<C>) -> Result<Self, HttpError> {
        let query = rqctx.request.uri().query().unwrap_or_default();
        read(query).map(Self).map_err(|error| request_scope::refuse(&error))
    }

    fn metadata(_: ApiEndpointBodyContentType) -> ExtractorMetadata {
        ExtractorMetadata { extension_mode: ExtensionMode::None, parameters: Vec::new() }
    }
}

/// Accepts padded (as Python writes it) and unpadded cursors.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const MAX_LIMIT: u64 = 10_000;

pub(super) fn read(query: &str) -> Result<StreamOptions, ApiError> {
    let mut options = StreamOptions::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let wrong = |kind, message: &str| ApiError::invalid_at(kind, &["query", &name], message);
        match &*name {
            "cursor" => {
                options.after = read_cursor(&value).ok_or_else(|| wrong("value_error", "Invalid cursor."))?;
            }
            "limit" => {
                let limit: u64 =
                    value.parse().map_err(|_| wrong("int_parsing", "Input should be a valid integer"))?;
                if limit < 1 {
                    return Err(wrong("greater_than_equal", "Input should be greater than or equal to 1"));
                }
                if limit > MAX_LIMIT {
                    return Err(wrong("less_than_equal", "Input should be less than or equal to 10000"));
                }
                options.limit = Some(limit);
            }
            "follow" => {
                options.follow = match &*value {
                    "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(wrong("bool_parsing", "Input should be a valid boolean")),
                }
            }
            _ => (),
        }
    }
    Ok(options)
}

/// Decodes a cursor: the decimal `seq` of the last event seen, in base64.
fn read_cursor(text: &str) -> Option<u64> {
    let decimal = String::from_utf8(BASE64.decode(text).ok()?).ok()?;
    decimal.bytes().all(|byte| byte.is_ascii_digit()).then(|| decimal.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_parsed() {
        for (query, after, limit, follow) in [
            ("", 0, None, false),
            ("cursor=MTI=", 12, None, false),
            ("cursor=MTI%3D", 12, None, false),
            ("cursor=MTI", 12, None, false),
            ("limit=1", 0, Some(1), false),
            ("limit=10000&follow=1", 0, Some(10_000), true),
            ("follow=true&follow=false", 0, None, false),
            ("other=x", 0, None, false),
        ] {
            let options = read(query).expect(query);
            assert_eq!((options.after, options.limit, options.follow), (after, limit, follow), "{query}");
        }
    }

    #[test]
    fn invalid_query_parameters_are_named() {
        for (query, name, word) in [
            ("cursor=12", "cursor", "value_error"),
            ("cursor=", "cursor", "value_error"),
            ("cursor=*", "cursor", "value_error"),
            ("cursor=KzE", "cursor", "value_error"), // "+1"
            ("limit=0", "limit", "greater_than_equal"),
            ("limit=10001", "limit", "less_than_equal"),
            ("limit=x", "limit", "int_parsing"),
            ("limit=", "limit", "int_parsing"),
            ("follow=yes", "follow", "bool_parsing"),
        ] {
            let error = serde_json::to_value(read(query).expect_err(query)).unwrap();
            let error = &error["error"]["details"]["errors"][0];
            assert_eq!(error["loc"], serde_json::json!(["query", name]), "{query}");
            assert_eq!(error["type"], word, "{query}");
        }
    }
}
