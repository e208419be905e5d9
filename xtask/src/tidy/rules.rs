//! Who may import whom, and who may name which crate.
//!
//! ```text
//!   main ─▶ server ─▶ everything          demo ─▶ server, clients
//!                                         remote ─▶ clients     upkeep ─▶ store
//!              │
//!        ┌─────┴──────┬──────────────┐
//!        ▼            ▼              ▼
//!       api        dispatch      telemetry
//!        │            │
//!        └─────┬──────┘
//!              ▼
//!         coordinator ─▶ policy, node_types, jarvis ─▶ clients   config ◀──▶ auth
//!              │      └──▶ events                               (settings of each
//!         ┌────┴─────┐        │                                  other: vars only
//!         ▼          ▼        ▼                                  one way)
//!      engine      store ◀────┘
//!      (pure)        ├──▶ audit (pure)
//!         └────┬─────┘
//!              ▼
//!           record ─▶ model ─▶ ids, time
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
    Layer { module: "ids", may: &[] },
    Layer { module: "time", may: &[] },
    Layer { module: "tasks", may: &["time"] },
    Layer { module: "model", may: &["ids", "time"] },
    Layer { module: "record", may: &["ids", "model", "time"] },
    Layer { module: "engine", may: &["ids", "model", "record", "time"] },
    // Not the engine: it would find right whatever that does.
    Layer { module: "audit", may: &["ids", "model", "record"] },
    // It audits what is in a journal, when asked to check it.
    Layer {
        module: "store",
        may: &["audit", "ids", "model", "record", "tasks::Fatal", "tasks::panic_message", "time"],
    },
    Layer { module: "config", may: &["auth", "time"] },
    // Of the record: where a NodeRun stands, which its assignment token says.
    Layer {
        module: "auth",
        may: &["config::vars", "config::Vars", "ids", "record::NodePath", "tasks", "time"],
    },
    Layer { module: "clients", may: &["config", "ids", "model", "tasks", "time"] },
    Layer { module: "jarvis", may: &["clients", "ids", "model", "time"] },
    // Both answer in the engine's terms: what it needs to know before deciding.
    Layer { module: "node_types", may: &["clients", "engine", "model", "time"] },
    Layer { module: "policy", may: &["clients", "engine", "ids", "model", "time"] },
    Layer { module: "events", may: &["ids", "model", "record", "store", "tasks", "time"] },
    Layer { module: "retention", may: &["store", "tasks", "time"] },
    Layer {
        module: "outbox",
        may: &["clients::CallError", "ids", "jarvis", "model", "store", "tasks", "time"],
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
            "ids",
            "jarvis",
            "model",
            "node_types",
            "outbox",
            "policy",
            "record",
            "store",
            "tasks",
            "time",
        ],
    },
    Layer {
        module: "dispatch",
        // Of the store: claims. That it does not commit is a rule of its own.
        may: &[
            "auth::AssignmentTokens",
            "auth::Subtree",
            "clients",
            "coordinator",
            "engine::Attempt",
            "engine::AttemptResult",
            "engine::FailedCall",
            "engine::Work",
            "ids",
            "model",
            "record",
            "store",
            "tasks",
            "time",
        ],
    },
    Layer {
        module: "api",
        may: &["auth", "config", "coordinator", "ids", "model", "store::StoreError", "tasks", "time"],
    },
    Layer { module: "telemetry", may: &["config", "ids", "model", "tasks", "time"] },
    Layer { module: "demo", may: &["clients", "config", "ids", "model", "server", "tasks", "time"] },
    Layer { module: "heap", may: &[] },
    Layer { module: "upkeep", may: &["config", "store", "time"] },
    Layer { module: "remote", may: &["clients", "config", "model"] },
    Layer { module: "server", may: &[EVERYTHING] },
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
        place: Place::Only(&["api", "server", "demo", "telemetry"]),
        why: "how we are served is the business of the front door",
    },
    Word {
        word: "reqwest",
        place: Place::Only(&["clients", "auth", "server", "demo"]),
        why: "other services are called through `clients`, which knows deadlines, tokens and envelopes",
    },
    Word {
        word: "rusqlite",
        place: Place::Only(&["store::sqlite"]),
        why: "ask the `store::Store` trait, so that every backend will do",
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
pub(super) const CHANGE_SET_MAKERS: [&str; 2] = ["engine", "store::conformance"];
/// Whose tests may, too.
pub(super) const CHANGE_SET_TESTERS: [&str; 1] = ["store"];

/// Who may call `.commit(…)`.
pub(super) const COMMITTERS: [&str; 2] = ["coordinator", "store"];

/// Lines of a file without its tests: from the first it is worth a thought,
/// beyond the second it has more than one purpose.
pub(super) const LINES_WARN: usize = 600;
pub(super) const LINES_FAIL: usize = 1000;
