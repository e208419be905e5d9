//! What a person does: each act asks for a reason, and its result is seen.

use jarvis_run_coordinator::types::RunId;

use crate::{
    browser::Look,
    page::visit,
    world::{server, start_gated},
};

#[tokio::test]
async fn waiting_run_says_why_and_its_approval_asks_for_a_reason() {
    let t = server(&[]).await;
    start_gated(&t, "gated").await;
    visit("gated", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs/gated").await;
        page.sees("A person has to act").await;
        page.sees("approval").await;
        page.texts_until("its node", ".node .title", |nodes| nodes == ["atomic.echo"]).await;
        let row = page.until("the row", "return document.querySelector('.node')", &[]).await;
        page.browser.click(&row).await;
        page.press("Approve").await;
        // Without a reason nothing can be sent.
        let disabled = "return document.querySelector('dialog button[type=submit]').disabled";
        assert_eq!(page.browser.run(disabled, &[]).await, true);
        page.fill("Reason", "  ").await;
        assert_eq!(page.browser.run(disabled, &[]).await, true, "blanks are no reason");
        page.browser.press(&["\u{E00C}"]).await;
        page.until("no dialog", "return !document.querySelector('dialog')", &[]).await;
        assert_eq!(t.run(&RunId::new("gated")).await.state.to_string(), "running", "nothing has happened");
        page.press("Approve").await;
        page.fill("Reason", "as agreed").await;
        page.press("Approve").await;
        page.texts_until("the end", ".facts .state", |states| states == ["Succeeded"]).await;
        page.sees("approved: as agreed").await;
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn refused_act_says_why_and_keeps_what_was_typed() {
    let t = server(&[]).await;
    start_gated(&t, "raced").await;
    visit("raced", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/approvals").await;
        page.press("Approve").await;
        page.fill("Reason", "as agreed").await;
        // Another person is faster.
        t.cancel(&RunId::new("raced")).await;
        page.press("Approve").await;
        page.sees("approval_ended").await;
        let typed = "return document.querySelector('dialog textarea').value";
        assert_eq!(page.browser.run(typed, &[]).await, "as agreed");
    })
    .await;
    t.stop().await;
}

#[tokio::test]
async fn acts_can_be_copied_as_commands() {
    let t = server(&[]).await;
    start_gated(&t, "copied").await;
    visit("copied", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/approvals").await;
        page.press("Approve").await;
        page.fill("Reason", "it's fine").await;
        // A clipboard of the test's own: browsers without a screen have none.
        let record = "Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied = text; } } })";
        page.browser.run(record, &[]).await;
        page.press("Copy as curl").await;
        page.sees("curl command copied").await;
        let copied = page.browser.run("return window.copied", &[]).await;
        let copied = copied.as_str().expect("text");
        assert!(copied.starts_with("curl -X POST http://127.0.0.1:") && copied.contains(":approve"), "{copied}");
        assert!(copied.contains(r#"'{"reason":"it'\''s fine"}'"#), "quoted for a shell: {copied}");
        page.press("Copy as command").await;
        page.sees("Command copied").await;
        let copied = page.browser.run("return window.copied", &[]).await;
        let copied = copied.as_str().expect("text");
        assert!(copied.starts_with("jarvis-run-coordinator approvals approve node_run_"), "{copied}");
        assert!(copied.ends_with(r"--reason 'it'\''s fine'"), "{copied}");
    })
    .await;
    t.stop().await;
}
