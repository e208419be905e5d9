//! What to set, or to do, when a server does not start, where its error does not say
//! it.

use std::path::Path;

use super::StartError;
use crate::{
    config::{KeyPair, Settings, variables as v},
    journal::OpenError,
    transport::TlsError,
};

impl StartError {
    /// A sentence for people. `None`: the error says it.
    pub fn remedy(&self, settings: &Settings) -> Option<String> {
        let journal = format!("--journal or {}", v::JOURNAL.name);
        match self {
            Self::Listen { set_by, .. } => {
                Some(format!("Set another address with {set_by}, or end the process that has this one."))
            }
            Self::Journal(OpenError::Locked { .. }) => {
                Some(format!("End the other coordinator, or set another file with {journal}."))
            }
            Self::Journal(OpenError::Corrupt { .. }) => Some(format!(
                "`jarvis-run-coordinator journal check` says more. Restore a backup, or set another file with {journal}."
            )),
            Self::Journal(OpenError::Io { .. }) => Some(format!(
                "Its user must be able to write this file and its folder; it is set with {journal}."
            )),
            Self::Journal(OpenError::Database { .. }) => Some(format!(
                "The database is set with {journal}, its password with {}; \
                 `jarvis-run-coordinator doctor` tries both.",
                v::JOURNAL_PASSWORD.name
            )),
            Self::Journal(OpenError::Newer { .. } | OpenError::NoFolder { .. } | OpenError::Owes { .. }) => {
                None
            }
            Self::TakeUp(_) | Self::AssignmentKey(_) => Some(
                "Look at the disk of the journal; `jarvis-run-coordinator journal check` examines the file."
                    .to_owned(),
            ),
            Self::Tls(TlsError::Read { path, .. } | TlsError::Unusable { path, .. }) => {
                set_by(path, settings).map(|name| format!("The file is set with {name}."))
            }
            Self::Tls(TlsError::SystemRoots(_) | TlsError::NoRoots { .. }) => Some(format!(
                "Install the system's root certificates (the package ca-certificates), or name a file with {}.",
                v::CA_BUNDLE.name
            )),
            Self::Tls(TlsError::NotReplaced(_)) => None,
            Self::Secret(error) => {
                set_by(error.path(), settings).map(|name| format!("The file is set with {name}."))
            }
            // They name the variable.
            Self::Setup(_) => None,
        }
    }
}

/// The variable that names this file.
fn set_by(path: &Path, settings: &Settings) -> Option<&'static str> {
    let pair = |pair: Option<&KeyPair>| {
        let pair = pair.cloned();
        (pair.as_ref().map(|pair| pair.cert.clone()), pair.map(|pair| pair.key))
    };
    let inbound = settings.tls.as_ref();
    let (cert, key) = pair(inbound.map(|tls| &tls.pair));
    let (client_cert, client_key) = pair(settings.outbound_tls.identity.as_ref());
    let client_secret = settings.outbound.as_ref().and_then(|outbound| outbound.client_secret.file());
    let webhooks = settings.webhooks.as_ref().and_then(|webhooks| webhooks.secrets_key.as_ref());
    let secrets_key = settings.exchange_key.as_ref().or(webhooks).and_then(|key| key.file());
    let files = [
        (v::TLS_CERT.name, cert),
        (v::TLS_KEY.name, key),
        (v::TLS_CLIENT_CA.name, inbound.and_then(|tls| tls.client_ca.clone())),
        (v::CA_BUNDLE.name, settings.outbound_tls.ca_bundle.clone()),
        (v::CLIENT_CERT.name, client_cert),
        (v::CLIENT_KEY.name, client_key),
        (v::AUTH_CLIENT_SECRET_FILE.name, client_secret.map(Path::to_owned)),
        (v::SECRETS_KEY_FILE.name, secrets_key.map(Path::to_owned)),
    ];
    files.into_iter().find(|(_, file)| file.as_deref() == Some(path)).map(|(name, _)| name)
}
