//! What waits for an approval: the list and its pages, decisions.

use std::collections::BTreeSet;

use jarvis_run_coordinator::types::{RunId, RunState};
use serde_json::{Value, json};

use super::{LISTEN, PARK, get, listed, post, start_gated};
use crate::support::{Answer, TestServer};

#[tokio::test]
async fn approved_run_goes_on_and_denied_run_fails() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    for run in ["good", "bad"] {
        start_gated(&t, run).await;
    }
    let waiting = listed(&t, 2).await;
    for approval in &waiting {
        assert_eq!(approval["demanded_by"], "gate", "{approval}");
        assert_eq!(approval["node_type_ref"], json!({"node_type_id": "atomic.echo", "version": "1.0.0"}));
        assert!(!approval.to_string().contains("secret"), "no inputs: {approval}");
        let id = approval["approval_id"].as_str().expect("an id");
        assert_eq!(get(&t, &format!("/x/approvals/{id}")).await.ok(), *approval);
    }
    let id_of = |run: &str| {
        let approval = waiting.iter().find(|approval| approval["run_id"] == run).expect("it waits");
        approval["approval_id"].as_str().expect("an id").to_owned()
    };
    for (run, verb, outcome, state) in
        [("good", "approve", "approved", RunState::Succeeded), ("bad", "deny", "denied", RunState::Failed)]
    {
        let path = format!("/x/approvals/{}", id_of(run));
        let body = json!({"reason": "as agreed"});
        let decided = post(&t, &format!("{path}:{verb}"), &body).await.ok();
        assert_eq!(
            (&decided["decision"]["outcome"], &decided["decision"]["reason"]),
            (&json!(outcome), &json!("as agreed"))
        );
        assert_eq!(decided["decision"]["by"], json!({"kind": "caller", "principal": {"subject": "dev"}}));
        assert_eq!(t.run_ended(&RunId::new(run)).await.state, state);
        // The same again changes nothing; the other is too late.
        assert_eq!(post(&t, &format!("{path}:{verb}"), &body).await.ok()["decision"], decided["decision"]);
        let other = if verb == "deny" { "approve" } else { "deny" };
        post(&t, &format!("{path}:{other}"), &body).await.refused(409, "approval_already_decided");
    }
    assert_eq!(get(&t, "/x/approvals").await.ok(), json!({"items": []}));
    t.stop().await;
}

#[tokio::test]
async fn pages_of_the_list_have_everything_once() {
    const COUNT: usize = 45;
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    for run in 0..COUNT {
        start_gated(&t, &format!("run-{run}")).await;
    }
    let all = listed(&t, COUNT).await;
    assert!(all.is_sorted_by_key(|approval| approval["requested_at"].as_str().map(str::to_owned)));
    for limit in [1, 7, 44, 45, 1000] {
        let (mut seen, mut pages, mut token) = (Vec::new(), 0, String::new());
        loop {
            let page = get(&t, &format!("/x/approvals?limit={limit}{token}")).await.ok();
            let items = page["items"].as_array().expect("items").clone();
            assert!(items.len() <= limit, "{limit}");
            seen.extend(items);
            pages += 1;
            let Some(next) = page["next_page"].as_str() else { break };
            token = format!("&page_token={next}");
        }
        assert_eq!(seen, all, "{limit}");
        assert!(pages <= COUNT / limit + 1, "{limit}: {pages}");
    }
    let of_one = get(&t, "/x/approvals?run_id=run-7").await.ok();
    assert_eq!(of_one["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(of_one["items"][0]["run_id"], "run-7");
    t.stop().await;
}

#[tokio::test]
async fn ids_bodies_and_tokens_that_are_wrong_are_named() {
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    start_gated(&t, "r").await;
    let id = listed(&t, 1).await[0]["approval_id"].as_str().expect("an id").to_owned();
    let (node, _) = id.rsplit_once('.').expect("a number");
    let reason = json!({"reason": "x"});
    // Ids that no approval can have.
    for bad in ["x", "x.", "x.0", "x.01", "x.-1", ".1", "x.1%20", "x%3A1", "x.99999999999", node] {
        let answer = get(&t, &format!("/x/approvals/{bad}")).await;
        assert_eq!(answer.complaints(), [("value_error".to_owned(), "path.approval_id".to_owned())], "{bad}");
    }
    // Ids that none has: another node, another number.
    for unknown in ["node_run_0.1", &format!("{node}.2"), &format!("{node}:approve.1"), "%E2%80%AE.1", "..1"]
    {
        get(&t, &format!("/x/approvals/{unknown}")).await.refused(404, "approval_not_found");
        post(&t, &format!("/x/approvals/{unknown}:approve"), &reason)
            .await
            .refused(404, "approval_not_found");
    }
    // The verb is behind the last colon, encoded or not.
    for path in [format!("/x/approvals/{id}:explode"), format!("/x/approvals/{id}")] {
        post(&t, &path, &reason).await.refused(405, "http_error");
    }
    for path in [
        format!("/x/approvals/{id}/:approve"),
        "/x/approvals/%2E%2F:approve".to_owned(),
        format!("/x//approvals/{id}"),
    ] {
        post(&t, &path, &reason).await.refused(404, "http_error");
    }
    for (body, kind, place) in [
        (json!({}), "missing", "body.reason"),
        (json!({"reason": ""}), "string_too_short", "body.reason"),
        (json!({"reason": " "}), "string_too_short", "body.reason"),
        (json!({"reason": 1}), "string_type", "body.reason"),
        (json!({"reason": null}), "string_type", "body.reason"),
        (json!({"reason": "x".repeat(2000)}), "string_too_long", "body.reason"),
        (json!({"reason": "x", "force": true}), "extra_forbidden", "body.force"),
        (json!([]), "model_attributes_type", "body"),
    ] {
        let answer = post(&t, &format!("/x/approvals/{id}:approve"), &body).await;
        assert_eq!(answer.complaints(), [(kind.to_owned(), place.to_owned())], "{body}");
    }
    for query in [
        "page_token=",
        "page_token=x",
        "page_token=eyJ2IjoidjEifQ==",
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=99999999999",
        "page_token=x&page_token=y",
    ] {
        get(&t, &format!("/x/approvals?{query}")).await.refused(400, "invalid_request");
    }
    // Nothing of it was a decision.
    assert_eq!(listed(&t, 1).await.len(), 1);
    let encoded = format!("/x/approvals/{id}%3Aapprove");
    post(&t, &encoded, &reason).await.ok();
    t.stop().await;
}

/// A token names a place, and nothing else: made up, it shows what the list shows.
#[tokio::test]
async fn forged_page_tokens_select_a_place_and_nothing_else() {
    use base64::{Engine, prelude::BASE64_URL_SAFE};
    let t = TestServer::start_with(&[LISTEN, PARK]).await;
    for run in ["a", "b"] {
        start_gated(&t, run).await;
    }
    let all: BTreeSet<String> = listed(&t, 2).await.iter().map(Value::to_string).collect();
    let token = |page: Value| BASE64_URL_SAFE.encode(page.to_string());
    let ask = async |token: &str| get(&t, &format!("/x/approvals?page_token={token}")).await;
    for (place, count) in
        [("-9223372036854775808.", 2), ("9223372036854775807.zzz", 0), ("0.'; DROP TABLE runs;--", 2)]
    {
        let answer = ask(&token(json!({"v": "v1", "page_start": {"after_approval": place}}))).await.ok();
        let items = answer["items"].as_array().expect("items");
        assert_eq!(items.len(), count, "{place}");
        assert!(items.iter().all(|item| all.contains(&item.to_string())), "{place}");
    }
    for page in [
        json!({"v": "v1", "page_start": {"after_approval": "x.y"}}),
        json!({"v": "v1", "page_start": {"after_approval": 1}}),
        json!({"v": "v1", "page_start": {"after_run": "1.x"}}),
        json!({"v": "v1", "page_start": {"after_approval": "0.x", "after_run": "1.x"}}),
        json!({"v": "v1", "page_start": {}}),
        json!({"v": "v2", "page_start": {"after_approval": "0.x"}}),
        json!({"v": "v1", "page_start": {"after_approval": format!("0.{}", "x".repeat(500))}}),
    ] {
        ask(&token(page.clone())).await.refused(400, "invalid_request");
    }
    let huge = "A".repeat(20_000);
    let answer: Answer = ask(&huge).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    t.stop().await;
}
