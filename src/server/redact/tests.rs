//! What is masked, and what is not.

use std::borrow::Cow;

use serde_json::json;

use super::*;

/// Without a signature that anything would accept.
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x";

#[test]
fn credentials_in_a_text_are_masked() {
    let redactor = Redactor::default();
    for (text, masked) in [
        (format!("token {JWT} refused"), "token [redacted] refused".to_owned()),
        (format!("({JWT})."), "([redacted]).".into()),
        (format!("Authorization: Bearer {JWT}"), "Authorization: [redacted]".into()),
        ("sent Bearer abc123 to it".into(), "sent Bearer [redacted] to it".into()),
        ("bearer   AbCdEfGhIjKlMnOpQr==".into(), "bearer   [redacted]".into()),
        ("Basic dXNlcjpwYXNz0 x".into(), "Basic [redacted] x".into()),
        ("authorization: Digest a=b, c=d\nnext".into(), "authorization: [redacted]\nnext".into()),
        ("Cookie: a=1; b=2".into(), "Cookie: [redacted]".into()),
        ("password=hunter2&user=bob".into(), "password=[redacted]&user=bob".into()),
        ("db_password = 'two words' x".into(), "db_password = '[redacted]' x".into()),
        (r#"{"apiKey": "k 1", "a": 1}"#.into(), r#"{"apiKey": "[redacted]", "a": 1}"#.into()),
        (r#"{"x-api-key":17}"#.into(), r#"{"x-api-key":[redacted]}"#.into()),
        (
            r#"body {\"client_secret\":\"hush\"} x"#.into(),
            r#"body {\"client_secret\":\"[redacted]\"} x"#.into(),
        ),
        (r#"{"secret": "a\"b", "c": 1}"#.into(), r#"{"secret": "[redacted]", "c": 1}"#.into()),
        (r#"credentials={"a":{"b":[1]}} x"#.into(), "credentials=[redacted] x".into()),
        ("secret => x".into(), "secret => [redacted]".into()),
        (r#"token="never closed"#.into(), r#"token="[redacted]"#.into()),
        ("postgres://me:p@ss@db:5432/x?y".into(), "postgres://[redacted]@db:5432/x?y".into()),
        ("https://token@host".into(), "https://[redacted]@host".into()),
    ] {
        assert_eq!(redactor.text(&text), masked, "{text}");
    }
}

#[test]
fn ordinary_text_is_not_copied() {
    let redactor = Redactor::default();
    for text in [
        "",
        "the connection broke off",
        "missing field `token` at line 1 column 7",
        "Bearer authentication failed",
        "basic checks passed",
        "total_tokens: 4096, max-tokens=17",
        "https://host:8080/path@x?mail=a@b",
        "eyJ is how a token begins; so is eyJhbGciOiJ.",
        "a password is needed",
        "tokenizer: fast",
        "key: value",
        "Größe: 3 € — ☃",
    ] {
        assert!(matches!(redactor.text(text), Cow::Borrowed(_)), "{text}: {}", redactor.text(text));
    }
}

#[test]
fn members_with_secret_names_are_masked_at_every_depth() {
    let object = JsonObject::of(&json!({
        "Password": "a", "API-Key": 7, "access_token": "", "credentials": {"user": "bob"},
        "cookies": ["c"], "is_secret": true, "client_secret": null,
        "in": [{"dbPassword": "x", "url": "http://a:b@c", "note": "Bearer abc123"}],
        "usage": {"total_tokens": 5, "input_tokens": 3}, "n": 12345678901234567890_u64,
    }));
    let expected = json!({
        "Password": MASK, "API-Key": MASK, "access_token": "", "credentials": MASK,
        "cookies": ["c"], "is_secret": true, "client_secret": null,
        "in": [{"dbPassword": MASK, "url": "http://[redacted]@c", "note": "Bearer [redacted]"}],
        "usage": {"total_tokens": 5, "input_tokens": 3}, "n": 12345678901234567890_u64,
    });
    let masked = Redactor::default().object(&object);
    assert_eq!(serde_json::to_value(&masked).expect("JSON"), expected);
    let more = Redactor::new(&["Customer-ID".into(), " ".into()]);
    let object = JsonObject::of(&json!({"customerId": "c", "customer": "d"}));
    let masked = serde_json::to_value(more.object(&object)).expect("JSON");
    assert_eq!(masked, json!({"customerId": MASK, "customer": "d"}));
    assert_eq!(more.text("customer_id=7 customer=8"), "customer_id=[redacted] customer=8");
}

#[test]
fn errors_are_bounded() {
    let redactor = Redactor::default();
    let details = JsonObject::of(&json!({"text": "x".repeat(DETAILS_BYTES)}));
    let error = Error { details: Some(details), ..Error::new(&"c".repeat(1 << 20), "ü".repeat(1 << 20)) };
    let error = redactor.error(error);
    assert_eq!(
        (error.code.chars().count(), error.message.chars().count()),
        (CODE_CHARS + 1, MESSAGE_CHARS + 1)
    );
    let details = error.details.expect("a note");
    assert_eq!(
        details.text("error").expect("a text"),
        format!("details of {} bytes were left out", DETAILS_BYTES + 11)
    );
    // Exactly as long as allowed, and a secret at the end.
    let long = "x".repeat(MESSAGE_CHARS);
    assert!(matches!(redactor.message(&long), Cow::Borrowed(_)));
    let secret = format!("{}{JWT}", " ".repeat(MESSAGE_CHARS - 5));
    let masked = redactor.message(&secret);
    assert!(masked.ends_with(" [reda…") && masked.chars().count() == MESSAGE_CHARS + 1, "{masked}");
}
