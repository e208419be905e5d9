//! Lists: runs and approvals, their filters and pages, the way to one.

use jarvis_run_coordinator::types::RunId;
use serde_json::json;

use crate::{
    browser::Look,
    page::visit,
    world::{server, start, start_gated},
};

const ROWS: &str = "table.runs tbody th";

#[tokio::test]
async fn filters_of_the_list_are_in_the_address() {
    let t = server(&[]).await;
    for (run, node_type) in [
        ("alpha-1", "atomic.echo"),
        ("alpha-2", "atomic.fail"),
        ("beta-1", "atomic.echo"),
        ("beta-2", "composite.accept"),
    ] {
        start(&t, run, node_type, json!({})).await;
    }
    for run in ["alpha-1", "alpha-2", "beta-1"] {
        t.run_ended(&RunId::new(run)).await;
    }
    visit("filters", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        let all = page.texts_until("all runs", ROWS, |rows| rows.len() == 4).await;
        assert_eq!(all, ["beta-2", "beta-1", "alpha-2", "alpha-1"], "the newest first");
        page.press("Failed 1").await;
        page.texts_until("the failed one", ROWS, |rows| rows == ["alpha-2"]).await;
        assert!(page.browser.address().await.ends_with("#/runs?view=failed"));
        page.browser.reload().await;
        page.texts_until("the failed one again", ROWS, |rows| rows == ["alpha-2"]).await;
        page.press("All 4").await;
        page.fill("Id begins with", "beta").await;
        page.texts_until("those of the id", ROWS, |rows| rows == ["beta-2", "beta-1"]).await;
        assert!(page.browser.address().await.ends_with("#/runs?id_prefix=beta"));
        page.fill("Node type", "atomic.echo").await;
        page.texts_until("those of the type", ROWS, |rows| rows == ["beta-1"]).await;
        page.press("Clear").await;
        page.texts_until("all runs", ROWS, |rows| rows.len() == 4).await;
        page.open("/runs?owner=another").await;
        page.sees("No runs fit").await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn new_runs_are_announced_and_do_not_move_the_list() {
    let t = server(&[]).await;
    start(&t, "first", "atomic.hang", json!({})).await;
    visit("announced", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        page.texts_until("the first", ROWS, |rows| rows == ["first"]).await;
        let second = start(&t, "second", "atomic.echo", json!({})).await;
        t.node_run_until(&second, |node| node.state.is_terminal()).await;
        page.sees("Show 1 new run").await;
        assert_eq!(page.texts(ROWS).await, ["first"]);
        // What is in the list changes in its place.
        t.cancel(&RunId::new("first")).await;
        page.texts_until("its end", "table.runs tbody td:first-child", |states| states == ["Canceled"]).await;
        page.press("Show 1 new run").await;
        page.texts_until("both", ROWS, |rows| rows == ["second", "first"]).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn search_leads_to_a_run_or_to_those_that_begin_so() {
    let t = server(&[]).await;
    for run in ["plan-1", "plan-12", "other"] {
        start(&t, run, "atomic.hang", json!({})).await;
    }
    visit("search", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        page.texts_until("all", ROWS, |rows| rows.len() == 3).await;
        for (typed, place) in
            [("plan-1", "#/runs/plan-1"), ("oth", "#/runs/other"), ("plan", "#/runs?id_prefix=plan")]
        {
            page.browser.press(&["/"]).await;
            let focused = "return document.activeElement.name === 'run'";
            page.until("the focus in the search", focused, &[]).await;
            let letters: Vec<String> = typed.chars().map(String::from).collect();
            page.browser.press(&letters.iter().map(String::as_str).collect::<Vec<_>>()).await;
            page.browser.press(&["\u{E007}"]).await;
            let there = "return location.hash === arguments[0]";
            page.until(place, there, &[place.into()]).await;
        }
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn pages_of_the_list_have_each_run_once() {
    let t = server(&crate::support::TestServer::IDLE).await;
    for run in 0..120 {
        start(&t, &format!("run-{run}"), "atomic.echo", json!({})).await;
    }
    visit("pages", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        let mut seen = Vec::new();
        for count in [50, 50, 20] {
            let rows = page
                .texts_until("a page", ROWS, |rows| rows.len() == count && !seen.contains(&rows[0]))
                .await;
            seen.extend(rows);
            if count == 50 {
                page.press("Older").await;
            }
        }
        let newest_first: Vec<String> = (0..120).rev().map(|run| format!("run-{run}")).collect();
        assert_eq!(seen, newest_first);
        assert!(!page.offers("Older").await);
        page.press("Newest").await;
        page.texts_until("the first page", ROWS, |rows| rows.first().is_some_and(|row| row == "run-119"))
            .await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn approvals_are_listed_and_counted_until_decided() {
    let t = server(&[]).await;
    for run in ["one", "two"] {
        start_gated(&t, run).await;
    }
    visit("approvals", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/approvals").await;
        page.texts_until("both", ".approval a", |runs| runs == ["one", "two"]).await;
        page.until("their number", "return document.querySelector('nav .number')?.innerText === '2'", &[])
            .await;
        page.press("Deny").await;
        page.fill("Reason", "not today").await;
        page.press("Deny").await;
        page.texts_until("the other", ".approval a", |runs| runs.len() == 1).await;
        page.press("Approve").await;
        page.fill("Reason", "as agreed").await;
        page.press("Approve").await;
        page.sees("Nothing waits for an approval").await;
    })
    .await;
    let states = [t.run_ended(&RunId::new("one")).await.state, t.run_ended(&RunId::new("two")).await.state];
    assert_eq!(states.map(|state| state.to_string()), ["succeeded", "failed"]);
    t.stop().await;
}
