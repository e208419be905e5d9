//! Event streams in any pieces, and with damaged lines.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::{Value, json};

use super::*;
use crate::{
    clients::Peer,
    time::SystemClock,
    types::proptests::{any_json, broken, nearly},
};

/// Shared, because it takes long to make, and is not used.
static HTTP: LazyLock<reqwest::Client> = LazyLock::new(reqwest::Client::new);

/// Reads a stream that comes in these pieces and then ends. Returns the events
/// before the end or the first error.
fn read(pieces: Vec<Bytes>) -> (Vec<Value>, Option<CallError>) {
    let client =
        Client::new_with_client("http://127.0.0.1:1", HTTP.clone(), Peer::anonymous(Service::RunCoordinator));
    let body = reqwest::Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    let connection = Some(http::Response::new(body).into());
    let mut events = RunEvents { connection, ..RunEvents::read(client, "r".into(), Arc::new(SystemClock)) };
    let mut given = Vec::new();
    futures::executor::block_on(async {
        loop {
            match events.next().await {
                Ok(Some(event)) => given.push(serde_json::to_value(event).unwrap()),
                Ok(None) => return (given, None),
                Err(error) => return (given, Some(error)),
            }
        }
    })
}

/// Cuts a text at these places.
fn cut(text: &[u8], places: &[Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| Bytes::copy_from_slice(&text[ends[0]..ends[1]])).collect()
}

fn event(seq: u64, data: &Value) -> Value {
    json!({"run_id": "r", "seq": seq, "type": "policy_decided", "time": "2026-11-22T00:00:00.000000Z", "data": data})
}

/// Data of events: objects with any content.
fn data() -> impl Strategy<Value = Vec<Value>> {
    vec(any_json().prop_map(|value| json!({"ü\n": value})), 0..6)
}

proptest! {
    #[test]
    fn pieces_of_a_stream_do_not_change_its_events(data in data(), places in vec(any::<Index>(), 0..12)) {
        let events: Vec<Value> = (1..).zip(&data).map(|(seq, data)| event(seq, data)).collect();
        let text: String = events.iter().map(|event| format!("{event}\n")).collect();
        prop_assert_eq!(read(cut(text.as_bytes(), &places)), (events, None));
    }

    /// The first line that is not an event is an error, after all events before
    /// it.
    #[test]
    fn damaged_line_is_an_error_after_the_events_before_it(
        data in data(),
        line in prop_oneof![
            broken(nearly(vec![event(9, &json!({"a": 1}))])),
            vec(any::<u8>(), 0..40),
            Just(b"{\"a\":\"\xff\xc3\"}".to_vec()),
        ],
        places in vec(any::<Index>(), 0..12),
    ) {
        prop_assume!(!line.contains(&b'\n'));
        let events: Vec<Value> = (1..).zip(&data).map(|(seq, data)| event(seq, data)).collect();
        let mut text: Vec<u8> = events.iter().flat_map(|event| format!("{event}\n").into_bytes()).collect();
        text.extend(&line);
        text.push(b'\n');
        let (mut given, error) = read(cut(&text, &places));
        match serde_json::from_slice::<RunEvent>(&line) {
            Ok(event) => {
                prop_assert_eq!(error, None);
                if event.seq > events.len() as u64 {
                    prop_assert_eq!(given.pop(), Some(serde_json::to_value(event).unwrap()));
                }
            }
            Err(_) => {
                let error = error.expect("an error");
                prop_assert!(!error.retryable());
            }
        }
        prop_assert_eq!(given, events);
    }
}
