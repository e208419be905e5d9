//! The web page, by the eyes and hands of a person: a real server, a real browser.
//!
//! ```text
//!   test ──▶ World: a server in this process, executors ◀── HTTP ── page
//!     │                                                              │ runs in
//!     └────▶ Page ── WebDriver ──▶ chromedriver ──▶ Chromium, headless
//! ```
//!
//! - `lists`: runs, filters, the way to one; approvals.
//! - `runs`: one run: a large one, live events, reloads, restarts.
//! - `steering`: a story for each button: hold, release, repeat, wake, cancel, pause; what
//!   the audit trail and the settings show.
//! - `acts`: what a person does, and what it asks for.
//! - `safety`: hostile names, tokens, roles.
//! - `everyone`: the keyboard, contrast and names (axe), narrow screens; the pictures of
//!   `docs/ui`.
//!
//! `cargo xtask ui` finds or installs the browser and runs these tests. They wait for
//! what they expect to see, never for a length of time, and each ends with a look at
//! the browser's log: no error, and nothing that the policy of the page had to stop.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]
#![allow(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]

mod acts;
mod browser;
mod everyone;
mod lists;
mod page;
mod runs;
mod safety;
mod steering;
#[path = "../integration/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the integration tests use the rest")]
mod support;
mod world;
