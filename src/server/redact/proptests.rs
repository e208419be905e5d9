//! Any text and any object: no secret survives, and masking twice changes
//! nothing.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// Texts of what the scanner looks at.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,8}",
        "\\PC{0,4}",
        Just("password".to_owned()),
        Just("Bearer ".to_owned()),
        Just("authorization: ".to_owned()),
        Just("=\"".to_owned()),
        Just("\\\"".to_owned()),
        Just("://".to_owned()),
        Just("@".to_owned()),
        Just("eyJhbGciOiJ9.a.b".to_owned()),
        Just(": {[".to_owned()),
        Just("[redacted]".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn json_values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        pieces().prop_map(Value::from),
    ];
    let name = prop_oneof!["[a-z_]{1,8}", Just("secret".to_owned()), Just("Api-Key".to_owned())];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn masking_again_changes_nothing(text in pieces(), chars in 0_usize..200) {
        let redactor = Redactor::default();
        let once = redactor.text(&text).into_owned();
        prop_assert_eq!(redactor.text(&once), once.as_str(), "{}", text);
        prop_assert!(redactor.bounded(&text, chars).chars().count() <= chars + 1);
    }

    #[test]
    fn named_secret_is_not_in_the_text(
        before in "[ -~]{0,20}",
        name in prop::sample::select(vec!["password", "client_secret", "X-Api-Key", "accessToken"]),
        sign in prop::sample::select(vec!["=", ": ", "\":\"", "\\\": \\\"", " => "]),
        secret in "[a-z]{6}7QQ[a-z]{6}",
        after in "[ -~]{0,20}",
    ) {
        // A name is a word of its own.
        let text = format!("{before} {name}{sign}{secret} {after}");
        let masked = Redactor::default().text(&text).into_owned();
        prop_assert!(!masked.contains(&secret), "{} -> {}", text, masked);
    }

    #[test]
    fn tokens_are_not_in_the_text(before in "\\PC{0,20}", token in "eyJ[A-Za-z0-9_-]{8,20}\\.[A-Za-z0-9_-]{8,20}\\.[A-Za-z0-9_-]{8,20}") {
        let text = format!("{before} {token} x");
        prop_assert!(!Redactor::default().text(&text).contains(&token), "{}", text);
    }

    #[test]
    fn objects_keep_their_shape(value in json_values()) {
        let redactor = Redactor::default();
        let object = JsonObject::of(&json!({"a": value}));
        let once = redactor.object(&object);
        let twice = redactor.object(&once);
        prop_assert_eq!(twice.as_str(), once.as_str());
        let names = |object: &JsonObject| object.keys().collect::<Vec<_>>();
        prop_assert_eq!(names(&once), names(&object));
    }
}
