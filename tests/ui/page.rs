//! The page as a person sees it: what is there to read, what can be pressed.

use std::{env, fs, panic::AssertUnwindSafe, path::PathBuf};

use futures::FutureExt;
use serde_json::{Value, json};

use crate::{
    browser::{Browser, Look},
    support::soon,
};

/// The page of a server, in a browser.
pub struct Page {
    pub browser: Browser,
    base: String,
}

/// Finds what a person would press or type into, by its name: visible, and the last of
/// that name, since a dialog is behind what it covers.
const NAMED: &str = "
    const [selector, wanted] = arguments;
    const name = (e) => (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || e.placeholder || '').replace(/\\s+/g, ' ').trim();
    const seen = (e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled;
    return [...document.querySelectorAll(selector)].filter((e) => seen(e) && name(e) === wanted).pop() ?? null;";

/// Shows a page to a test, and looks at the browser's log afterwards. If the test
/// fails, the picture of what it saw last is in `target/ui`.
pub async fn visit<T>(name: &str, base: &str, look: Look, test: impl AsyncFnOnce(&Page) -> T) -> T {
    let page = Page { browser: Browser::start(look).await, base: base.to_owned() };
    let done = AssertUnwindSafe(async {
        let done = test(&page).await;
        assert_eq!(page.browser.complaints().await, Vec::<String>::new(), "the browser complains");
        done
    });
    let done = done.catch_unwind().await;
    if done.is_err() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/ui");
        let _kept = fs::create_dir_all(&folder);
        let _kept = fs::write(folder.join(format!("failed-{name}.png")), page.browser.picture().await);
        println!("the page said: {}", page.text().await);
    }
    page.browser.close().await;
    match done {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Page {
    /// Goes to a place of the page: `/runs?view=failed`.
    pub async fn open(&self, place: &str) {
        self.browser.go("about:blank").await;
        self.browser.go(&format!("{}/ui#{place}", self.base)).await;
    }

    /// All that can be read.
    pub async fn text(&self) -> String {
        let text = self.browser.run("return document.body.innerText", &[]).await;
        text.as_str().expect("text").to_owned()
    }

    /// What a script returns once it is something.
    pub async fn until(&self, what: &str, script: &str, arguments: &[Value]) -> Value {
        soon(what, async {
            loop {
                let found = self.browser.run(script, arguments).await;
                if !found.is_null() && found != json!(false) && found != json!([]) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Waits until this can be read.
    pub async fn sees(&self, text: &str) {
        let script = "return document.body.innerText.includes(arguments[0])";
        self.until(&format!("{text:?} on the page"), script, &[text.into()]).await;
    }

    /// Presses a button, link or tab of this name.
    pub async fn press(&self, name: &str) {
        let what = "button, a, [role=tab], summary";
        let found = self.until(&format!("{name:?} to press"), NAMED, &[what.into(), name.into()]).await;
        self.browser.click(&found).await;
    }

    /// Whether there is something of this name to press.
    pub async fn offers(&self, name: &str) -> bool {
        let what = "button, a, [role=tab], summary";
        !self.browser.run(NAMED, &[what.into(), name.into()]).await.is_null()
    }

    /// Types into the field of this name.
    pub async fn fill(&self, name: &str, text: &str) {
        let what = "input, textarea";
        let found = self.until(&format!("the field {name:?}"), NAMED, &[what.into(), name.into()]).await;
        self.browser.type_into(&found, text).await;
    }

    /// The texts of what a selector finds.
    pub async fn texts(&self, selector: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())";
        let found = self.browser.run(script, &[selector.into()]).await;
        serde_json::from_value(found).expect("texts")
    }

    /// Waits until the texts of what a selector finds are as wanted.
    pub async fn texts_until(
        &self,
        what: &str,
        selector: &str,
        wanted: impl Fn(&[String]) -> bool,
    ) -> Vec<String> {
        soon(what, async {
            loop {
                let found = self.texts(selector).await;
                if wanted(&found) {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Keeps a picture: with `UI_PICTURES=docs/ui`, in the tree.
    pub async fn picture(&self, name: &str) {
        let folder = env::var("UI_PICTURES").unwrap_or_else(|_| "target/ui".into());
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("{name}.png")), self.browser.picture().await).expect("a picture");
    }
}
