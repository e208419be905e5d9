//! Who may import whom, and who may name which crate.
//!
//! ```text
//!   main ─▶ cli ─▶ app ─▶ everything
//!                   │
//!             ┌─────┴──────┬───────────┐
//!             ▼            ▼           ▼
//!            api        dispatch   runtime::log
//!             │            │
//!             └─────┬──────┘
//!                   ▼
//!              coordinator ─▶ outbox ─▶ services ─▶ clients
//!                   │      └─▶ events                         auth ─▶ config
//!              ┌────┴─────┐      │
//!              ▼          ▼      ▼
//!           engine     journal ◀─┘
//!           (pure)        ├──▶ audit (pure)
//!              └────┬─────┘
//!                   ▼
//!                record ─▶ types, time          runtime::tasks ─▶ time
//! ```
//!
//! Arrows point at what is imported, and may be followed further down. So the
//! coordinator does not know who dispatches: it puts work into its queue, which
//! `dispatch` empties.

/// A module and what of our own it may import, besides itself. A name stands
/// for all that is below it.
pub(super) struct Layer {
    pub(super) module: &'static str,
    pub(super) may: &'static [&'static str],
}

/// In `may`: no limits.
pub(super) const EVERYTHING: &str = "*";

pub(super) const LAYERS: &[Layer] = &[
    Layer { module: "time", may: &[] },
    Layer { module: "types", may: &["time"] },
    Layer { module: "clients", may: &["config", "runtime::tasks", "time", "types"] },
    Layer { module: "runtime::tasks", may: &["time"] },
    Layer { module: "runtime::log", may: &["config"] },
    // It lists its modules.
    Layer { module: "runtime", may: &[] },
    Layer { module: "record", may: &["time", "types"] },
    Layer { module: "engine", may: &["record", "time", "types"] },
    // Not the engine: the audit would find right whatever the engine does.
    Layer { module: "audit", may: &["record", "types"] },
    // The audit checks what is in a journal, when asked to.
    Layer { module: "journal", may: &["audit", "record", "runtime::tasks", "time", "types"] },
    Layer { module: "config", may: &["time"] },
    // Of the record: where a NodeRun stands, which its assignment token says.
    Layer { module: "auth", may: &["config", "record::NodePath", "runtime::tasks", "time", "types"] },
    // The registry and the policy point answer in the engine's terms: what it
    // needs to know before it decides.
    Layer { module: "services", may: &["clients", "engine", "time", "types"] },
    Layer { module: "events", may: &["journal", "record", "runtime::tasks", "time", "types"] },
    Layer {
        module: "outbox",
        may: &["clients::CallError", "journal", "runtime::tasks", "services", "time", "types"],
    },
    Layer {
        module: "coordinator",
        may: &[
            "auth::Principal",
            "auth::Scope",
            "auth::Subtree",
            "clients",
            "engine",
            "events",
            "journal",
            "outbox",
            "record",
            "runtime::tasks",
            "services",
            "time",
            "types",
        ],
    },
    Layer {
        module: "dispatch",
        // Of the journal: claims. That dispatch does not commit is a rule of its own.
        may: &[
            "auth::AssignmentTokens",
            "auth::Subtree",
            "clients",
            "coordinator",
            "engine::Attempt",
            "engine::AttemptResult",
            "engine::FailedCall",
            "engine::Work",
            "journal",
            "record",
            "runtime::tasks",
            "time",
            "types",
        ],
    },
    Layer {
        module: "api",
        may: &["auth", "config", "coordinator", "journal::JournalError", "runtime::tasks", "time", "types"],
    },
    Layer { module: "app", may: &[EVERYTHING] },
    Layer { module: "cli::demo", may: &["app", "clients", "config", "runtime::tasks", "time", "types"] },
    Layer { module: "cli::journal", may: &["cli", "config", "journal", "time"] },
    Layer { module: "cli::remote", may: &["clients", "config", "types"] },
    Layer {
        module: "cli",
        may: &["api::openapi", "app", "clients", "config", "journal", "runtime", "time", "types"],
    },
];

/// A word of Rust code that is not for everyone. Test code may say it.
pub(super) struct Word {
    pub(super) word: &'static str,
    pub(super) place: Place,
    pub(super) why: &'static str,
}

pub(super) enum Place {
    Only(&'static [&'static str]),
    Never(&'static [&'static str]),
}

const PURE: Place = Place::Never(&["engine"]);
const PURE_WHY: &str = "it decides and does nothing: ids, time and settings come in with the command";

pub(super) const WORDS: [Word; 10] = [
    Word {
        word: "dropshot",
        place: Place::Only(&["api", "app", "cli::demo", "runtime::log"]),
        why: "how we are served is the business of the front door",
    },
    Word {
        word: "reqwest",
        place: Place::Only(&["clients", "auth", "app", "cli::demo"]),
        why: "other services are called through `clients`, which knows deadlines, tokens and envelopes",
    },
    Word {
        word: "rusqlite",
        place: Place::Only(&["journal::sqlite"]),
        why: "ask the `journal::Journal` trait, so that every backend will do",
    },
    Word { word: "tokio", place: PURE, why: PURE_WHY },
    Word { word: "slog", place: PURE, why: PURE_WHY },
    Word { word: "rand", place: PURE, why: PURE_WHY },
    Word { word: "async", place: PURE, why: PURE_WHY },
    Word { word: "await", place: PURE, why: PURE_WHY },
    Word { word: "async_trait", place: PURE, why: PURE_WHY },
    Word { word: "futures", place: PURE, why: PURE_WHY },
];

/// Who may make a [`CHANGE_SET`]: the decision itself, and the tests of what
/// stores do with one.
pub(super) const CHANGE_SET: &str = "ChangeSet";
pub(super) const CHANGE_SET_MAKERS: [&str; 2] = ["engine", "journal::conformance"];
/// Whose tests may, too.
pub(super) const CHANGE_SET_TESTERS: [&str; 1] = ["journal"];

/// Who may call `.commit(…)`.
pub(super) const COMMITTERS: [&str; 2] = ["coordinator", "journal"];

/// Lines of a file without its tests: from the first it is worth a thought,
/// beyond the second it has more than one purpose.
pub(super) const LINES_WARN: usize = 600;
pub(super) const LINES_FAIL: usize = 1000;
