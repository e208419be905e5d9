//! Loads certificates at the start, and keeps them up to date.

use std::{sync::Arc, time::Duration};

use slog::Logger;

use super::StartError;
use crate::{
    clients,
    config::{InboundTls, OutboundTls, Settings},
    delegation::{Delegation, Seal},
    health::{Source, certificate_check},
    http_server::Running,
    runtime::tasks::TaskSet,
    time::Clock,
    transport::{
        Certificate, CertificateStatus, Outbound, Reload, TlsError, check_system_roots, load_inbound,
    },
};

/// The certificates of a server.
pub(super) struct Certificates {
    listener: Option<Listener>,
    calls: Option<Calls>,
    every: Duration,
}

struct Listener {
    files: InboundTls,
    config: rustls::ServerConfig,
    status: Arc<CertificateStatus>,
}

struct Calls {
    files: OutboundTls,
    outbound: Outbound,
    status: Arc<CertificateStatus>,
}

/// Reads and validates the files of certificates and secrets, as a start does.
pub fn check_files(settings: &Settings) -> Result<(), StartError> {
    Certificates::load(settings)?;
    check_secrets(settings)
}

/// Reads the secrets that are in files. They are read again when they are used.
pub(super) fn check_secrets(settings: &Settings) -> Result<(), StartError> {
    if let Some(outbound) = &settings.outbound {
        outbound.client_secret.read()?;
    }
    webhook_seal(settings)?;
    delegation(settings).map(drop)
}

/// What seals the secrets of webhooks, if there is a key.
pub(super) fn webhook_seal(settings: &Settings) -> Result<Option<Seal>, StartError> {
    let key = settings.webhooks.as_ref().and_then(|webhooks| webhooks.secrets_key.as_ref());
    let Some(source) = key else { return Ok(None) };
    let seal = Seal::new(source.read()?.expose());
    seal.map(Some).map_err(|error| StartError::Setup(format!("{} {error}", source.name(SECRETS_KEY))))
}

/// The variable of the key.
const SECRETS_KEY: &str = "JARVIS_RUN_COORDINATOR_SECRETS_KEY";

/// What seals the tokens of callers, if they are exchanged.
pub(super) fn delegation(settings: &Settings) -> Result<Option<Delegation>, StartError> {
    let Some(source) = &settings.exchange_key else { return Ok(None) };
    let name = source.name(SECRETS_KEY);
    let delegation = Delegation::new(source.read()?.expose());
    delegation.map(Some).map_err(|error| StartError::Setup(format!("{name} {error}")))
}

impl Certificates {
    /// Reads and validates all files.
    pub(super) fn load(settings: &Settings) -> Result<Self, TlsError> {
        let listener = match &settings.tls {
            None => None,
            Some(files) => {
                let (config, certificate) = load_inbound(files)?;
                let status = Arc::new(CertificateStatus::new(certificate));
                Some(Listener { files: files.clone(), config, status })
            }
        };
        let calls = if settings.outbound_tls.is_default() {
            // Without any, a server that calls no other over HTTPS starts all the same.
            if let Some(needed_by) = settings.over_https() {
                let no_roots = |error| TlsError::NoRoots { needed_by, error: Box::new(error) };
                check_system_roots().map_err(no_roots)?;
            }
            None
        } else {
            let (outbound, certificate) = Outbound::load(&settings.outbound_tls)?;
            let status = Arc::new(CertificateStatus::new(certificate));
            Some(Calls { files: settings.outbound_tls.clone(), outbound, status })
        };
        Ok(Self { listener, calls, every: settings.tls_reload })
    }

    /// The configuration of the listener, if it speaks HTTPS.
    pub(super) fn server_config(&self) -> Option<rustls::ServerConfig> {
        self.listener.as_ref().map(|listener| listener.config.clone())
    }

    /// The HTTP client for our own calls.
    pub(super) fn http_client(&self, connect_timeout: Duration) -> Result<reqwest::Client, StartError> {
        let client = match &self.calls {
            None => clients::http_client(connect_timeout),
            Some(calls) => clients::http_client_with_tls(connect_timeout, calls.outbound.client_config()?),
        };
        client.map_err(StartError::Setup)
    }

    /// The trust of our calls, without our own certificate. `None`: the default.
    pub(super) fn nameless(&self) -> Result<Option<rustls::ClientConfig>, TlsError> {
        self.calls.as_ref().map(|calls| calls.outbound.nameless_config()).transpose()
    }

    /// What health says about them.
    pub(super) fn checks(&self) -> Vec<Source> {
        let source = |name: &'static str, status: &Arc<CertificateStatus>| -> Source {
            let status = Arc::clone(status);
            Box::new(move |now| vec![certificate_check(name, &status, now)])
        };
        let listener = self.listener.iter().map(|listener| source("tls_certificate", &listener.status));
        let calls = self.calls.iter().map(|calls| source("client_certificate", &calls.status));
        listener.chain(calls).collect()
    }

    /// Takes changed files over until the server stops.
    pub(super) fn watch(self, running: Vec<Running>, clock: &Arc<dyn Clock>, tasks: &TaskSet, log: &Logger) {
        let Self { listener, calls, every } = self;
        let reload = |purpose, files, status| Reload {
            purpose,
            files,
            every,
            status,
            clock: Arc::clone(clock),
            stopping: tasks.stopping().clone(),
            log: log.clone(),
        };
        if let Some(Listener { files, config: _, status }) = listener {
            let reload = reload("listener", files.files(), status);
            let replace = move || {
                let (files, running) = (files.clone(), running.clone());
                async move {
                    let (config, certificate) = in_background(move || load_inbound(&files)).await?;
                    for server in running {
                        server.replace_tls(config.clone()).await.map_err(TlsError::NotReplaced)?;
                    }
                    Ok(certificate)
                }
            };
            supervise(tasks, "listener certificates", reload, replace);
        }
        if let Some(Calls { files, outbound, status }) = calls {
            let reload = reload("calls", files.files(), status);
            let replace = move || {
                let outbound = outbound.clone();
                in_background(move || outbound.reload())
            };
            supervise(tasks, "client certificates", reload, replace);
        }
    }
}

/// Watches files as long as the server runs: a panic must not end renewals.
fn supervise<F>(
    tasks: &TaskSet,
    name: &'static str,
    reload: Reload,
    replace: impl Fn() -> F + Send + Sync + 'static,
) where
    F: Future<Output = Result<Option<Certificate>, TlsError>> + Send + 'static,
{
    let (clock, watched) = (Arc::clone(&reload.clock), Arc::new((reload, replace)));
    tasks.supervise(name, clock, move || {
        let watched = Arc::clone(&watched);
        async move { watched.0.watch(&watched.1).await }
    });
}

/// Reads files without making a thread of the runtime wait.
async fn in_background<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, TlsError> + Send + 'static,
) -> Result<T, TlsError> {
    tokio::task::spawn_blocking(read).await.map_err(|error| TlsError::NotReplaced(error.to_string()))?
}
