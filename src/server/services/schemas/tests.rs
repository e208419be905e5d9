//! Schemas that are as they should be, and those that are not.

use serde_json::json;

use super::*;
use crate::time::SystemClock;

fn object(value: &Value) -> JsonObject {
    JsonObject::of(value)
}

fn judge() -> Judge {
    Judge::new(Arc::new(SystemClock))
}

async fn judged_by(schema: &Value, value: &Value) -> Judgement {
    let judge = judge();
    let schemas = judge.compile(Some(object(schema)), None).await;
    judge.judge(schemas.input.as_ref(), &object(value)).await
}

#[tokio::test]
async fn violations_have_their_paths_and_no_values() {
    let schema = json!({
        "type": "object", "required": ["goal"], "additionalProperties": false,
        "properties": {"goal": {"type": "string", "pattern": "^[a-z]+$"}, "a/b": {"items": {"type": "number"}}},
    });
    assert_eq!(judged_by(&schema, &json!({"goal": "x", "a/b": [1, 2]})).await, Judgement::Fits);
    let Judgement::Violates(found) =
        judged_by(&schema, &json!({"goal": "SECRET", "a/b": [1, "SECRET"], "more": "SECRET"})).await
    else {
        panic!("it violates it")
    };
    let mut paths: Vec<&str> = found.violations.iter().map(|violation| &*violation.path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["", "/a~1b/1", "/goal"]);
    let deep = found.violations.iter().find(|violation| violation.path == "/a~1b/1").expect("it is there");
    assert_eq!(deep.steps, [Step::Member("a/b".into()), Step::Index(1)]);
    let shown = serde_json::to_string(&found).expect("JSON");
    assert!(!shown.contains("SECRET") && !found.more, "{shown}");
}

#[tokio::test]
async fn violations_are_bounded() {
    let schema = json!({"additionalProperties": {"type": "string"}});
    let value: serde_json::Map<String, Value> = (0..50).map(|n| (format!("m{n}"), json!(n))).collect();
    let Judgement::Violates(found) = judged_by(&schema, &Value::Object(value)).await else {
        panic!("it violates it")
    };
    assert_eq!((found.violations.len(), found.more), (20, true));
    let long = "x".repeat(100_000);
    let Judgement::Violates(found) = judged_by(&schema, &json!({ long: 1 })).await else {
        panic!("it violates it")
    };
    assert!(serde_json::to_string(&found).expect("JSON").len() < 1_000);
}

#[tokio::test]
async fn schema_that_cannot_be_used_says_why() {
    let deep = (0..70).fold(json!({}), |inner, _| json!({ "not": inner }));
    let patterns: serde_json::Map<String, Value> = (0..201).map(|n| (format!("^{n}"), json!({}))).collect();
    for (schema, why) in [
        (json!({"$ref": "https://127.0.0.1:1/schema.json"}), "disabled"),
        (json!({"$ref": "file:///etc/hostname"}), "disabled"),
        (json!({"type": "nothing"}), ""),
        (json!({"pattern": "(?=a)b"}), "regex"),
        (json!({"pattern": "(a{1000}){1000}"}), "regex"),
        (json!({"description": "x".repeat(300 << 10)}), "bytes"),
        (deep, "levels"),
        (json!({ "patternProperties": patterns }), "patterns"),
    ] {
        let shown = schema.to_string().chars().take(60).collect::<String>();
        let Judgement::NotJudged(reason) = judged_by(&schema, &json!({"a": 1})).await else {
            panic!("{shown} is usable")
        };
        assert!(reason.contains(why), "{shown}: {reason}");
    }
    // What refers to itself without end is no trouble.
    for schema in [json!({"$ref": "#"}), json!({"allOf": [{"$ref": "#"}]}), json!({})] {
        assert_eq!(judged_by(&schema, &json!({"a": {"a": {}}})).await, Judgement::Fits);
    }
}

/// Each level of the value doubles the time that its violations take to be found.
#[tokio::test]
async fn schema_that_takes_forever_holds_up_nothing() {
    let again = json!({"properties": {"x": {"$ref": "#/$defs/a"}}, "required": ["y"]});
    let schema = json!({"$defs": {"a": {"anyOf": [again, again]}}, "$ref": "#/$defs/a"});
    let value = (0..22).fold(json!({}), |inner, _| json!({ "x": inner }));
    let judge = Judge { time: Duration::from_millis(100), ..judge() };
    let schemas = judge.compile(Some(object(&schema)), None).await;
    let slow = judge.judge(schemas.input.as_ref(), &object(&value)).await;
    assert_eq!(slow, Judgement::NotJudged(SLOW.to_owned()));
    // It is not tried again, and other schemas are judged meanwhile.
    let again = judge.judge(schemas.input.as_ref(), &object(&json!({"y": 1}))).await;
    assert_eq!(again, Judgement::NotJudged(SLOW.to_owned()));
    let other = judge.compile(Some(object(&json!({"required": ["z"]}))), None).await;
    assert_eq!(judge.judge(other.input.as_ref(), &object(&json!({"z": 1}))).await, Judgement::Fits);
}
