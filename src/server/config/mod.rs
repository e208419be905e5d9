//! Configuration: flags, the environment and env files, read once at start-up
//! (contract §18 to §20).
//!
//! ```text
//!  process environment ─┐
//!  .env.local ──────────┼─▶ LayeredVars ─▶ Settings::from_vars ─▶ the server
//!  .env ────────────────┘        │                │
//!  flags ────────────────────────┼────────────────┘ ConfigErrors: all of them, the
//!                                │                  contract's first, in its order
//!  variables::groups (one table) ┴─▶ --help, check-config, .env.example, docs
//! ```
//!
//! **Architecture invariants**
//! 1. Parsing is pure: only [`env_file`] reads the process environment, and
//!    nothing changes it.
//! 2. The variables that are read are those in [`variables::groups`]. A test
//!    records which names are read, and compares.
//! 3. Default values are parsed from the texts in the table, so that the
//!    documentation cannot differ from the behaviour.
//! 4. No message, report or `Debug` output contains a secret.
//!
//! [`Settings::in_effect`] lists what applies and where it comes from, for people.

mod auth;
pub mod bounds;
pub mod env_file;
pub mod error;
mod errors;
pub mod flags;
mod kind;
pub mod render;
pub mod settings;
pub mod template;
mod unknown;
pub mod value;
pub mod variable;
pub mod variables;
pub mod vars;

pub use auth::{AuthSettings, Authorization, Belongs, KeySource, Mode, Profile};
pub use env_file::LayeredVars;
pub use error::ConfigError;
pub use errors::ConfigErrors;
pub use flags::Flags;
pub use kind::Kind;
pub use settings::{
    ApprovalSettings, DefaultUsage, Endpoint, Executors, Gates, InboundTls, JournalSettings, KeyPair,
    OutboundTls, PerPrincipal, PolicyPosture, Rate, RunBounds, Settings, Stores, TraceSettings,
    in_effect_of_invalid,
};
pub use template::Template;
pub use unknown::{UnknownName, foreign_names};
pub use value::{
    DatabaseTls, DatabaseUrl, ExecutorUrls, HttpUrl, InEffect, JournalPlace, LogFormat, MemberUrl, NoTarget,
    OnApproval, PdpOutage, RegistryOutage, SchemaMode, Secret, SecretError, SecretSource, TARGET_BYTES,
    WebhookTargets, WithoutStores, masked_url,
};
pub use vars::{Source, Vars};
