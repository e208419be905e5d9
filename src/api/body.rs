//! Bodies of requests: read within the limit, parsed strictly, checked
//! against the schema of their type (contract §3.1, §3.2).
//!
//! ```text
//! content type ──> bytes ──> JSON value ──> shape ──> T ──> endpoint
//!     │ 400          │ 413      │ 400         │ 400    │ 400
//! ```
//!
//! Dropshot's own `TypedBody` stops at the first error, says it in serde's
//! words, answers 400 to what is too large (having read it all), and overlooks
//! bytes after the body.

use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;
use dropshot::{
    ApiEndpointBodyContentType, Body, ExclusiveExtractor, ExtractorMetadata, HttpError, RequestContext,
    ServerContext, TypedBody,
};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::{errors::ApiError, shape::Shape, visit};
use crate::{
    coordinator::{FieldError, Step},
    model::{NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunsCreateRequest, RunStartRequest},
};

/// A type that requests have as their body.
pub(super) trait RequestBody: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    fn shape() -> &'static Shape;
}

macro_rules! request_bodies {
    ($($body:ty),+ $(,)?) => {$(
        impl RequestBody for $body {
            fn shape() -> &'static Shape {
                static SHAPE: LazyLock<Shape> = LazyLock::new(Shape::of::<$body>);
                &SHAPE
            }
        }
    )+};
}

request_bodies! {
    NodeRunCompleteRequest,
    NodeRunEvaluationReportRequest,
    NodeRunsCreateRequest,
    RunStartRequest,
}

/// The body of a request, which is a good `T`.
pub(super) struct Json<T>(pub(super) T);

#[async_trait]
impl<T: RequestBody> ExclusiveExtractor for Json<T> {
    async fn from_request<C: ServerContext>(
        rqctx: &RequestContext<C>,
        request: hyper::Request<Body>,
    ) -> Result<Self, HttpError> {
        let limit = rqctx.request_body_max_bytes();
        let body = receive(request, limit).await.and_then(|bytes| parse(&bytes));
        body.map(Self).map_err(|error| visit::refuse(&error))
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        <TypedBody<T> as ExclusiveExtractor>::metadata(content_type)
    }
}

async fn receive(request: hyper::Request<Body>, limit: usize) -> Result<Bytes, ApiError> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        let message = "Content-Type should be application/json or application/*+json";
        return Err(invalid("content_type", &["header", "content-type"], message));
    }
    let body = Limited::new(body, limit).collect();
    let body = match visit::patience() {
        Some(patience) => patience.wait_for(body).await?,
        None => body.await,
    };
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit)),
        // The connection is broken: nobody reads this.
        Err(_) => Err(invalid("incomplete", &["body"], "The request body ended too early")),
    }
}

/// `application/json` or `application/<x>+json`, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/").unwrap_or_default();
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(|prefix| !prefix.is_empty())
}

pub(super) fn parse<T: RequestBody>(bytes: &[u8]) -> Result<T, ApiError> {
    parse_as(T::shape(), bytes)
}

/// A body of this type, as the door would read it if the API had such a body:
/// for tests of the types.
#[cfg(any(test, feature = "test-util"))]
pub fn read_strictly<T: DeserializeOwned + JsonSchema>(bytes: &[u8]) -> Result<T, ApiError> {
    parse_as(&Shape::of::<T>(), bytes)
}

fn parse_as<T: DeserializeOwned>(shape: &Shape, bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(invalid("missing", &["body"], "Field required"));
    }
    // serde_json refuses what is not JSON: NaN, 1e999, lone surrogates, bytes
    // after the end, more than 128 levels.
    let mut value: Value = serde_json::from_slice(bytes).map_err(|error| {
        let location = vec!["body".into(), offset_of(bytes, error.line(), error.column()).into()];
        ApiError::invalid(vec![FieldError {
            kind: "json_invalid",
            location,
            message: "JSON decode error".into(),
        }])
    })?;
    let errors = shape.check(&mut value);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    // What has the right shape is a T; if a T is ever pickier, say so properly.
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut location = vec![Step::from("body")];
        location.extend(error.path().iter().filter_map(|segment| match segment {
            Segment::Seq { index } => Some((*index).into()),
            Segment::Map { key: name } | Segment::Enum { variant: name } => Some(name.as_str().into()),
            Segment::Unknown => None,
        }));
        let message = "Value is not acceptable".into();
        ApiError::invalid(vec![FieldError { kind: "value_error", location, message }])
    })
}

/// serde_json counts lines and columns from 1, pydantic bytes from 0.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// One error, and it is this one.
pub(super) fn invalid(kind: &'static str, location: &[&str], message: &str) -> ApiError {
    let location = location.iter().map(|&step| step.into()).collect();
    ApiError::invalid(vec![FieldError { kind, location, message: message.into() }])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GOOD: &str = r#"{"root_node_type_ref": {"node_type_id": "n", "version": "1"}, "input": {}}"#;

    fn refusal(bytes: &[u8]) -> Value {
        let error = parse::<RunStartRequest>(bytes).expect_err(&String::from_utf8_lossy(bytes));
        let envelope = serde_json::to_value(error).unwrap();
        assert_eq!(envelope["error"]["code"], "invalid_request");
        envelope["error"]["details"]["errors"][0].clone()
    }

    #[test]
    fn content_types_are_those_of_the_contract() {
        for (content_type, good) in [
            ("application/json", true),
            ("Application/JSON", true),
            ("application/json; charset=latin-1", true),
            ("application/json;x", true),
            ("application/problem+json", true),
            ("application/+json", false),
            ("application/jsonx", false),
            ("text/json", false),
            ("application/x-www-form-urlencoded", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]);
            assert_eq!(is_json(&headers), good, "{content_type}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_offset() {
        let input = |value: &str| GOOD.replace("\"input\": {}", &format!("\"input\": {{\"x\": {value}}}"));
        let deep = input(&format!("{}1{}", "[".repeat(200), "]".repeat(200)));
        for bytes in [
            input("NaN"),
            input("-Infinity"),
            input("1e999"),
            input(r#""\ud800""#),
            input("01"),
            input("'x'"),
            deep,
            format!("{GOOD} {{}}"),
            format!("{GOOD}x"),
            "{".into(),
        ] {
            let error = refusal(bytes.as_bytes());
            assert_eq!(error["type"], "json_invalid", "{bytes}");
            assert!(error["loc"][1].is_u64(), "{error}");
        }
        assert_eq!(refusal(b"{\n  \"a\": x}")["loc"], json!(["body", 9]));
        assert_eq!(refusal(b"{\"a\": \"\xff\"}")["type"], "json_invalid");
        assert_eq!(refusal(b"")["type"], "missing");
    }

    #[test]
    fn a_good_body_is_read_as_meant() {
        let text = GOOD.replace(
            "\"input\": {}",
            r#""run_id": "first", "run_id": "last", "metadata": null,
               "input": {"keep": null, "big": 123456789012345678901234567890},
               "constraints": {"structural": {"max_depth": 123456789012345678901234567890}}"#,
        );
        let request: RunStartRequest = parse(text.as_bytes()).unwrap();
        assert_eq!(request.run_id.unwrap().as_str(), "last");
        assert_eq!(request.metadata, None);
        assert!(request.input["keep"].is_null());
        assert_eq!(request.constraints.unwrap().structural.unwrap().max_depth, Some(u64::MAX));
    }

    #[test]
    fn errors_do_not_echo_values() {
        let text = GOOD.replace("\"input\": {}", r#""input": "secret", "run_id": {"secret": "secret"}"#);
        let error = parse::<RunStartRequest>(text.as_bytes()).unwrap_err();
        assert!(!serde_json::to_string(&error).unwrap().contains("secret"));
    }
}
