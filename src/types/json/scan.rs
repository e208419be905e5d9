//! Scans canonical text without parsing it into a tree.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Number;

/// Iterates over the members of an object: the name as written, without quotes,
/// and the text of the value.
pub(super) fn members(object: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut at = 1;
    std::iter::from_fn(move || {
        let bytes = object.as_bytes();
        if *bytes.get(at)? != b'"' {
            return None;
        }
        let key_end = string_end(bytes, at)?;
        let value_at = key_end + 1;
        let value_end = value_end(bytes, value_at)?;
        let member = (object.get(at + 1..key_end - 1)?, object.get(value_at..value_end)?);
        at = value_end + 1;
        Some(member)
    })
}

/// The end of the string that begins at `at`: after its closing quote.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the value that begins at `at`.
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = string_end(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            _ => at += 1,
        }
    }
}

/// The nesting of a text, canonical or not. For invalid JSON, at least the depth
/// that a parser reaches before it fails.
pub fn levels(bytes: &[u8]) -> u32 {
    let (mut at, mut depth, mut deepest) = (0, 0_u32, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let Some(end) = string_end(bytes, at) else { break };
                at = end;
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// Resolves the escapes in a name.
pub(super) fn unescaped(name: &str) -> Cow<'_, str> {
    if name.contains('\\') {
        serde_json::from_str(&format!("\"{name}\"")).map_or(Cow::Borrowed(name), Cow::Owned)
    } else {
        Cow::Borrowed(name)
    }
}

pub(super) fn is_named(written: &str, name: &str) -> bool {
    unescaped(written) == name
}

/// Compares names without their escapes: the order as written differs, because
/// an escape begins with a backslash.
pub(super) fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    if !a.contains(&b'\\') && !b.contains(&b'\\') {
        return a.cmp(b);
    }
    let text = |name| std::str::from_utf8(name).map(unescaped).unwrap_or_default();
    text(a).cmp(&text(b))
}

/// Whether two canonical texts are equal as JSON: `1` and `1.0` are equal.
pub fn same_json(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut at_a, mut at_b) = (0, 0);
    loop {
        match (a.get(at_a), b.get(at_b)) {
            (None, None) => return true,
            (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => {
                let (end_a, end_b) = (number_end(a, at_a), number_end(b, at_b));
                if !same_number(&a[at_a..end_a], &b[at_b..end_b]) {
                    return false;
                }
                (at_a, at_b) = (end_a, end_b);
            }
            (Some(b'"'), Some(b'"')) => {
                let (Some(end_a), Some(end_b)) = (string_end(a, at_a), string_end(b, at_b)) else {
                    return false;
                };
                if a[at_a..end_a] != b[at_b..end_b] {
                    return false;
                }
                (at_a, at_b) = (end_a, end_b);
            }
            (Some(byte_a), Some(byte_b)) if byte_a == byte_b => (at_a, at_b) = (at_a + 1, at_b + 1),
            (Some(_), _) | (None, Some(_)) => return false,
        }
    }
}

fn number_end(bytes: &[u8], at: usize) -> usize {
    let is_of_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    at + bytes[at..].iter().take_while(|byte| is_of_number(byte)).count()
}

fn same_number(a: &[u8], b: &[u8]) -> bool {
    let read = |text| serde_json::from_slice::<Number>(text).ok();
    match (read(a), read(b)) {
        (Some(a), Some(b)) => match (as_integer(&a), as_integer(&b)) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.as_f64() == b.as_f64(),
            (Some(_), None) | (None, Some(_)) => false,
        },
        (Some(_) | None, _) => false,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole, and within the range")]
fn as_integer(number: &Number) -> Option<i128> {
    let whole = |float: &f64| float.fract() == 0.0 && float.abs() < 2f64.powi(126);
    number.as_i128().or_else(|| number.as_f64().filter(whole).map(|float| float as i128))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::JsonObject;

    #[test]
    fn members_are_found_whatever_their_content() {
        let content = json!({
            "": 0, "a": "}],{\"", "b": {"a": [1, {"x": "\\"}]}, "c\"d": null, "e\n": [], "f": -1.5e300, "ü": {}
        });
        let object = JsonObject::of(&content);
        let found: serde_json::Map<String, Value> = object
            .members()
            .map(|(name, value)| (name, serde_json::from_str(value).expect("JSON")))
            .collect();
        assert_eq!(Value::Object(found), content);
        for name in ["", "a", "c\"d", "e\n", "ü"] {
            assert_eq!(object.get(name).as_ref(), content.get(name), "{name:?}");
        }
        assert_eq!((object.get("x"), levels(object.as_str().as_bytes())), (None, 4));
        assert_eq!(JsonObject::new().members().count(), 0);
    }

    #[test]
    fn nesting_is_counted_in_any_text() {
        for (text, expected) in [
            ("", 0),
            (" 1 ", 0),
            ("\"[{\"", 0),
            ("\t[ ]\n", 1),
            (r#"{ "a\"[" : [ { } , 1 ], "b\\" : [[[]]] }"#, 4),
            // Lines, and what no parser reads to its end.
            ("{\"a\":[]}\n{\"b\":{}}\n", 2),
            ("[[[", 3),
            ("]]][[", 2),
            ("[\"[[[", 1),
            ("[\"\\", 1),
        ] {
            assert_eq!(levels(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(levels(b"[\"\xff\xc0[\",[\xff]]"), 2);
        assert_eq!(levels("[".repeat(1_000_000).as_bytes()), 1_000_000);
    }

    #[test]
    fn edited_object_is_canonical() {
        let object = JsonObject::of(&json!({"a": 1, "b": 2, "d\n": 3}));
        let set = [("c".to_owned(), "[4]".to_owned()), ("a".to_owned(), "5".to_owned())].into();
        let edited = object.edited(|name| name == "b", &set);
        assert_eq!(edited.as_str(), r#"{"a":5,"c":[4],"d\n":3}"#);
        assert_eq!(edited, JsonObject::of(&edited.to_map()));
        assert_eq!(object.edited(|_| false, &std::collections::BTreeMap::new()), object);
        assert_eq!(JsonObject::new().with("x", &"y").as_str(), r#"{"x":"y"}"#);
    }

    #[test]
    fn only_numbers_are_compared_by_value() {
        for (a, b, same) in [
            ("[1,2]", "[1.0,2e0]", true),
            ("[-0.0]", "[0]", true),
            (r#"{"a":1}"#, r#"{"a":true}"#, false),
            (r#"{"a":1}"#, r#"{"a":"1"}"#, false),
            (r#"{"1":1}"#, r#"{"1.0":1}"#, false),
            ("[1]", "[1,1]", false),
            ("[12]", "[1]", false),
            ("9007199254740993", "9007199254740992.0", false),
            ("0.1", "0.1", true),
            ("18446744073709551615", "18446744073709551616.0", false),
        ] {
            assert_eq!((same_json(a, b), same_json(b, a)), (same, same), "{a} {b}");
        }
    }
}
