//! Reads the body of a request: within limits, strictly, and checked against the
//! schema of its type (contract §3.1, §3.2).
//!
//! ```text
//! content type ──▶ bytes ──▶ Tree ──▶ BodySchema ──▶ T ──▶ endpoint
//!     │ 400          │ 413    │ 400        │ 400     │ 400
//! ```
//!
//! The size, the levels of nesting, the number of JSON values, the length of a
//! string and the items of an array are limited: a small text can take much memory
//! once it is parsed.
//!
//! Dropshot's own `TypedBody` stops at the first error, reports it in serde's
//! words, answers 400 to bodies that are too large (after reading them), and
//! ignores bytes after the body.

use std::error::Error;

use async_trait::async_trait;
use dropshot::{
    ApiEndpointBodyContentType, Body, ExclusiveExtractor, ExtractorMetadata, HttpError, RequestContext,
    ServerContext, TypedBody,
};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::{
    body_timeout::BodyTimeout,
    errors::ApiError,
    front::BodyBounds,
    request_scope,
    schema_check::{BodySchema, MAX_NAME, Tree},
};
use crate::{
    coordinator::{FieldError, Step},
    types::{
        JSON_LEVELS_MAX, NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunsCreateRequest,
        RunStartRequest,
        json::bounds::{self, Bounds, Exceeded},
    },
};

/// The bounds of a body outside of a server: in tests.
const OUTSIDE: BodyBounds = BodyBounds { values: 200_000, string_bytes: usize::MAX, items: u64::MAX };

/// A type that is the body of a request.
pub(crate) trait RequestBody: DeserializeOwned + JsonSchema + Send + Sync + 'static {
    fn schema() -> &'static BodySchema;
}

/// Makes types the bodies of requests.
macro_rules! request_bodies {
    ($($body:ty),+ $(,)?) => {$(
        impl $crate::http_server::RequestBody for $body {
            fn schema() -> &'static $crate::http_server::BodySchema {
                static SCHEMA: std::sync::LazyLock<$crate::http_server::BodySchema> =
                    std::sync::LazyLock::new($crate::http_server::BodySchema::of::<$body>);
                &SCHEMA
            }
        }
    )+};
}

pub(crate) use request_bodies;

request_bodies! {
    NodeRunCompleteRequest,
    NodeRunEvaluationReportRequest,
    NodeRunsCreateRequest,
    RunStartRequest,
}

/// The body of a request, which is a valid `T`.
pub(crate) struct Json<T>(pub(crate) T);

#[async_trait]
impl<T: RequestBody> ExclusiveExtractor for Json<T> {
    async fn from_request<C: ServerContext>(
        rqctx: &RequestContext<C>,
        request: hyper::Request<Body>,
    ) -> Result<Self, HttpError> {
        let limit = rqctx.request_body_max_bytes();
        let limits = request_scope::body_limits();
        let bounds = limits.as_ref().map_or(OUTSIDE, |limits| limits.bounds);
        let timeout = limits.map(|limits| limits.timeout);
        let bytes = receive(request, limit, timeout).await;
        let body = bytes.and_then(|bytes| parse(&bytes, bounds));
        body.map(Self).map_err(|error| request_scope::refuse(&error))
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        <TypedBody<T> as ExclusiveExtractor>::metadata(content_type)
    }
}

/// Receives the bytes of a body, into one buffer as they arrive.
async fn receive(
    request: hyper::Request<Body>,
    limit: usize,
    timeout: Option<BodyTimeout>,
) -> Result<Vec<u8>, ApiError> {
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        let message = "Content-Type should be application/json or application/*+json";
        return Err(ApiError::invalid_at("content_type", &["header", "content-type"], message));
    }
    let body = async {
        let mut body = Limited::new(body, limit);
        // The Content-Length; memory for it is reserved once bytes arrive.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit);
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame?.into_data() else { continue };
            if bytes.is_empty() {
                bytes.reserve_exact(announced);
            }
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(bytes)
    };
    let body = match timeout {
        Some(timeout) => timeout.wait_for(body).await?,
        None => body.await,
    };
    match body {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(limit)),
        // The connection is broken: this answer will not arrive.
        Err(_) => Err(ApiError::invalid_at("incomplete", &["body"], "The request body ended too early")),
    }
}

/// Whether the content type is `application/json` or `application/<x>+json`,
/// with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = media_type.strip_prefix("application/").unwrap_or_default();
    subtype == "json" || subtype.strip_suffix("+json").is_some_and(|prefix| !prefix.is_empty())
}

/// Parses a body within these bounds.
pub(super) fn parse<T: RequestBody>(bytes: &[u8], bounds: BodyBounds) -> Result<T, ApiError> {
    parse_as(T::schema(), bytes, bounds)
}

/// Parses any type as the API parses its bodies, for tests of the types.
#[cfg(any(test, feature = "test-util"))]
pub fn read_strictly<T: DeserializeOwned + JsonSchema>(bytes: &[u8]) -> Result<T, ApiError> {
    parse_as(&BodySchema::of::<T>(), bytes, OUTSIDE)
}

fn parse_as<T: DeserializeOwned>(
    schema: &BodySchema,
    bytes: &[u8],
    within: BodyBounds,
) -> Result<T, ApiError> {
    if bytes.is_empty() {
        return Err(ApiError::invalid_at("missing", &["body"], "Field required"));
    }
    // serde_json refuses NaN, 1e999, lone surrogates, and bytes after the end.
    let bounds =
        Bounds::new(JSON_LEVELS_MAX, within.values).string_bytes(within.string_bytes).items(within.items);
    let mut value = Tree::read(schema, bytes, &bounds).map_err(|error| {
        let offset = || vec!["body".into(), offset_of(bytes, error.line(), error.column()).into()];
        ApiError::invalid(vec![match bounds.exceeded() {
            None => FieldError {
                kind: "json_invalid",
                location: offset(),
                message: "JSON decode error".to_owned(),
            },
            Some((exceeded, place)) => out_of_bounds(exceeded, place, &within, offset),
        }])
    })?;
    let errors = schema.check(&mut value);
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    // A body that matches the schema is a T; this covers a T that checks more.
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

/// The error for a body that exceeds a bound. Depth and number of values are
/// located by the offset, because a path could be as long as the body.
fn out_of_bounds(
    exceeded: Exceeded,
    place: Vec<bounds::Step>,
    within: &BodyBounds,
    offset: impl Fn() -> Vec<Step>,
) -> FieldError {
    let place = || {
        let step = |step| match step {
            bounds::Step::Member(name) => Step::Member(name.chars().take(MAX_NAME).collect()),
            bounds::Step::Index(index) => Step::Index(index),
        };
        std::iter::once("body".into()).chain(place.into_iter().map(step)).collect()
    };
    let BodyBounds { values, string_bytes, items } = within;
    let (kind, location, message) = match exceeded {
        Exceeded::Levels => (
            "json_too_deep",
            offset(),
            format!("The request body is nested more than {JSON_LEVELS_MAX} levels deep"),
        ),
        Exceeded::Values => {
            ("json_too_many_values", offset(), format!("The request body has more than {values} JSON values"))
        }
        Exceeded::String => {
            ("string_too_long", place(), format!("String should have at most {string_bytes} bytes"))
        }
        Exceeded::Name => {
            ("string_too_long", place(), format!("Names of members should have at most {string_bytes} bytes"))
        }
        Exceeded::Items => ("too_long", place(), format!("List should have at most {items} items")),
        Exceeded::Members => ("too_long", place(), format!("Dictionary should have at most {items} items")),
    };
    FieldError { kind, location, message }
}

/// Converts serde_json's line and column, from 1, to pydantic's offset, from 0.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        bytes.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BOUNDS: BodyBounds = BodyBounds { values: 20, ..OUTSIDE };

    const GOOD: &str = r#"{"root_node_type_ref": {"node_type_id": "n", "version": "1"}, "input": {}}"#;

    fn refusal(bytes: &[u8]) -> Value {
        let error = parse::<RunStartRequest>(bytes, BOUNDS).expect_err(&String::from_utf8_lossy(bytes));
        let envelope = serde_json::to_value(error).unwrap();
        assert_eq!(envelope["error"]["code"], "invalid_request");
        envelope["error"]["details"]["errors"][0].clone()
    }

    #[test]
    fn json_content_types_are_accepted() {
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
    fn invalid_json_is_refused_with_its_offset() {
        let input = |value: &str| GOOD.replace("\"input\": {}", &format!("\"input\": {{\"x\": {value}}}"));
        for bytes in [
            input("NaN"),
            input("-Infinity"),
            input("1e999"),
            input(r#""\ud800""#),
            input("01"),
            input("'x'"),
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
    fn nesting_and_number_of_values_are_limited() {
        // The body, its input, and then these.
        let nested = |levels: usize| {
            let content = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            GOOD.replace("\"input\": {}", &format!("\"input\": {{\"x\": {content}}}"))
        };
        let read =
            |text: &str, values| parse::<RunStartRequest>(text.as_bytes(), BodyBounds { values, ..OUTSIDE });
        assert!(read(&nested(98), 200).is_ok(), "100 levels");
        for levels in [99, 125, 126, 127, 128, 100_000] {
            let error = read(&nested(levels), 200_000).unwrap_err();
            let envelope = serde_json::to_value(error).unwrap();
            let error = &envelope["error"]["details"]["errors"][0];
            assert_eq!(error["type"], "json_too_deep", "{levels}");
            assert_eq!(error["msg"], "The request body is nested more than 100 levels deep");
        }
        // The body, the reference and its two members, the input, and these.
        let many = |items: usize| GOOD.replace("{}}", &format!("{{\"x\": [{}0]}}}}", "0,".repeat(items - 1)));
        assert!(read(&many(14), 20).is_ok());
        let error = refusal(many(15).as_bytes());
        assert_eq!(
            (&error["type"], &error["msg"]),
            (&json!("json_too_many_values"), &json!("The request body has more than 20 JSON values"))
        );
        // Values of unknown members count as well.
        let unknown = GOOD.replace("{}}", &format!("{{}}, \"surprise\": [{}0]}}", "0,".repeat(20)));
        assert_eq!(refusal(unknown.as_bytes())["type"], "json_too_many_values");
    }

    #[test]
    fn strings_and_arrays_are_limited_wherever_they_are() {
        let bounds = BodyBounds { string_bytes: 40, items: 10, ..OUTSIDE };
        let long = "x".repeat(41);
        let listed = format!("[{}0]", "0,".repeat(10));
        for (member, kind, place) in [
            (
                format!(r#""input": {{"a": [1, {{"b": "{long}"}}]}}"#),
                "string_too_long",
                json!(["body", "input", "a", 1, "b"]),
            ),
            (
                format!(r#""input": {{"a": {{"{long}": 1}}}}"#),
                "string_too_long",
                json!(["body", "input", "a"]),
            ),
            (format!(r#""input": {{"a": {listed}}}"#), "too_long", json!(["body", "input", "a"])),
            (format!(r#""input": {{}}, "run_id": "{long}""#), "string_too_long", json!(["body", "run_id"])),
            (format!(r#""input": {{}}, "{long}": 1"#), "string_too_long", json!(["body"])),
            (format!(r#""input": {{}}, "unknown": {listed}"#), "too_long", json!(["body", "unknown"])),
            (
                format!(r#""input": {{"{}": {listed}}}"#, "y".repeat(40)),
                "too_long",
                json!(["body", "input", "y".repeat(40)]),
            ),
        ] {
            let text = GOOD.replace("\"input\": {}", &member);
            let error = parse::<RunStartRequest>(text.as_bytes(), bounds).expect_err(&text);
            let error = serde_json::to_value(error).unwrap()["error"]["details"]["errors"][0].clone();
            assert_eq!((&error["type"], &error["loc"]), (&json!(kind), &place), "{text}");
        }
        let fits = GOOD
            .replace("{}}", &format!("{{\"a\": [{}0], \"b\": \"{}\"}}}}", "0,".repeat(9), "x".repeat(40)));
        assert!(parse::<RunStartRequest>(fits.as_bytes(), bounds).is_ok(), "{fits}");
    }

    #[test]
    fn valid_body_is_parsed() {
        let text = GOOD.replace(
            "\"input\": {}",
            r#""run_id": "first", "run_id": "last", "metadata": null,
               "input": {"keep": null, "big": 123456789012345678901234567890},
               "constraints": {"structural": {"max_depth": 123456789012345678901234567890}}"#,
        );
        let request: RunStartRequest = parse(text.as_bytes(), BOUNDS).unwrap();
        assert_eq!(request.run_id.unwrap().as_str(), "last");
        assert_eq!(request.metadata, None);
        assert_eq!(request.input.as_str(), r#"{"big":1.2345678901234568e+29,"keep":null}"#);
        assert_eq!(request.constraints.unwrap().structural.unwrap().max_depth, Some(u64::MAX));
    }

    #[test]
    fn errors_do_not_echo_values() {
        let text = GOOD.replace("\"input\": {}", r#""input": "secret", "run_id": {"secret": "secret"}"#);
        let error = parse::<RunStartRequest>(text.as_bytes(), BOUNDS).unwrap_err();
        assert!(!serde_json::to_string(&error).unwrap().contains("secret"));
    }
}
