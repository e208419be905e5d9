//! For everyone: the keyboard alone, names and contrast (axe), dark and light, narrow
//! screens. Each page is kept as a picture.

use std::{env, fs};

use serde_json::Value;

use crate::{
    browser::Look,
    page::{Page, visit},
    world::{pictured, weekend},
};

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";
const LEFT: &str = "\u{E012}";
const UP: &str = "\u{E013}";
const RIGHT: &str = "\u{E014}";
const DOWN: &str = "\u{E015}";

/// What axe finds wrong with the page as it is now.
async fn findings(page: &Page, axe: &str) -> Vec<String> {
    page.browser.run(&format!("{axe}; window.axe = axe; return true"), &[]).await;
    let check = "
        const done = arguments[arguments.length - 1];
        axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
          .then(({ violations }) => done(violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`))),
            (error) => done([String(error)]));";
    let found = page.browser.run_async(check).await;
    serde_json::from_value(found).expect("texts")
}

/// A page, and a script that says whether it shows what it is for.
const PAGES: [(&str, &str, &str); 7] = [
    ("runs", "runs", "return document.querySelectorAll('table.runs tbody tr').length === 6"),
    (
        "run",
        "runs/weekend-lisbon",
        "return document.querySelectorAll('.node').length === 8 && document.querySelector('.why .sentence')",
    ),
    ("events", "runs/weekend-lisbon?tab=events", "return document.querySelectorAll('.event').length > 10"),
    ("approvals", "approvals", "return document.querySelector('.approval .acts')"),
    ("work", "work", "return document.querySelector('.tiles')"),
    ("audit", "audit", "return document.querySelectorAll('.audit tbody tr').length > 5"),
    (
        "system",
        "system",
        "return document.querySelectorAll('.checks li').length > 2 && document.querySelector('.value') && document.querySelectorAll('.curve.a')[5]?.getAttribute('d').includes('L')",
    ),
];

#[tokio::test]
async fn pages_are_accessible_in_all_looks_and_pictured() {
    let axe = env::var("UI_AXE").ok().map(|path| fs::read_to_string(path).expect("axe"));
    let (t, _executors) = pictured().await;
    weekend(&t).await;
    for (name, look) in [
        ("light", Look::WIDE),
        ("dark", Look::WIDE.dark()),
        ("narrow", Look::NARROW),
        ("narrow-dark", Look::NARROW.dark()),
    ] {
        visit(&format!("looks-{name}"), &t.operator_url(), look, async |page| {
            for (place, path, shown) in PAGES {
                page.open(&format!("/{path}")).await;
                page.until(&format!("{place}, {name}"), shown, &[]).await;
                // Of narrow screens, one is enough to look at.
                if !name.starts_with("narrow") || (place, name) == ("run", "narrow") {
                    page.picture(&format!("{place}-{name}")).await;
                }
                let wide =
                    "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
                assert_eq!(
                    page.browser.run(wide, &[]).await,
                    0,
                    "{place}, {name}: the page scrolls sideways"
                );
                if let Some(axe) = &axe {
                    let found = findings(page, axe).await;
                    assert_eq!(found, Vec::<String>::new(), "{place}, {name}");
                }
            }
        })
        .await;
    }
    t.stop().await;
}

#[tokio::test]
async fn keyboard_alone_finds_a_node_run_and_opens_a_dialog() {
    let axe = env::var("UI_AXE").ok().map(|path| fs::read_to_string(path).expect("axe"));
    let (t, _executors) = pictured().await;
    weekend(&t).await;
    visit("keyboard", &t.operator_url(), Look::WIDE, async |page| {
        page.open("/runs").await;
        page.until("the runs", PAGES[0].2, &[]).await;
        tab_to(page, "return document.activeElement.innerText === 'weekend-lisbon'").await;
        page.browser.press(&[ENTER]).await;
        page.until("the tree", PAGES[1].2, &[]).await;
        tab_to(page, "return document.activeElement.getAttribute('role') === 'treegrid'").await;
        page.browser.press(&[DOWN, DOWN]).await;
        let active = "return document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))
            ?.querySelector('.path').innerText === '1.2.4'";
        page.until("the second below", active, &[]).await;
        // Left goes to the parent, and then closes it; right opens it again.
        page.browser.press(&[LEFT, LEFT]).await;
        page.texts_until("it is closed", ".node .path", |paths| !paths.contains(&"1.2.4".to_owned())).await;
        page.browser.press(&[RIGHT, DOWN, UP, DOWN, ENTER]).await;
        page.until("the node run", "return document.querySelector('.side h2')?.innerText === 'atomic.weather_forecast'", &[]).await;
        tab_to(page, "return document.activeElement.closest('.side')").await;
        page.browser.press(&[ESCAPE]).await;
        page.until("no node run", "return !document.querySelector('.side')", &[]).await;
        page.open("/approvals").await;
        page.until("the approval", PAGES[3].2, &[]).await;
        tab_to(page, "return document.activeElement.innerText === 'Approve'").await;
        page.browser.press(&[ENTER]).await;
        page.until("the focus in the dialog", "return document.activeElement.id === 'reason'", &[]).await;
        page.picture("dialog-light").await;
        if let Some(axe) = &axe {
            assert_eq!(findings(page, axe).await, Vec::<String>::new(), "the dialog");
        }
        // The focus stays in the dialog, and goes back to where it came from.
        for _ in 0..8 {
            page.browser.press(&[TAB]).await;
            let inside = "return document.activeElement === document.body || !!document.activeElement.closest('dialog')";
            assert_eq!(page.browser.run(inside, &[]).await, true);
        }
        page.browser.press(&[ESCAPE]).await;
        page.until("the focus on the button", "return document.activeElement.innerText === 'Approve'", &[]).await;
    })
    .await;
    t.stop().await;
}

/// Presses the tabulator until the focus is where it should be, and is seen there.
async fn tab_to(page: &Page, there: &str) {
    for _ in 0..80 {
        let found = page.browser.run(there, &[]).await;
        if found != Value::Null && found != false {
            let outline = "return getComputedStyle(document.activeElement).outlineStyle";
            assert_eq!(page.browser.run(outline, &[]).await, "solid", "the focus is seen");
            return;
        }
        page.browser.press(&[TAB]).await;
    }
    panic!("not reached by the keyboard: {there}");
}
