//! Takes changed files over without a restart.
//!
//! ```text
//!   every few seconds: has the content changed? ──no──▶ nothing
//!                                 │ yes
//!                                 ▼
//!                      read, validate ──invalid──▶ warn; health degraded; what is in use stays
//!                                 │ valid
//!                                 ▼
//!                             in use for connections from now on
//! ```
//!
//! The content is compared, and not the times: orchestrators replace a mounted
//! secret by pointing a link at another folder. A signal would have to come from
//! inside of the container.

use std::{path::PathBuf, sync::Arc, time::Duration};

use slog::{Logger, info, warn};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{Certificate, CertificateStatus, TlsError, files::Fingerprint};
use crate::time::Clock;

/// A set of files that are in use together.
pub struct Reload {
    /// What they are for, in the log.
    pub purpose: &'static str,
    pub files: Vec<PathBuf>,
    pub every: Duration,
    pub status: Arc<CertificateStatus>,
    pub clock: Arc<dyn Clock>,
    pub stopping: CancellationToken,
    pub log: Logger,
}

impl Reload {
    /// Calls `replace` after each change, until the server stops. `replace` reads
    /// the files and takes them into use, or changes nothing.
    pub async fn watch<F>(&self, replace: &(impl Fn() -> F + Sync))
    where
        F: Future<Output = Result<Option<Certificate>, TlsError>> + Send,
    {
        // A change between the start and this would go unnoticed.
        let mut seen = None;
        while let Some(found) = self.fingerprint().await {
            if seen != Some(found) {
                seen = Some(found);
                self.report(replace().await);
            }
            tokio::select! {
                () = self.clock.sleep(self.every) => {}
                () = self.stopping.cancelled() => return,
            }
        }
    }

    /// `None` if the runtime is about to end.
    async fn fingerprint(&self) -> Option<Fingerprint> {
        let files = self.files.clone();
        let hashed = tokio::task::spawn_blocking(move || Fingerprint::of(files.iter().map(PathBuf::as_path)));
        match hashed.await.map_err(JoinError::try_into_panic) {
            Ok(found) => Some(found),
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_canceled)) => None,
        }
    }

    fn report(&self, replaced: Result<Option<Certificate>, TlsError>) {
        match replaced {
            Ok(certificate) => {
                let (name, expires) = certificate
                    .as_ref()
                    .map(|certificate| (certificate.name.clone(), certificate.expires.to_string()))
                    .unwrap_or_default();
                self.status.replaced(certificate);
                info!(self.log, "loaded certificates"; "purpose" => self.purpose, "subject" => name,
                    "expires_at" => expires);
            }
            Err(error) => {
                self.status.reload_failed();
                warn!(self.log, "could not reload certificates: those in use stay in use";
                    "purpose" => self.purpose, "error" => %error);
            }
        }
    }
}
