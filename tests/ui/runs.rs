//! One run: its tree, its events, and that it stays what it is through reloads and
//! restarts.

use jarvis_run_coordinator::types::RunId;
use serde_json::{Value, json};

use crate::{
    browser::Look,
    page::{Page, visit},
    support::TestServer,
    world::{again, child, server, start},
};

const NODES: &str = ".node .title";

/// The numbers of the events, as the page has them.
async fn numbers(page: &Page) -> Vec<u64> {
    let texts = page.texts(".event .seq").await;
    texts.iter().map(|text| text.parse().expect("a number")).collect()
}

async fn all_numbers(page: &Page, newest: u64) {
    page.until(
        &format!("event {newest}"),
        "return [...document.querySelectorAll('.event .seq')].some((e) => e.innerText === String(arguments[0]))",
        &[newest.into()],
    )
    .await;
    assert_eq!(numbers(page).await, (1..=newest).collect::<Vec<_>>(), "each event once, in order");
}

#[tokio::test]
async fn run_of_10_000_nodes_opens_fast_and_scrolls() {
    const BRANCHES: usize = 20;
    const LEAVES: usize = 500;
    let bounds = [
        ("JARVIS_RUN_COORDINATOR_MAX_NODES_PER_RUN", "20000"),
        ("JARVIS_RUN_COORDINATOR_MAX_CHILDREN_PER_COMPOSITE", "1000"),
    ];
    let t = server(&[&bounds[..], &TestServer::IDLE[..]].concat()).await;
    let run = RunId::new("large");
    let root = start(&t, "large", "composite.accept", json!({})).await;
    for branch in t.children(&run, &root, &vec![child("composite.accept"); BRANCHES]).await {
        for _ in 0..LEAVES / 100 {
            t.children(&run, &branch.node_run_id, &vec![child("atomic.echo"); 100]).await;
        }
    }
    let total = 1 + BRANCHES + BRANCHES * LEAVES;
    visit("large", &t.operator_url(), Look::WIDE, async |page| {
        // The browser has the page's files after the first visit.
        page.open("/runs").await;
        page.sees("large").await;
        let measure = "
            const done = arguments[arguments.length - 1];
            const began = performance.now();
            let [rows, all] = [0, 0];
            location.hash = '#/runs/large';
            const look = () => {
              if (!rows && document.querySelectorAll('.node').length > 10) rows = performance.now() - began;
              if (/10,021 node runs/.test(document.querySelector('.panel .bar')?.innerText ?? '') && !/loading/.test(document.querySelector('.panel .bar').innerText)) all = performance.now() - began;
              if (all) done([rows, all]); else requestAnimationFrame(look);
            };
            look();";
        let times = page.browser.run_async(measure).await;
        println!("a run of {total} node runs: rows after {} ms, all after {} ms", times[0], times[1]);
        // In a release build on an idle machine it is a tenth of that.
        assert!(times[0].as_f64().expect("a time") < 5000.0, "{times}");
        let in_document = page.texts(".node").await.len();
        assert!((10..100).contains(&in_document), "{in_document} rows in the document");
        let scroll = "
            const done = arguments[arguments.length - 1];
            const grid = document.querySelector('.grid');
            const [steps, frames] = [60, []];
            let [step, before] = [0, performance.now()];
            const next = () => {
              const now = performance.now();
              frames.push(now - before);
              before = now;
              if (step++ === steps) { done(frames.sort((a, b) => a - b)[Math.floor(frames.length * 0.9)]); return; }
              grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * step / steps;
              requestAnimationFrame(next);
            };
            requestAnimationFrame(next);";
        let frame = page.browser.run_async(scroll).await;
        println!("scrolling from top to bottom: 90 % of frames within {frame} ms");
        let last = format!("1.{}.{total}", 1 + BRANCHES);
        page.texts_until("the last row", ".node .path", |paths| paths.last() == Some(&last)).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn tree_and_events_follow_the_run() {
    let t = server(&[]).await;
    let run = RunId::new("followed");
    let root = start(&t, "followed", "composite.accept", json!({})).await;
    visit("followed", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs/followed").await;
        page.texts_until("the root", NODES, |nodes| nodes == ["composite.accept"]).await;
        let made = t.children(&run, &root, &[child("atomic.hang"), child("atomic.echo")]).await;
        page.texts_until("its children", NODES, |nodes| nodes == ["composite.accept", "atomic.hang", "atomic.echo"])
            .await;
        // A reload in the middle shows the same, and goes on.
        page.browser.reload().await;
        page.texts_until("all of them", NODES, |nodes| nodes.len() == 3).await;
        t.executors.release(made[0].node_run_id.as_str());
        t.node_run_until(&made[0].node_run_id, |node| node.state.is_terminal()).await;
        let ended = "return document.querySelectorAll('.node .s-succeeded.icon').length === 2";
        page.until("the end of both", ended, &[]).await;
        t.complete(&root, "succeeded").await;
        page.texts_until("the end", ".facts .state", |states| states == ["Succeeded"]).await;
        page.sees("complete").await;
        let newest = t.events(&run).await.len() as u64;
        page.press(&format!("Events {newest}")).await;
        all_numbers(page, newest).await;
        let select = "document.querySelector('.bar select').value = arguments[0];
            document.querySelector('.bar select').dispatchEvent(new Event('change', { bubbles: true })); return true";
        page.browser.run(select, &["run_completed".into()]).await;
        page.texts_until("one of its type", ".event .kind", |kinds| kinds == ["run completed"]).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn events_go_on_without_a_gap_after_a_restart() {
    let t = server(&[]).await;
    let (operator, run) = (t.operator_url(), RunId::new("restarted"));
    let root = start(&t, "restarted", "composite.accept", json!({})).await;
    t.node_run_until(&root, |node| node.started_at.is_some()).await;
    let t = visit("restarted", &operator, Look::WIDE, async |page| {
        page.open("/runs/restarted?tab=events").await;
        let before = t.events(&run).await.len() as u64;
        all_numbers(page, before).await;
        let t = again(t, operator.trim_start_matches("http://")).await;
        let made = t.children(&run, &root, &[child("atomic.echo")]).await;
        t.node_run_until(&made[0].node_run_id, |node| node.state.is_terminal()).await;
        t.complete(&root, "succeeded").await;
        let after = t.events(&run).await.len() as u64;
        assert!(after > before);
        all_numbers(page, after).await;
        page.texts_until("the end", ".facts .state", |states| states == ["Succeeded"]).await;
        t
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn node_run_shows_its_record_and_what_is_large_in_part() {
    let t = server(&[]).await;
    let text = "x".repeat(60_000);
    let request = json!({"run_id": "full", "input": {"note": "short", "text": text},
        "root_node_type_ref": {"node_type_id": "atomic.busy-once", "version": "1.0.0"}});
    let started: Value = t.post("/v1/runs", &request).await.ok();
    t.run_ended(&RunId::new("full")).await;
    visit("record", &t.operator_url(), Look::WIDE, async |page| {
        page.open(&format!("/runs/full?node={}", started["root_node_run_id"].as_str().expect("an id"))).await;
        page.sees("\"note\": \"short\"").await;
        page.sees("Outputs").await;
        let length = "return document.querySelector('.side pre').innerText.length";
        let short = page.browser.run(length, &[]).await.as_u64().expect("a length");
        assert!(short < 20_000, "{short}");
        let more = page.until("more of it", "return document.querySelector('.side .more')", &[]).await;
        page.browser.click(&more).await;
        let all = format!("{length} > 60000");
        page.until("all of it", &all, &[]).await;
        page.sees("Earlier attempts").await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn unknown_run_is_named_as_such() {
    let t = server(&[]).await;
    visit("unknown", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs/nothing").await;
        page.sees("This run does not exist").await;
        page.sees("run_not_found").await;
    })
    .await;
    t.stop().await;
}
