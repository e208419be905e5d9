//! Which module may import which, and which crates each may name.
//!
//! ```text
//!   main ─▶ cli ─▶ app ─▶ everything
//!                   │
//!             ┌─────┴──────┬───────────┐
//!             ▼            ▼           ▼
//!      api, operator     dispatch   runtime::log
//!             │            │
//!        http_server       │
//!             │            │
//!             └─────┬──────┘
//!                   ▼
//!              coordinator ─▶ outbox ─▶ services ─▶ clients ─▶ resilience
//!                   │      ├─▶ webhooks     │
//!                   │      └─▶ events       └────▶ config ◀─ auth ─▲
//!              ┌────┴─────┐      │
//!              ▼          ▼      ▼
//!           engine     journal ◀─┘
//!           (pure)        ├──▶ invariants (pure)
//!              └────┬─────┘
//!                   ▼
//!                record ─▶ types, time          runtime::tasks ─▶ time
//! ```
//!
//! Arrows point at what is imported, and may be followed further down. The
//! coordinator does not know about `dispatch`: it puts work into its queue, which
//! `dispatch` empties.

/// A module, and what it may import of this crate besides itself. A name stands
/// for everything below it.
pub(super) struct Layer {
    pub(super) module: &'static str,
    pub(super) may: &'static [&'static str],
}

/// In `may`: no limits.
pub(super) const EVERYTHING: &str = "*";

/// What the commands import that call a server.
const CALLING_COMMAND: &[&str] = &["cli", "clients", "config::Flags", "time", "types"];

pub(super) const LAYERS: &[Layer] = &[
    Layer { module: "time", may: &[] },
    Layer { module: "types", may: &["time"] },
    Layer { module: "build_info", may: &["time", "types"] },
    Layer { module: "delegation", may: &["clients::Subject", "clients::SubjectToken", "record", "types"] },
    // It knows errors and JSON, and nothing of where they come from.
    Layer { module: "redact", may: &["types"] },
    Layer {
        module: "clients",
        may: &["redact", "resilience", "runtime::tasks", "time", "traces::current", "types"],
    },
    // The span that a task works for: its calls name it, and its log lines.
    Layer { module: "traces::current", may: &["types"] },
    // What is over is read off the records, and what a process left off the journal.
    Layer { module: "traces", may: &["journal", "metrics", "record", "time", "types"] },
    // It does not know what it protects.
    Layer { module: "resilience", may: &["runtime::tasks", "time"] },
    Layer { module: "runtime::tasks", may: &["time"] },
    Layer { module: "runtime::log", may: &["config", "redact", "traces::current"] },
    // It lists its modules.
    Layer { module: "runtime", may: &[] },
    Layer { module: "record", may: &["time", "types"] },
    Layer { module: "engine", may: &["record", "time", "types"] },
    // What commits change is counted from their change sets.
    Layer { module: "metrics", may: &["record", "time", "types"] },
    // Not the engine: what it says is read off the records alone.
    Layer { module: "explain", may: &["record", "time", "types"] },
    // Not the engine: the check would find right whatever the engine does.
    Layer { module: "invariants", may: &["record", "types"] },
    Layer { module: "evidence", may: &["record", "time", "types"] },
    // The invariants are checked on what is in a journal, and evidence is taken from
    // it, when asked to.
    Layer {
        module: "journal",
        may: &["config::DatabaseUrl", "evidence", "invariants", "record", "runtime::tasks", "time", "types"],
    },
    Layer { module: "config", may: &["time", "types"] },
    Layer {
        module: "transport",
        may: &["config::DatabaseTls", "config::InboundTls", "config::OutboundTls", "time"],
    },
    // Of the record: where a NodeRun stands, which its assignment token says.
    Layer {
        module: "auth",
        may: &[
            "clients::SubjectToken",
            "clients::with_causes",
            "config",
            "record::Actor",
            "record::Identity",
            "record::NodePath",
            "resilience",
            "runtime::tasks",
            "time",
            "types",
        ],
    },
    // The registry and the policy point answer in the engine's terms: what it
    // needs to know before it decides. Of the configuration, what an outage of
    // either leads to.
    Layer { module: "services", may: &["clients", "config", "engine", "resilience", "time", "types"] },
    Layer {
        module: "health",
        may: &[
            "auth::KeyStatus",
            "journal",
            "resilience::CoolDown",
            "resilience::ServiceOutage",
            "resilience::ServiceWatch",
            "runtime::tasks",
            "time",
            "transport",
            "types",
        ],
    },
    Layer { module: "events", may: &["journal", "record", "runtime::tasks", "time", "types"] },
    Layer {
        module: "outbox",
        may: &[
            "clients::CallError",
            "clients::Failure",
            "clients::NotSent",
            "journal",
            "resilience",
            "runtime::tasks",
            "services",
            "time",
            "traces",
            "types",
        ],
    },
    // Of the configuration: where requests may go. Of the clients: the causes of an
    // error, and ids in paths.
    Layer {
        module: "webhooks",
        may: &[
            "clients::path::encode_path",
            "clients::with_causes",
            "config::NoTarget",
            "config::WebhookTargets",
            "delegation::Seal",
            "journal",
            "metrics",
            "record",
            "redact",
            "runtime::tasks",
            "time",
            "types",
        ],
    },
    Layer {
        module: "coordinator",
        may: &[
            "auth::AuthError",
            "auth::NAME_BYTES",
            "auth::Principal",
            "auth::Roles",
            "auth::Scope",
            "auth::Subtree",
            "clients",
            "config::Authorization",
            "config::Belongs",
            "config::SchemaMode",
            "delegation::Delegation",
            "engine",
            "events",
            "explain",
            "health",
            "journal",
            "metrics",
            "outbox",
            "record",
            "redact",
            "resilience",
            "runtime::heap",
            "runtime::tasks",
            "services",
            "time",
            "traces",
            "types",
            "webhooks",
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
            "engine::CancelNotification",
            "engine::FailedCall",
            "engine::Placement",
            "engine::Usage",
            "engine::WaitsFor",
            "engine::Work",
            "health::DispatchStatus",
            "health::ExecutorLoad",
            "health::MemberReport",
            "health::Work",
            "journal",
            "metrics",
            "record",
            "resilience",
            "runtime::tasks",
            "services::executors",
            "time",
            "traces",
            "types",
        ],
    },
    Layer {
        module: "http_server",
        may: &[
            "auth",
            "config",
            "coordinator",
            "health::HealthReport",
            "journal::JournalError",
            "journal::Pieces",
            "metrics",
            "record::Labels",
            "record::Operation",
            "runtime::tasks",
            "time",
            "traces",
            "types",
        ],
    },
    Layer { module: "api", may: &["build_info", "http_server", "record::Operation", "types"] },
    Layer {
        module: "operator",
        // Of the journal: what its lists are asked with, and what they have.
        may: &[
            "config::InEffect",
            "config::masked_url",
            "coordinator",
            "engine::ApprovalVerdict",
            "explain",
            "health::MemberReport",
            "http_server",
            "journal",
            "metrics",
            "record",
            "time",
            "types",
            "webhooks::TestOutcome",
        ],
    },
    Layer { module: "app", may: &[EVERYTHING] },
    Layer {
        module: "cli::demo",
        may: &[
            "app",
            "cli::exit",
            "cli::live",
            "cli::signals",
            "clients",
            "config",
            "runtime::tasks",
            "time",
            "types",
        ],
    },
    // Of authentication, the keys that it keeps in the journal; of the transport, the
    // way to a database.
    Layer {
        module: "cli::journal",
        may: &[
            "auth::Keyring",
            "auth::KeyringError",
            "auth::OldKeys",
            "auth::Rotated",
            "cli",
            "config",
            "evidence",
            "journal",
            "record",
            "time",
            "transport",
            "types",
        ],
    },
    // A picture of a run: it is given what it shows.
    Layer {
        module: "cli::live",
        may: &["cli::exit", "cli::output", "cli::signals", "cli::table", "time", "types"],
    },
    // What commands share knows nothing of what they are about.
    Layer { module: "cli::confirm", may: &["cli::args", "cli::exit"] },
    Layer { module: "cli::ids", may: &["cli::exit"] },
    Layer { module: "cli::output", may: &["cli::args", "cli::exit"] },
    Layer {
        module: "cli::listing",
        may: &["cli::args", "cli::exit", "cli::output", "cli::remote", "cli::table"],
    },
    Layer { module: "cli::each", may: &["cli"] },
    // Commands: they know servers by their clients alone.
    Layer { module: "cli::approvals", may: CALLING_COMMAND },
    Layer { module: "cli::explain", may: CALLING_COMMAND },
    Layer { module: "cli::nodes", may: CALLING_COMMAND },
    // An exported run is a file that others may not read, and is read again.
    Layer {
        module: "cli::runs",
        may: &["cli", "clients", "config::Flags", "evidence", "journal::sqlite::private", "time", "types"],
    },
    Layer { module: "cli::remote", may: &["clients", "config", "transport"] },
    Layer { module: "cli::send_request", may: &["cli::remote", "cli::table", "clients"] },
    Layer { module: "cli::health", may: &["cli::remote", "clients", "types"] },
    Layer {
        module: "cli",
        may: &[
            "api::openapi",
            "app",
            "build_info",
            "clients",
            "config",
            "evidence",
            "journal",
            "operator::openapi",
            "record",
            "redact",
            "runtime",
            "time",
            "transport",
            "types",
        ],
    },
];

/// An identifier restricted to certain modules; test code is exempt.
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
const PURE_WHY: &str =
    "the engine decides and does nothing else: ids, time and settings come in with the command";

pub(super) const WORDS: [Word; 11] = [
    Word {
        word: "dropshot",
        place: Place::Only(&["api", "app", "cli::demo", "http_server", "operator", "runtime::log"]),
        why: "how requests are served is the concern of the front door",
    },
    Word {
        word: "reqwest",
        place: Place::Only(&["clients", "auth", "app", "cli::demo", "cli::remote", "webhooks"]),
        why: "other services are called through `clients`, which knows deadlines, tokens and envelopes",
    },
    Word {
        word: "rustls",
        place: Place::Only(&["app", "clients", "http_server", "transport", "webhooks"]),
        why: "certificates are read and checked by `transport`",
    },
    Word {
        word: "rusqlite",
        place: Place::Only(&["journal::rows", "journal::sqlite"]),
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

/// The modules that may make a [`CHANGE_SET`]: the engine, which decides, and
/// the conformance suite of journals.
pub(super) const CHANGE_SET: &str = "ChangeSet";
pub(super) const CHANGE_SET_MAKERS: [&str; 2] = ["engine", "journal::conformance"];
/// Modules whose tests may make one as well.
pub(super) const CHANGE_SET_TESTERS: [&str; 1] = ["journal"];

/// The modules that may call `.commit(…)`.
pub(super) const COMMITTERS: [&str; 2] = ["coordinator", "journal"];

/// Where these tables are, for messages.
pub(super) const TABLE: &str = "xtask/tasks/src/tidy/rules.rs";
