//! HTTPS: the certificate of a running server is replaced here, and failed
//! handshakes are counted rather than logged one by one.
//!
//! ```text
//!   accepted ──▶ handshake ──fails──▶ one line in ten seconds, with the number of the others
//!                    │  └──takes too long──▶ closed, as an idle connection is (connections)
//!                    ▼
//!                 requests        a replaced certificate is that of the next handshake
//! ```
//!
//! Anyone who reaches the port can make handshakes fail, without a token. So
//! what that costs is bounded.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use dropshot::{ConfigTls, HttpServer};
use parking_lot::Mutex;
use rustls::ServerConfig;
use slog::{Drain, Level, Logger, Never, OwnedKVList, Record, o, warn};

use super::context::ServerContext;

/// A server that can be closed once, and whose certificate can be replaced until
/// then. Clones share it.
#[derive(Clone)]
pub struct Running(Arc<tokio::sync::Mutex<Option<HttpServer<ServerContext>>>>);

impl Running {
    pub(super) fn new(server: HttpServer<ServerContext>) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Some(server))))
    }

    /// Takes the server, to close it.
    pub(super) async fn take(&self) -> Option<HttpServer<ServerContext>> {
        self.0.lock().await.take()
    }

    /// Uses this certificate and trust from the next handshake on. Open
    /// connections continue.
    pub async fn replace_tls(&self, config: ServerConfig) -> Result<(), String> {
        match &*self.0.lock().await {
            Some(server) => server.refresh_tls(&ConfigTls::Dynamic(config)).await,
            // The server stops: there are no more handshakes.
            None => Ok(()),
        }
    }
}

/// How dropshot begins its message about a failed handshake.
const FAILED: &str = "tls accept err: ";
/// The time for which one message is enough.
const QUIET: Duration = Duration::from_secs(10);

/// Passes everything on to `log`, but of failed handshakes only one in
/// [`QUIET`].
pub(super) fn with_few_handshakes(log: Logger) -> Logger {
    Logger::root(FewHandshakes { log, tally: AssertUnwindSafe::default() }, o!())
}

struct FewHandshakes {
    log: Logger,
    /// Each change is complete: a panic leaves nothing half done.
    tally: AssertUnwindSafe<Mutex<Tally>>,
}

#[derive(Default)]
struct Tally {
    logged: Option<Instant>,
    /// Not logged since.
    others: u64,
}

impl Tally {
    /// The number of failures that this one stands for besides itself; `None` if
    /// it is one of the others.
    fn count(&mut self, now: Instant) -> Option<u64> {
        if self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < QUIET) {
            self.others += 1;
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.others))
    }
}

impl Drain for FewHandshakes {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if record.level() == Level::Warning {
            let message = record.msg().to_string();
            if let Some(error) = message.strip_prefix(FAILED) {
                let others = self.tally.lock().count(Instant::now());
                if let Some(others) = others {
                    warn!(self.log, "TLS handshakes failed"; "error" => error, "others" => others);
                }
                return Ok(());
            }
        }
        Drain::log(&self.log, record, values)
    }
}

#[cfg(test)]
mod tests {
    use slog::info;

    use super::*;

    /// Keeps the messages.
    struct Kept(std::sync::mpsc::SyncSender<String>);

    impl Drain for Kept {
        type Ok = ();
        type Err = Never;
        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
            self.0.send(record.msg().to_string()).expect("it is kept");
            Ok(())
        }
    }

    #[test]
    fn crowd_of_failed_handshakes_is_one_line() {
        let (sender, kept) = std::sync::mpsc::sync_channel(1000);
        let log = with_few_handshakes(Logger::root(Kept(sender), o!()));
        for _ in 0..1000 {
            warn!(log, "tls accept err: {}", "tls handshake eof");
        }
        warn!(log, "accept error");
        info!(log, "tls accept err: not a warning");
        drop(log);
        let kept: Vec<_> = kept.iter().collect();
        assert_eq!(kept, ["TLS handshakes failed", "accept error", "tls accept err: not a warning"]);
    }

    #[test]
    fn later_line_counts_the_handshakes_between() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let counted = [0, 1, 9, 10, 11, 30].map(|seconds| tally.count(at(seconds)));
        assert_eq!(counted, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
