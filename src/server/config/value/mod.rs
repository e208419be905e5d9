//! The types of settings, and how they are parsed from text.

mod choice;
mod constraints;
mod database_url;
mod executors;
mod host_port;
mod http_url;
mod in_effect;
mod journal_place;
mod list;
mod number;
mod secret;
mod targets;
#[cfg(test)]
mod tests;

pub use choice::{
    AudienceField, LogFormat, OnApproval, PdpOutage, RegistryOutage, SWITCH_VALUES, SchemaMode,
    WithoutStores, candidate_sets, log_level, lower_case, switch,
};
pub use constraints::{DefaultUsage, constraints, usage};
pub use database_url::{DatabaseTls, DatabaseUrl};
pub use executors::{ExecutorUrls, MemberUrl};
pub use host_port::host_port;
pub use http_url::{HttpUrl, is_loopback_url, loopback_url};
pub use in_effect::InEffect;
pub use journal_place::JournalPlace;
pub use list::items;
pub use number::{TEN_YEARS, age, bytes, count, number, seconds, seconds_or_none, size};
pub use secret::{MASK, Secret, SecretError, SecretSource, masked_url, one_line};
pub use targets::{NoTarget, TARGET_BYTES, WebhookTargets};
