//! Answers of services: random ones, and nearly right ones.

use http::{
    HeaderValue,
    header::{CONTENT_LENGTH, DATE, RETRY_AFTER},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{CallError, envelope, service::Service};
use crate::types::{
    ErrorEnvelope, JSON_LEVELS_MAX,
    json::levels,
    proptests::{any_json, broken, nearly, requests},
};

fn good_envelope() -> Value {
    let [.., (_, complete)] = requests();
    json!({"error": complete["error"], "extensions": {"a.b": null}})
}

/// Bodies of failures: from services, from proxies, and damaged ones.
fn failure_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        broken(nearly(vec![good_envelope()])),
        any_json().prop_map(|detail| json!({ "detail": detail }).to_string().into_bytes()),
        vec(any::<u8>(), 0..64),
        Just(b"<html>bad gateway</html>".to_vec()),
        Just(Vec::new()),
    ]
}

fn answer(status: u16, body: Vec<u8>) -> http::Response<Vec<u8>> {
    let length = body.len();
    let mut answer = http::Response::new(body);
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    answer
}

/// The error that a generated client makes of a failure.
fn failed(answer: http::Response<Vec<u8>>) -> CallError {
    futures::executor::block_on(async {
        let answer = envelope::of_failure(answer.into()).await.unwrap();
        let error = match progenitor_client::ResponseValue::<ErrorEnvelope>::from_response::<()>(answer).await
        {
            Ok(envelope) => progenitor_client::Error::ErrorResponse(envelope),
            Err(error) => panic!("no envelope: {error:?}"),
        };
        CallError::from_client(Service::RunStore, error)
    })
}

proptest! {
    /// The status is kept, and the code is the service's own or that of an
    /// unavailable service.
    #[test]
    fn failure_becomes_an_envelope_with_its_status(status in 400..600u16, body in failure_body()) {
        // A body that is nested too deeply is not looked into.
        let own: Option<ErrorEnvelope> = match levels(&body) {
            0..=JSON_LEVELS_MAX => serde_json::from_slice(&body).ok(),
            _ => None,
        };
        let error = failed(answer(status, body));
        prop_assert_eq!(error.status(), Some(status));
        let code = own.map(|envelope| envelope.error.code).filter(|code| !code.is_empty());
        prop_assert_eq!(&*error.code(), code.as_deref().unwrap_or("run_store_unavailable"));
        // The recorded error, and the line for people.
        let recorded = serde_json::to_value(error.clone().into_error()).unwrap();
        prop_assert_eq!(recorded["code"].as_str(), Some(&*error.code()));
        prop_assert!(error.to_string().starts_with(&status.to_string()));
    }

    #[test]
    fn success_passes_unchanged(status in 200..300u16, body in vec(any::<u8>(), 0..64)) {
        let same = futures::executor::block_on(async {
            envelope::of_failure(answer(status, body.clone()).into()).await.unwrap().bytes().await.unwrap()
        });
        prop_assert_eq!(&*same, &*body);
    }
}

/// Seconds, dates, near dates, and any bytes.
fn time_of_answer() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[0-9]{1,22}".prop_map(String::into_bytes),
        "(Wed, )?[0-9]{1,2} (Oct|Feb) [0-9]{2,6} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4})"
            .prop_map(String::into_bytes),
        vec(any::<u8>(), 0..24),
    ]
}

proptest! {
    #[test]
    fn retry_after_is_a_wait_or_is_ignored(after in time_of_answer(), date in time_of_answer()) {
        let mut answer = answer(503, Vec::new());
        for (name, value) in [(RETRY_AFTER, &after), (DATE, &date)] {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                answer.headers_mut().insert(name, value);
            }
        }
        let waits = failed(answer).retry_after();
        let text = std::str::from_utf8(&after).unwrap_or_default().trim();
        if HeaderValue::from_bytes(&after).is_ok() && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            prop_assert_eq!(waits.map(|time| time.as_secs()), text.parse().ok());
        }
    }
}

#[cfg(feature = "server")]
proptest! {
    /// An executor's answer is read whole or not at all: what was read and is
    /// written reads the same again.
    #[test]
    fn executors_answer_is_read_whole_or_refused(
        body in broken(nearly(vec![
            json!({"node_run_id": "n", "state": "succeeded", "outputs": {"keep": null}, "output_artifacts":
                [{"type": "artifact", "id": "a", "uri": "HTTP://Host.Example/a"}], "error": good_envelope()["error"],
                "started_at": "2026-01-01T00:00:00Z", "ended_at": null, "extensions": {"a.b": 1}, "new": true}),
            json!({"accepted": true, "message": "m", "new": {}}),
        ])),
    ) {
        use super::{atomic_executor::types::AtomicExecuteResult, composite_executor::types::CompositeBeginResponse};
        if let Ok(result) = serde_json::from_slice::<AtomicExecuteResult>(&body) {
            let again = serde_json::to_value(&result).unwrap();
            let same: AtomicExecuteResult = serde_json::from_value(again.clone()).unwrap();
            prop_assert_eq!(serde_json::to_value(same).unwrap(), again);
        }
        if let Ok(answer) = serde_json::from_slice::<CompositeBeginResponse>(&body) {
            // Skipped parts need not be valid in every detail.
            if let Ok(value) = serde_json::from_slice::<Value>(&body) {
                // A list of the members in their order is accepted as well.
                let accepted = value.get("accepted").or_else(|| value.get(0)).and_then(Value::as_bool);
                prop_assert_eq!(accepted, Some(answer.accepted));
            }
        }
    }
}
