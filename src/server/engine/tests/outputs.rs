//! What is kept of outputs that are too large.

use proptest::{collection::btree_map, prelude::*};
use serde_json::{Value, json};

use crate::{
    engine::{abridge, oversized},
    types::{JsonObject, ResourceRef},
};

fn artifact() -> ResourceRef {
    ResourceRef { type_: "artifact".into(), id: "a".repeat(32), uri: None, extensions: None }
}

fn stub() -> Value {
    json!({"jarvis.artifact": {"type": "artifact", "id": "a".repeat(32)}})
}

fn map(value: Value) -> JsonObject {
    serde_json::from_value(value).expect("an object")
}

#[test]
fn the_largest_members_go_and_the_others_stay() {
    let text = |length| "x".repeat(length);
    let outputs = map(json!({"a": text(400), "b": text(900), "c": text(500), "n": 3}));
    for (limit, gone) in [
        (2000, ""),
        (1800, "b"),
        (1100, "b"),
        (1000, "bc"),
        (500, "bca"),
        // The stubs alone are more than that.
        (100, "all"),
    ] {
        let mut expected = outputs.clone();
        for name in gone.chars().map(String::from) {
            expected.insert(name, stub());
        }
        let expected = if gone == "all" { map(stub()) } else { expected };
        let kept = match oversized(&outputs, limit) {
            Some(bytes) => {
                assert_eq!(serde_json::from_slice::<JsonObject>(&bytes).expect("JSON"), outputs);
                abridge(&outputs, limit, &artifact())
            }
            None => outputs.clone(),
        };
        assert_eq!(kept, expected, "{limit}");
    }
}

#[test]
fn a_crowd_of_small_members_goes_as_a_whole() {
    let crowd: JsonObject = (0..1000).map(|number| (format!("m{number}"), number.into())).collect();
    assert_eq!(abridge(&crowd, 1024, &artifact()), map(stub()));
}

#[test]
fn the_limit_itself_is_not_too_much() {
    let outputs = map(json!({"a": "b"}));
    assert_eq!(oversized(&outputs, 9), None);
    assert_eq!(oversized(&outputs, 8), Some(b"{\"a\":\"b\"}".to_vec()));
}

proptest! {
    /// With the artifact at hand the outputs can be put together again; what is
    /// kept is small; and no stub was needless.
    #[test]
    fn nothing_is_lost_and_what_is_kept_is_small(
        lengths in btree_map("[a-z]{1,8}", 0_usize..3000, 0..40),
        limit in 1024_usize..8192,
    ) {
        let outputs: JsonObject =
            lengths.iter().map(|(name, length)| (name.clone(), "é".repeat(*length).into())).collect();
        let Some(whole) = oversized(&outputs, limit) else { return Ok(()) };
        let whole: JsonObject = serde_json::from_slice(&whole).expect("JSON");
        let kept = abridge(&outputs, limit, &artifact());
        prop_assert!(oversized(&kept, limit).is_none());
        let again = match Value::from(kept.clone()) == stub() {
            true => whole,
            false => kept
                .to_map()
                .into_iter()
                .map(|(name, value)| {
                    let value = if value == stub() { whole.value(&name) } else { value };
                    (name, value)
                })
                .collect(),
        };
        prop_assert_eq!(&again, &outputs);
        // Put the smallest one back, and it is too much.
        let smallest = kept.keys().filter(|name| kept.value(name) == stub());
        if let Some(name) = smallest.min_by_key(|name| outputs.raw(name).map(str::len)) {
            let mut more = kept.clone();
            more.insert(name.clone(), outputs.value(&name));
            prop_assert!(oversized(&more, limit).is_some());
        }
    }
}
