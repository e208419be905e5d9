//! Parameters of a query, and an error for each that names it.
//!
//! ```text
//!   ?state=lost  ──▶ 400: {"type": "value_error", "loc": ["query", "state"], "msg": "…"}
//!   ?label.K=V   ──▶ LabelParams: {K: V}
//! ```
//!
//! Unknown parameters are ignored.

use std::{collections::BTreeMap, num::NonZeroU32};

use async_trait::async_trait;
use dropshot::{
    ApiEndpointBodyContentType, ExtractorMetadata, HttpError, Query, RequestContext, ServerContext,
    SharedExtractor,
};
use schemars::{
    JsonSchema,
    r#gen::SchemaGenerator,
    schema::{InstanceType, Schema, SchemaObject},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{errors::ApiError, request_scope};
use crate::record::Labels;

/// The parameters of an operation. Dropshot's own do not say which one is wrong.
pub(crate) struct Params<T>(T);

impl<T> Params<T> {
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

#[async_trait]
impl<T: DeserializeOwned + JsonSchema + Send + Sync + 'static> SharedExtractor for Params<T> {
    async fn from_request<C: ServerContext>(rqctx: &RequestContext<C>) -> Result<Self, HttpError> {
        let query = rqctx.request.uri().query().unwrap_or_default();
        read(query).map(Self).map_err(|error| request_scope::refuse(&error))
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        Query::<T>::metadata(content_type)
    }
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let parameters = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(parameters).map_err(|error| {
        let (path, message) = (error.path().to_string(), error.inner().to_string());
        // Both have the names of our own members between these quotes.
        let ours = |before: &str| message.strip_prefix(before)?.strip_suffix('`').map(str::to_owned);
        if let Some(missing) = ours("missing field `") {
            return ApiError::invalid_at("missing", &["query", &missing], "Field required");
        }
        if let Some(twice) = ours("duplicate field `") {
            return ApiError::invalid_at("value_error", &["query", &twice], "Given more than once");
        }
        let name = if path == "." || path == "?" { paging_parameter(query) } else { Some(path.as_str()) };
        // What is expected is ours; what comes before it is not.
        let message = match message.rsplit_once(", expected ") {
            Some((_, expected)) => format!("Input should be {expected}"),
            None => "Invalid value".into(),
        };
        let location: Vec<&str> = ["query"].into_iter().chain(name).collect();
        ApiError::invalid_at("value_error", &location, &message)
    })
}

/// Which parameter of a page is wrong: their members are flattened, and have no
/// paths.
fn paging_parameter(query: &str) -> Option<&'static str> {
    let value = |name| url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name);
    match value("limit") {
        Some((_, limit)) if limit.parse::<NonZeroU32>().is_err() => Some("limit"),
        Some(_) | None => value("page_token").map(|_| "page_token"),
    }
}

/// The labels that are asked for: `label.K=V`, each K once.
pub(crate) struct LabelParams(pub(crate) BTreeMap<String, String>);

const PREFIX: &str = "label.";

/// Dropshot documents parameters that are texts and numbers. This one stands for an
/// object whose members are parameters by themselves; `openapi` replaces it.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "for the document")]
struct Documented {
    /// Labels that a run must have, all of them. For the label K, the member is `label.K`
    #[schemars(schema_with = "members_of_their_own")]
    labels: Option<String>,
}

/// The format by which the document knows it.
pub(super) const MEMBERS: &str = "members";

fn members_of_their_own(_: &mut SchemaGenerator) -> Schema {
    SchemaObject {
        instance_type: Some(InstanceType::String.into()),
        format: Some(MEMBERS.into()),
        ..SchemaObject::default()
    }
    .into()
}

#[async_trait]
impl SharedExtractor for LabelParams {
    async fn from_request<C: ServerContext>(rqctx: &RequestContext<C>) -> Result<Self, HttpError> {
        let query = rqctx.request.uri().query().unwrap_or_default();
        read_labels(query).map(Self).map_err(|error| request_scope::refuse(&error))
    }

    fn metadata(content_type: ApiEndpointBodyContentType) -> ExtractorMetadata {
        Query::<Documented>::metadata(content_type)
    }
}

fn read_labels(query: &str) -> Result<BTreeMap<String, String>, ApiError> {
    let mut labels = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let Some(label) = name.strip_prefix(PREFIX) else { continue };
        // The name may be of any length.
        let wrong = |kind, message: &str| {
            let shown: String = name.chars().take(PREFIX.len() + Labels::NAME_CHARS).collect();
            ApiError::invalid_at(kind, &["query", &shown], message)
        };
        if !Labels::is_name(label) {
            return Err(wrong("string_too_long", "The name of a label has 1 to 63 characters"));
        }
        if !Labels::is_value(&value) {
            return Err(wrong("string_too_long", "The value of a label has at most 255 characters"));
        }
        if labels.insert(label.to_owned(), value.into_owned()).is_some() {
            return Err(wrong("value_error", "Given more than once"));
        }
        if labels.len() > Labels::MAX {
            return Err(wrong("too_long", "At most 16 labels can be asked for"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use dropshot::{EmptyScanParams, PaginationParams};
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::{time::Timestamp, types::RunState};

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    struct Asked {
        state: Option<RunState>,
        started_after: Option<Timestamp>,
        by: String,
    }

    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Place {
        at: u32,
    }

    fn place(error: &ApiError) -> (Value, Value) {
        let error = serde_json::to_value(error).expect("JSON");
        let first = &error["error"]["details"]["errors"][0];
        (first["loc"].clone(), first["msg"].clone())
    }

    #[test]
    fn wrong_parameter_of_a_query_is_named() {
        for (query, name) in [
            ("by=x&state=lost", "state"),
            ("by=x&started_after=yesterday", "started_after"),
            ("state=running", "by"),
            ("by=x&by=y", "by"),
        ] {
            let error = read::<Asked>(query).expect_err(query);
            let (location, message) = place(&error);
            assert_eq!(location, json!(["query", name]), "{query}");
            let message = message.as_str().expect("text");
            assert!(!message.contains("lost") && !message.contains("yesterday"), "{message}");
        }
        let (_, message) = place(&read::<Asked>("by=x&state=lost").expect_err("no state"));
        assert!(message.as_str().is_some_and(|message| message.contains("`succeeded`")), "{message}");
        read::<Asked>("by=x&state=running&other=1").expect("unknown ones are ignored");
    }

    #[test]
    fn wrong_parameter_of_a_page_is_named() {
        type Page = PaginationParams<EmptyScanParams, Place>;
        for (query, name) in
            [("limit=0", "limit"), ("limit=x&page_token=x", "limit"), ("page_token=x", "page_token")]
        {
            let error = read::<Page>(query).expect_err(query);
            assert_eq!(place(&error).0, json!(["query", name]), "{query}");
        }
    }

    #[test]
    fn labels_are_asked_for_by_their_names() {
        let labels = read_labels("label.a.b=1%2C2&state=x&label.c=").expect("labels");
        assert_eq!(labels, [("a.b", "1,2"), ("c", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let long = "x".repeat(300);
        let many: String = (0..17).map(|number| format!("&label.n{number}=1")).collect();
        for query in
            ["label.=1", "label.a=1&label.a=2", &format!("label.{long}=1"), &format!("label.a={long}"), &many]
        {
            let (location, _) = place(&read_labels(query).expect_err(query));
            let name = location[1].as_str().expect("a name");
            assert!(name.starts_with(PREFIX) && name.len() <= 69, "{name}");
        }
    }
}
