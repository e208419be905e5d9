//! The files of the page, and what browsers learn about them.
//!
//! **Invariant:** a name is one of the table. Nothing is looked up on a disk.

use std::{fmt::Write as _, sync::OnceLock};

use sha2::{Digest, Sha256};

/// A file of the page.
pub(super) struct File {
    /// Its path below `/ui`; empty: the page itself.
    pub(super) name: &'static str,
    /// As it is written.
    pub(super) text: &'static str,
    served: OnceLock<Served>,
}

macro_rules! files {
    ($($name:literal: $file:literal, $tag:ident;)*) => {
        $(static $tag: File = File {
            name: $name,
            text: include_str!(concat!("assets/", $file)),
            served: OnceLock::new(),
        };)*
        pub(super) static FILES: &[&File] = &[$(&$tag),*];
    };
}

files! {
    "": "index.html", INDEX;
    "app.css": "app.css", STYLE;
    "icon.svg": "icon.svg", ICON;
    "actions.js": "actions.js", ACTIONS;
    "api.js": "api.js", API;
    "app.js": "app.js", APP;
    "approvals.js": "approvals.js", APPROVALS;
    "audit.js": "audit.js", AUDIT;
    "events.js": "events.js", EVENTS;
    "format.js": "format.js", FORMAT;
    "lib.js": "lib.js", LIB;
    "node.js": "node.js", NODE;
    "parts.js": "parts.js", PARTS;
    "plots.js": "plots.js", PLOTS;
    "report.js": "report.js", REPORT;
    "run.js": "run.js", RUN;
    "runs.js": "runs.js", RUNS;
    "system.js": "system.js", SYSTEM;
    "theme.js": "theme.js", THEME;
    "tree.js": "tree.js", TREE;
    "work.js": "work.js", WORK;
    "vendor/hooks.mjs": "vendor/hooks.mjs", HOOKS;
    "vendor/htm.mjs": "vendor/htm.mjs", HTM;
    "vendor/preact.mjs": "vendor/preact.mjs", PREACT;
}

pub(super) fn find(name: &str) -> Option<&'static File> {
    FILES.iter().copied().find(|file| file.name == name)
}

/// A file as browsers get it.
struct Served {
    text: String,
    etag: String,
}

impl Served {
    /// Without what only readers of the source need: indentation, and lines that are
    /// comments. Lines stay where they are, so that a browser names those of the source.
    fn of(text: &str) -> Self {
        let lines = text.split('\n').map(|line| match line.trim_start() {
            comment if comment.starts_with("// ") => "",
            line => line,
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        Self { etag: tag(&text), text }
    }
}

/// A strong validator: it changes with the text.
fn tag(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let mut tag = String::from("\"");
    for byte in &digest[..16] {
        let _infallible = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

impl File {
    pub(super) fn etag(&self) -> &str {
        &self.as_served().etag
    }

    pub(super) fn served(&self) -> &str {
        &self.as_served().text
    }

    fn as_served(&self) -> &Served {
        self.served.get_or_init(|| Served::of(self.text))
    }

    /// Whether the value of an `If-None-Match` names what the file is now.
    pub(super) fn matches(&self, tags: &str) -> bool {
        let is_own = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag();
        tags.split(',').map(str::trim).any(is_own)
    }

    pub(super) fn content_type(&self) -> &'static str {
        match self.name.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js" | "mjs")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some(_) | None => "text/html; charset=utf-8",
        }
    }
}
