//! Arbitrary paths, against a second implementation of the table in
//! [`crate::http_server::path`].

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;

use crate::http_server::path::tests::{reader, shown};

/// The operation and the id that a request should resolve to.
fn expected(method: &Method, path: &str) -> Option<(&'static str, String)> {
    let pieces: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    if pieces.iter().any(|piece| piece.is_empty() || piece.to_uppercase().contains("%2F")) {
        return None;
    }
    let decoded: Vec<String> = pieces.iter().map(|piece| decode(piece)).collect::<Option<_>>()?;
    let decoded: Vec<&str> = decoded.iter().map(String::as_str).collect();
    match (method.as_str(), &*decoded) {
        ("GET", ["v1", "runs", id]) => Some(("get", (*id).to_owned())),
        ("GET", ["v1", "runs", id, "events"]) => Some(("events", (*id).to_owned())),
        ("POST", ["v1", "runs"]) => Some(("start", String::new())),
        ("POST", ["v1", "runs", _]) => {
            let last = pieces[2];
            let colon = if last.contains(':') { ":" } else { "%3A" };
            // As long as the original: only ASCII letters change.
            let at = last.to_ascii_uppercase().rfind(colon)?;
            let (id, verb) = (decode(&last[..at])?, decode(&last[at + colon.len()..])?);
            (!id.is_empty() && verb == "cancel").then_some(("cancel", id))
        }
        _ => None,
    }
}

/// Decodes a segment; `None` if it cannot be one.
fn decode(piece: &str) -> Option<String> {
    let text = percent_decode_str(piece).decode_utf8().ok()?.into_owned();
    (text != "." && text != "..").then_some(text)
}

proptest! {
    #[test]
    fn encoded_ids_survive_routing(id in "[^/]{1,40}") {
        prop_assume!(id != "." && id != "..");
        let read = reader();
        let encoded = utf8_percent_encode(&id, NON_ALPHANUMERIC);
        let got = read(&Method::GET, &format!("/v1/runs/{encoded}"));
        prop_assert_eq!(got, Ok(("get".to_owned(), shown(&id))));
        let canceled = read(&Method::POST, &format!("/v1/runs/{encoded}:cancel"));
        prop_assert_eq!(canceled, Ok(("cancel".to_owned(), shown(&id))));
    }

    #[test]
    fn paths_resolve_as_expected_or_are_refused(
        method in "GET|POST|PUT|DELETE|HEAD|OPTIONS|PATCH|get|X",
        path in "/?(v1|v%31)?/(runs|r%75ns|run)(/|:|%3A|%3a|%2F|%2f|%|%4|%80|%00|\\.|\\.\\.|a|ü|%C3%BC|cancel|canc%65l|events|e%76ents|\\PC){0,6}",
    ) {
        let method: Method = method.parse().unwrap();
        match (reader()(&method, &path), expected(&method, &path)) {
            (Ok((operation, id)), Some((expected, of))) => {
                let of = if expected == "start" { String::new() } else { shown(&of) };
                prop_assert_eq!((&*operation, id), (expected, of));
            }
            (Err(status), None) => prop_assert!([400, 404, 405].contains(&status), "{}", status),
            (found, expected) => prop_assert!(false, "{:?} instead of {:?}", found, expected),
        }
    }

    #[test]
    fn resolving_a_path_never_panics(path in "(/|:|%3A|%2F|%|v1|runs|cancel|ü|\\PC){0,24}|.{0,40}") {
        let read = reader();
        let _ = (read(&Method::GET, &path), read(&Method::POST, &path));
    }
}
