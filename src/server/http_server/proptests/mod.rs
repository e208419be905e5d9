//! Arbitrary paths, queries and bodies.

mod bodies;
mod document;
mod paths;

use proptest::prelude::*;

use super::stream::read;

proptest! {
    #[test]
    fn encoded_cursor_is_decoded(seq in any::<u64>(), limit in 1..=10_000u64, padded: bool) {
        use base64::{Engine, engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD}};
        let engine = if padded { URL_SAFE } else { URL_SAFE_NO_PAD };
        let cursor = engine.encode(seq.to_string());
        let options = read(&format!("cursor={cursor}&limit={limit}")).unwrap();
        prop_assert_eq!((options.after, options.limit, options.follow), (seq, Some(limit), false));
    }

    #[test]
    fn any_query_is_parsed_or_its_parameter_is_named(
        query in "((cursor|limit|follow|other|%63ursor|=)=?(MTI=?|[A-Za-z0-9_+/%=-]{0,12}|1|true|\\PC{0,6})&?){0,4}",
    ) {
        match read(&query) {
            Ok(options) => prop_assert!(options.limit.is_none_or(|limit| (1..=10_000).contains(&limit))),
            Err(error) => {
                let error = serde_json::to_value(error).unwrap();
                prop_assert_eq!(&error["error"]["code"], "invalid_request");
                let location = error["error"]["details"]["errors"][0]["loc"].clone();
                prop_assert_eq!(&location[0], "query");
                let name = location[1].as_str().unwrap();
                prop_assert!(["cursor", "limit", "follow"].contains(&name), "{}", location);
            }
        }
    }

    /// Only digits in base64 are a cursor.
    #[test]
    fn accepted_cursor_has_the_value_of_its_digits(text in "[A-Za-z0-9_=-]{0,16}|[MNO][DTjzyQwgA-Z0-9]{1,15}") {
        let Ok(options) = read(&format!("cursor={text}")) else { return Ok(()) };
        let digits = by_hand(&text);
        prop_assert_eq!(digits.trim_start_matches('0').parse().unwrap_or(0), options.after, "{}", digits);
        prop_assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()), "{:?}", digits);
    }
}

/// Decodes base64, six bits at a time.
fn by_hand(text: &str) -> String {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = Vec::new();
    for letter in text.trim_end_matches('=').chars() {
        let six = LETTERS.find(letter).unwrap();
        bits.extend((0..6).rev().map(|bit| six >> bit & 1));
    }
    bits.chunks_exact(8)
        .map(|byte| char::from(byte.iter().fold(0, |sum, bit| sum << 1 | u8::try_from(*bit).unwrap())))
        .collect()
}
