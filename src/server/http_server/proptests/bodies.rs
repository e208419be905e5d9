//! Arbitrary bodies, against the API document.

use proptest::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::document;
use crate::{
    http_server::{
        body::{self, RequestBody},
        errors::ApiError,
        front::BodyBounds,
    },
    types::{
        JSON_LEVELS_MAX, NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunsCreateRequest,
        RunStartRequest,
        proptests::{any_json, broken, nearly, requests},
    },
};

const BOUNDS: BodyBounds = BodyBounds { values: 10_000, string_bytes: 100_000, items: 10_000 };

/// Parses a body, and writes the result as JSON again.
fn read(schema: &str, bytes: &[u8]) -> Result<Value, ApiError> {
    fn as_a<T: RequestBody + Serialize>(bytes: &[u8]) -> Result<Value, ApiError> {
        body::parse::<T>(bytes, BOUNDS).map(|body| serde_json::to_value(body).unwrap())
    }
    match schema {
        "RunStartRequest" => as_a::<RunStartRequest>(bytes),
        "NodeRunsCreateRequest" => as_a::<NodeRunsCreateRequest>(bytes),
        "NodeRunEvaluationReportRequest" => as_a::<NodeRunEvaluationReportRequest>(bytes),
        "NodeRunCompleteRequest" => as_a::<NodeRunCompleteRequest>(bytes),
        other => panic!("{other} is not a request"),
    }
}

/// A kind of request, and a text that is nearly one.
fn request() -> impl Strategy<Value = (&'static str, String)> {
    proptest::sample::select(requests().to_vec())
        .prop_flat_map(|(schema, good)| (Just(schema), nearly(vec![good])))
}

/// A body is accepted if and only if the document allows it. An accepted body
/// reads the same when written and read again; a refused body has an error for
/// each location that is wrong.
fn check(schema: &str, bytes: &[u8]) -> Result<(), TestCaseError> {
    let value: Option<Value> = serde_json::from_slice(bytes).ok();
    let good = value
        .as_ref()
        .is_some_and(|value| levels(value) <= JSON_LEVELS_MAX && document::allows(schema, value));
    match read(schema, bytes) {
        Ok(understood) => {
            prop_assert!(good, "accepted");
            let again = read(schema, understood.to_string().as_bytes());
            prop_assert_eq!(again.ok(), Some(understood));
        }
        Err(error) => {
            prop_assert!(!good, "refused: {}", error);
            let error = serde_json::to_value(error).unwrap();
            prop_assert_eq!(&error["error"]["code"], "invalid_request");
            let errors = error["error"]["details"]["errors"].as_array().unwrap();
            prop_assert!(!errors.is_empty() && errors.len() <= 100);
            for error in errors {
                check_place(error, value.as_ref(), bytes.len())?;
            }
        }
    }
    Ok(())
}

fn levels(value: &Value) -> u32 {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(levels).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The location of an error exists, or is missing from an object that exists.
fn check_place(error: &Value, body: Option<&Value>, length: usize) -> Result<(), TestCaseError> {
    let (kind, place) = (error["type"].as_str().unwrap(), error["loc"].as_array().unwrap());
    prop_assert_eq!(&place[0], "body");
    if kind == "json_too_deep" {
        prop_assert!(body.is_none_or(|body| levels(body) > JSON_LEVELS_MAX), "{}", error);
        return Ok(());
    }
    let Some(body) = body else {
        if kind != "missing" {
            prop_assert_eq!(kind, "json_invalid");
            prop_assert!(place[1].as_u64().unwrap() <= length as u64, "{}", error);
        }
        return Ok(());
    };
    let mut at = body;
    for (depth, step) in place.iter().enumerate().skip(1) {
        let next = match (at, step) {
            (Value::Array(items), Value::Number(index)) => {
                items.get(usize::try_from(index.as_u64().unwrap()).unwrap())
            }
            (Value::Object(members), Value::String(name)) => members.get(name).or_else(|| {
                // A longer name was truncated.
                let is_cut = name.chars().count() == 100;
                members.iter().find(|(whole, _)| is_cut && whole.starts_with(&**name)).map(|(_, value)| value)
            }),
            _ => None,
        };
        if kind == "missing" && depth + 1 == place.len() {
            prop_assert!(next.is_none(), "{} is there", error);
            return Ok(());
        }
        prop_assert!(next.is_some(), "there is no place {}", error);
        at = next.unwrap();
    }
    prop_assert!(kind != "missing", "{} is there", error);
    Ok(())
}

#[test]
fn complete_requests_are_accepted() {
    for (schema, good) in requests() {
        assert!(document::allows(schema, &good), "{schema}");
        assert!(read(schema, good.to_string().as_bytes()).is_ok(), "{schema}");
    }
}

proptest! {
    #[test]
    fn nearly_valid_bodies_agree_with_the_document((schema, text) in request()) {
        check(schema, text.as_bytes())?;
    }

    #[test]
    fn corrupted_bodies_agree_with_the_document(
        (schema, bytes) in request().prop_flat_map(|(schema, text)| (Just(schema), broken(Just(text)))),
    ) {
        check(schema, &bytes)?;
    }

    #[test]
    fn arbitrary_bytes_agree_with_the_document(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..64),
            any_json().prop_map(|value| value.to_string().into_bytes()),
            (0..100_000usize, "[\\[{\"a:1 -]{1,3}").prop_map(|(times, piece)| piece.repeat(times / piece.len()).into_bytes()),
        ],
    ) {
        for (schema, _) in requests() {
            check(schema, &bytes)?;
        }
    }
}
