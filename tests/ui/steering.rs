//! Runs, node runs and dispatch are steered with buttons, and what was done is seen
//! where a person looks for it: at the run, in the audit trail.

use jarvis_run_coordinator::types::{NodeRunState, RunId};
use serde_json::json;

use crate::{
    browser::Look,
    page::{Page, visit},
    support::{Answer, Receiver, TestServer},
    world::{LISTEN, child, server, start, start_gated},
};

/// Makes a wake-up due in a distant future.
const LATER: &str = "UPDATE node_runs SET wake_at = 4000000000000000, deadline = 4000000000000000,
                     body = json_set(body, '$.deadline', '2096-10-02T07:06:40.000000Z') WHERE node_run_id = ?";

/// The place of the work of all runs.
const WORK: &str = "work";

const STATE: &str = ".facts .state";

/// Answers the dialog that is open.
async fn because(page: &Page, reason: &str, button: &str) {
    page.fill("Reason", reason).await;
    page.press(button).await;
    page.until("no dialog", "return !document.querySelector('dialog')", &[]).await;
}

/// Opens the run, and the node run in its first row.
async fn open_root(page: &Page, run: &str) {
    page.open(&format!("/runs/{run}")).await;
    let row = page.until("the row", "return document.querySelector('.node')", &[]).await;
    page.browser.click(&row).await;
}

#[tokio::test]
async fn held_run_says_why_and_goes_on_when_it_is_released() {
    let t = server(&[]).await;
    let root = start(&t, "held", "composite.accept", json!({})).await;
    t.node_run_in(&root, NodeRunState::Running).await;
    visit("held", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs/held").await;
        page.texts_until("it goes on", STATE, |states| states == ["Running"]).await;
        page.press("Hold").await;
        because(page, "look at its inputs", "Hold").await;
        page.texts_until("it is held", STATE, |states| states == ["Held"]).await;
        let made = t.children(&RunId::new("held"), &root, &[child("atomic.echo")]).await;
        page.sees("held by dev: look at its inputs").await;
        assert!(!page.offers("Hold").await, "what is held cannot be held");
        page.open("/runs").await;
        page.texts_until("the list says so", "table.runs tbody td:first-child", |all| all == ["Held"]).await;
        assert_eq!(t.node_run(&made[0].node_run_id).await.state, NodeRunState::Queued);
        page.open("/runs/held").await;
        page.press("Release").await;
        because(page, "they are right", "Release").await;
        page.texts_until("it goes on", STATE, |states| states == ["Running"]).await;
        t.node_run_in(&made[0].node_run_id, NodeRunState::Succeeded).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn ended_run_is_repeated_and_the_new_one_is_shown() {
    let t = server(&[]).await;
    start(&t, "first", "atomic.echo", json!({})).await;
    t.run_ended(&RunId::new("first")).await;
    visit("repeated", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs/first").await;
        page.press("Run again").await;
        because(page, "the model is better now", "Run again").await;
        page.sees("repeats first").await;
        let address = page.browser.address().await;
        assert!(address.contains("#/runs/run_"), "the new run is shown: {address}");
        page.texts_until("it ends", STATE, |states| states == ["Succeeded"]).await;
        page.press("first").await;
        page.until("the original", "return location.hash === '#/runs/first'", &[]).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn node_run_that_waits_for_its_next_try_is_woken() {
    let t = server(&TestServer::IDLE).await;
    let root = start(&t, "waits", "atomic.echo", json!({})).await;
    let t = t.tampered(&[LISTEN], &[(LATER, root.as_str())]).await;
    visit("woken", &t.operator_url(), Look::WIDE, async |page| {
        open_root(page, "waits").await;
        page.press("Wake").await;
        because(page, "it is repaired", "Wake").await;
        page.sees("Woken").await;
        page.texts_until("its end", ".side .state", |states| states == ["Succeeded"]).await;
        assert!(!page.offers("Wake").await, "what has ended waits for nothing");
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn cancel_reports_what_became_of_each_node_run() {
    let t = server(&[]).await;
    let run = RunId::new("plan");
    let root = start(&t, "plan", "composite.accept", json!({})).await;
    t.node_run_in(&root, NodeRunState::Running).await;
    let made = t.children(&run, &root, &["atomic.hang", "atomic.echo"].map(child)).await;
    t.node_run_in(&made[0].node_run_id, NodeRunState::Running).await;
    t.node_run_in(&made[1].node_run_id, NodeRunState::Succeeded).await;
    visit("canceled", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs/plan").await;
        page.press("Cancel run").await;
        page.sees("This cannot be undone").await;
        because(page, "wrong city", "Cancel run").await;
        page.texts_until("its end", STATE, |states| states == ["Canceled"]).await;
        page.sees("Canceled by dev: wrong city").await;
        page.sees("2 acknowledged by their executors").await;
        page.press("Show them").await;
        page.press("1.2").await;
        page.texts_until("the node run", ".side h2", |names| names == ["atomic.hang"]).await;
        assert!(!page.offers("Cancel run").await && page.offers("Run again").await);
        // The tab of the audit trail has it as well.
        page.press("Audit").await;
        page.texts_until("what was asked for", ".audit td:nth-child(3)", |all| {
            all.iter().any(|operation| operation == "cancel run with report")
        })
        .await;
        page.sees("wrong city").await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn dispatch_is_paused_for_a_type_and_resumed() {
    let t = server(&[]).await;
    visit("paused", &t.operator_url(), Look::WIDE, async |page| {
        page.open(&format!("/{WORK}")).await;
        page.press("Pause dispatch").await;
        page.fill("Reason", "broken tool").await;
        let choice = "return [...document.querySelectorAll('dialog label')].find((e) => e.innerText === 'A node type')";
        let choice = page.until("the choice", choice, &[]).await;
        page.browser.click(&choice).await;
        let disabled = "return document.querySelector('dialog button[type=submit]').disabled";
        page.until("a name is needed", disabled, &[]).await;
        page.fill("Id of the node type", "atomic.echo").await;
        page.press("Pause dispatch").await;
        page.sees("Dispatch is paused for node type atomic.echo").await;
        page.sees("broken tool · by dev").await;
        let root = start(&t, "kept", "atomic.echo", json!({})).await;
        page.open("/runs/kept").await;
        page.sees("Dispatch is paused for node_type atomic.echo by dev: broken tool").await;
        assert_eq!(t.node_run(&root).await.state, NodeRunState::Queued);
        page.open(&format!("/{WORK}")).await;
        page.press("Resume").await;
        because(page, "mended", "Resume").await;
        t.node_run_in(&root, NodeRunState::Succeeded).await;
        page.until("no pause", "return !document.querySelector('.pauses')", &[]).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn audit_trail_is_filtered_and_leads_to_runs() {
    let t = server(&[]).await;
    start(&t, "mine", "atomic.hang", json!({"metadata": {"labels": {"team": "blue"}}})).await;
    start(&t, "other", "atomic.hang", json!({})).await;
    t.cancel(&RunId::new("other")).await;
    visit("audit", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/audit").await;
        let operations = ".audit td:nth-child(3)";
        page.texts_until("three", operations, |all| all == ["cancel run", "start run", "start run"]).await;
        page.fill("Operation", "cancel_run").await;
        page.texts_until("the cancel", operations, |all| all == ["cancel run"]).await;
        assert!(page.browser.address().await.ends_with("#/audit?operation=cancel_run"));
        page.press("other").await;
        page.until("the run", "return location.hash.startsWith('#/runs/other')", &[]).await;
        // Labels lead to the runs that have them.
        page.open("/runs/mine").await;
        page.press("team=blue").await;
        page.texts_until("the run", "table.runs tbody th", |runs| runs == ["mine"]).await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn system_shows_settings_without_secrets_and_webhooks() {
    let key = format!("{}=", "k".repeat(43));
    let receiver = Receiver::start();
    let t = server(&[
        ("JARVIS_RUN_COORDINATOR_SECRETS_KEY", &key),
        receiver.target(),
        ("JARVIS_RUN_COORDINATOR_TOKEN", "hush-hush"),
    ])
    .await;
    let hook = json!({"url": format!("{}/hook", receiver.url()), "events": ["run.completed"]});
    let made = Answer::of(t.operator_request("POST", "/x/webhooks").json(&hook)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    visit("settings", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/system").await;
        page.sees(&format!("{}/hook", receiver.url())).await;
        page.sees("JARVIS_RUN_COORDINATOR_APPROVALS").await;
        let text = page.text().await;
        assert!(!text.contains("hush") && !text.contains(&key) && text.contains("***"), "{text}");
        assert!(!text.contains("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT"), "it is as by default");
        page.press("Defaults too").await;
        page.sees("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT").await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn denied_node_run_fails_with_the_reason() {
    let t = server(&[]).await;
    start_gated(&t, "denied").await;
    visit("denied", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/approvals").await;
        page.press("Deny").await;
        page.sees("The node run fails").await;
        because(page, "too expensive", "Deny").await;
        page.sees("Nothing waits for an approval").await;
        open_root(page, "denied").await;
        page.texts_until("its end", STATE, |states| states == ["Failed"]).await;
        page.sees("too expensive").await;
    })
    .await;
    t.stop().await;
}
