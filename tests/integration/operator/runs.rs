//! Runs: listed, counted, and the tree of one; the attempts of a node run.

use jarvis_run_coordinator::types::{NodeRunId, RunId, RunState};
use serde_json::{Value, json};

use super::{LISTEN, get};
use crate::support::TestServer;

fn ids(page: &Value, member: &str) -> Vec<String> {
    let items = page["items"].as_array().expect("items").iter();
    items.map(|item| item[member].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn runs_are_listed_counted_and_searched() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for run in ["a-1", "a-2", "b-1"] {
        t.run_start_with("atomic.echo", json!({"secret": 1}), json!({"run_id": run})).await;
        assert_eq!(t.run_ended(&RunId::new(run)).await.state, RunState::Succeeded);
    }
    t.run_start_with("atomic.fail", json!({}), json!({"run_id": "a-3"})).await;
    t.run_ended(&RunId::new("a-3")).await;
    t.run_start_with("composite.accept", json!({}), json!({"run_id": "b-2"})).await;
    let all = get(&t, "/x/runs").await.ok();
    assert_eq!(ids(&all, "run_id"), ["b-2", "a-3", "b-1", "a-2", "a-1"]);
    assert!(!all.to_string().contains("secret"), "{all}");
    let newest = &all["items"][0];
    assert_eq!((&newest["state"], &newest["owner"]), (&json!("running"), &json!({"subject": "dev"})));
    assert_eq!(newest["node_type_ref"], json!({"node_type_id": "composite.accept", "version": "1.0.0"}));
    let failed = &all["items"][1];
    assert_eq!(failed["state"], "failed");
    let started = all["items"][2]["started_at"].as_str().expect("a time").to_owned();
    for (query, expected) in [
        ("state=failed".to_owned(), &["a-3"][..]),
        ("state=running".to_owned(), &["b-2"]),
        (format!("error_code={}", failed["error_code"].as_str().expect("a code")), &["a-3"]),
        ("node_type=atomic.echo".to_owned(), &["b-1", "a-2", "a-1"]),
        ("id_prefix=a-".to_owned(), &["a-3", "a-2", "a-1"]),
        ("owner=dev&id_prefix=b".to_owned(), &["b-2", "b-1"]),
        ("owner=other".to_owned(), &[]),
        ("tenant=acme".to_owned(), &[]),
        (format!("started_before={started}"), &["a-2", "a-1"]),
        (format!("started_after={started}"), &["b-2", "a-3", "b-1"]),
    ] {
        let found = get(&t, &format!("/x/runs?{query}")).await.ok();
        assert_eq!(ids(&found, "run_id"), expected, "{query}");
        let counts = get(&t, &format!("/x/runs:count?by=state&{query}")).await.ok();
        let count: u64 = counts["runs"].as_object().expect("counts").values().filter_map(Value::as_u64).sum();
        assert_eq!(count, expected.len() as u64, "{query}");
    }
    let counts = get(&t, "/x/runs:count?by=state").await.ok();
    assert_eq!(counts, json!({"runs": {"failed": 1, "running": 1, "succeeded": 3}}));
    // Pages, with the filter given again.
    let first = get(&t, "/x/runs?id_prefix=a-&limit=2").await.ok();
    let token = first["next_page"].as_str().expect("more");
    let rest = get(&t, &format!("/x/runs?id_prefix=a-&limit=2&page_token={token}")).await.ok();
    assert_eq!(
        (ids(&first, "run_id"), ids(&rest, "run_id")),
        (vec!["a-3".into(), "a-2".into()], vec!["a-1".into()])
    );
    assert_eq!(rest["next_page"], Value::Null);
    for (name, value) in [
        ("state", "lost"),
        ("started_after", "yesterday"),
        ("started_before", "1"),
        ("attention", "maybe"),
        ("page_token", "x"),
        ("limit", "0"),
    ] {
        let answer = get(&t, &format!("/x/runs?{name}={value}")).await;
        let error = answer.refused(400, "invalid_request");
        assert_eq!(error["details"]["errors"][0]["loc"], json!(["query", name]), "{}", answer.text);
        assert!(!answer.text.contains(&format!("\"{value}\"")), "{}", answer.text);
    }
    for query in ["", "?by=tenant"] {
        let error = get(&t, &format!("/x/runs:count{query}")).await.refused(400, "invalid_request");
        assert_eq!(error["details"]["errors"][0]["loc"], json!(["query", "by"]));
    }
    // A token of another list is none of this.
    get(&t, &format!("/x/approvals?page_token={token}")).await.refused(400, "invalid_request");
    t.stop().await;
}

#[tokio::test]
async fn tree_of_a_run_is_read_in_pages() {
    let t = TestServer::start_with(&[LISTEN]).await;
    let run = t.run_start_with("composite.accept", json!({}), json!({"run_id": "r"})).await;
    let root = run.root_node_run_id.clone();
    t.node_run_in(&root, jarvis_run_coordinator::types::NodeRunState::Running).await;
    let spec =
        json!({"node_type_ref": {"node_type_id": "composite.accept", "version": "1.0.0"}, "inputs": {}});
    let children = t.children(&run.run_id, &root, &vec![spec.clone(); 12]).await;
    let below = t.children(&run.run_id, &children[0].node_run_id, &[spec]).await;
    let whole = get(&t, "/x/runs/r/tree").await.ok();
    assert_eq!(whole["items"].as_array().map(Vec::len), Some(14));
    assert_eq!((&whole["items"][0]["path"], &whole["items"][0]["children"]), (&json!("1"), &json!(12)));
    let mut paged = Vec::new();
    let mut token = String::new();
    loop {
        let page = get(&t, &format!("/x/runs/r/tree?limit=5{token}")).await.ok();
        paged.extend(page["items"].as_array().expect("items").clone());
        let Some(next) = page["next_page"].as_str() else { break };
        token = format!("&page_token={next}");
    }
    // The children are being dispatched meanwhile: their states may differ.
    assert_eq!(ids(&json!({"items": paged}), "node_run_id"), ids(&whole, "node_run_id"));
    let under: &NodeRunId = &children[0].node_run_id;
    let subtree = get(&t, &format!("/x/runs/r/tree?under={under}")).await.ok();
    let expected = [under, &below[0].node_run_id].map(|id| id.as_str().to_owned());
    assert_eq!(ids(&subtree, "node_run_id"), expected);
    get(&t, "/x/runs/r/tree?under=nowhere").await.refused(404, "node_run_not_found");
    get(&t, "/x/runs/nowhere/tree").await.refused(404, "run_not_found");
    get(&t, "/x/node-runs/nowhere/attempts").await.refused(404, "node_run_not_found");
    assert_eq!(get(&t, &format!("/x/node-runs/{under}/attempts")).await.ok(), json!({"items": []}));
    t.stop().await;
}
