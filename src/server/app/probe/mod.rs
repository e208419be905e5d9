//! Tries what a server needs, from this machine and without starting one: for
//! `check-config --probe` and `doctor`.
//!
//! ```text
//!   settings ─┬─▶ ports, journal ─────────────────────────────┐
//!             ├─▶ services ◀── tokens                         ├──▶ Finding …
//!             └─▶ disk, certificates, keys, clock (doctor) ───┘
//! ```
//!
//! | module | what is tried |
//! |---|---|
//! | `finding` | what came of it, and what to do |
//! | `ask` | a request whose answer is looked at, whatever it is |
//! | `ports` | the addresses to listen on |
//! | `journal` | the journal, and whether a server has it |
//! | `disk` | the space, the kind and the speed of its file system |
//! | `services` | every service that is configured |
//! | `tokens` | a token for each of them; the token of the commands |
//! | `keys` | the signing keys of callers' tokens; certificates |
//! | `clock` | this machine's clock, beside those of the services and the journal |
//!
//! **Invariants:** nothing is executed, decided or recorded anywhere: services are asked
//! for their health, their version, and for things that do not exist. What is written to
//! the disk is removed again. No finding has a secret.

mod ask;
mod clock;
mod disk;
mod finding;
mod journal;
mod keys;
mod ports;
mod services;
mod tokens;

pub use self::{
    finding::{Finding, Verdict},
    tokens::token_of_commands,
};

use self::{ask::Asker, clock::Heard};
use super::certificates::{Certificates, check_secrets};
use crate::{config::Settings, time::Clock};

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Port, journal and services.
    Start,
    /// Everything.
    Everything,
}

/// Tries what the scope has, in the order in which a start needs it.
pub async fn probe(settings: &Settings, scope: Scope, clock: &dyn Clock) -> Vec<Finding> {
    let everything = scope == Scope::Everything;
    let mut findings = Vec::new();
    let certificates = match Certificates::load(settings) {
        Ok(certificates) => certificates,
        Err(error) => {
            findings.push(Finding::not_started("certificates", &error.into(), settings));
            return findings;
        }
    };
    if let Err(error) = check_secrets(settings) {
        findings.push(Finding::not_started("secrets", &error, settings));
    }
    if everything {
        findings.extend(keys::certificates(&certificates, clock.now()));
    }
    let http = match certificates.http_client(settings.calls.connect_timeout) {
        Ok(http) => http,
        Err(error) => {
            findings.push(Finding::not_started("certificates", &error, settings));
            return findings;
        }
    };
    let asker = Asker { http, limit: settings.calls.call_timeout, clock };
    findings.extend(ports::ports(settings).await);
    let (of_journal, latest) = journal::journal(settings).await;
    findings.push(of_journal);
    if everything {
        findings.extend(disk::disk(settings));
        findings.extend(keys::signing_keys(settings, &asker).await);
    }
    let (tokens, of_tokens) = tokens::fetch(settings, &services::audiences(settings), &asker).await;
    findings.extend(of_tokens);
    let mut heard = Heard::default();
    findings.extend(services::services(settings, &asker, &tokens, scope, &mut heard).await);
    if everything {
        findings.extend(clock::clock(settings, &heard, latest, clock.now()));
    }
    findings
}
