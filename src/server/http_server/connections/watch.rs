//! The scans that close connections.
//!
//! ```text
//!   every idle / 4, at most 5 s ──────────────────┐
//!   every 100 ms: more open files than there may  ├─▶ scan: visit the sockets, judge each
//!   be connections ───────────────────────────────┘
//!   the server stops: every 250 ms ───────────────▶ scan: all that are idle
//! ```

use std::{
    collections::HashSet,
    io::{self, Write},
    mem::MaybeUninit,
    net::{Shutdown, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use slog::{Logger, debug, warn};
use socket2::Socket;
use tokio_util::sync::CancellationToken;

use super::{Connection, Connections};
use crate::http_server::{body_timeout::BodyTimeout, limits::Limits, sockets};

/// The time between two scans for idle connections during a stop.
const SCAN_INTERVAL: Duration = Duration::from_millis(250);

/// The time between two looks at the number of open files.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

/// The most time between two scans: closed connections are forgotten then.
const FORGET_INTERVAL: Duration = Duration::from_secs(5);

/// What the watch over connections needs.
pub(in crate::server::http_server) struct Watch {
    pub(in crate::server::http_server) listening_at: SocketAddr,
    pub(in crate::server::http_server) stopping: CancellationToken,
    /// Cancelled when the server has closed.
    pub(in crate::server::http_server) closed: CancellationToken,
    pub(in crate::server::http_server) limits: Arc<Limits>,
    /// The answer to a connection too many, as bytes on the wire; `None` where
    /// it cannot be written.
    pub(in crate::server::http_server) farewell: Option<Vec<u8>>,
    pub(in crate::server::http_server) log: Logger,
}

/// The connections to close.
#[derive(Clone, Copy)]
enum Close {
    /// Connections that are idle, or whose answer waits for its reader, for too
    /// long; and those beyond the limit.
    Overdue,
    /// Connections that are idle.
    Idle,
    All,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    /// Pending writes still complete.
    StopReading,
    CutOff,
}

/// What a scan found and did.
#[derive(Clone, Copy, Default)]
struct Scan {
    open: usize,
    closed: usize,
    refused: usize,
}

impl Connections {
    /// Closes connections that are overdue or beyond the limit until the server
    /// stops, and from then on all that are idle.
    pub(in crate::server::http_server) fn watch(
        self: Arc<Self>,
        watch: Watch,
    ) -> impl Future<Output = ()> + Send + 'static {
        let _ = self.listening_at.set(watch.listening_at);
        async move {
            match self.watch_until_stopping(&watch).await {
                Ok(()) => self.watch_until_closed(&watch.closed).await,
                Err(error) => warn!(watch.log,
                    "could not find connections: they stay open, and are not limited"; "error" => %error),
            }
        }
    }

    async fn watch_until_stopping(self: &Arc<Self>, watch: &Watch) -> io::Result<()> {
        let farewell: Arc<[u8]> = watch.farewell.clone().unwrap_or_default().into();
        let interval = (self.limits.idle / 4).clamp(COUNT_INTERVAL / 4, FORGET_INTERVAL);
        let mut ticks = tokio::time::interval(interval.min(COUNT_INTERVAL));
        // Open files that are not connections, at the last scan: unknown before it.
        let (mut others, mut next_scan) = (usize::MAX, Instant::now());
        loop {
            tokio::select! {
                () = watch.stopping.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let files = match sockets::open_files()? {
                Some(files) => files,
                None => in_background(sockets::count_files).await?,
            };
            let is_crowded = files.saturating_sub(others) > self.limits.open;
            if Instant::now() < next_scan && !is_crowded {
                continue;
            }
            let (connections, farewell) = (Arc::clone(self), Arc::clone(&farewell));
            let scan = in_background(move || connections.scan(Close::Overdue, &farewell)).await?;
            others = files.saturating_sub(scan.open);
            // Until the next scan, those without a caller are not for work.
            self.is_crowded
                .store(scan.open.saturating_sub(scan.refused) > self.limits.open, Ordering::Relaxed);
            next_scan = Instant::now() + interval;
            if scan.closed > 0 {
                debug!(watch.log, "closed connections"; "count" => scan.closed);
            }
            for _ in 0..scan.refused {
                watch.limits.log_connections(self.limits.open, &watch.log);
            }
        }
    }

    async fn watch_until_closed(self: &Arc<Self>, closed: &CancellationToken) {
        // Bytes that are arriving may still become a request.
        let first = tokio::time::Instant::now() + BodyTimeout::WHEN_STOPPING;
        let mut scans = tokio::time::interval_at(first, SCAN_INTERVAL);
        loop {
            tokio::select! {
                () = closed.cancelled() => return,
                _ = scans.tick() => {}
            }
            let connections = Arc::clone(self);
            if in_background(move || connections.scan(Close::Idle, &[])).await.is_err() {
                return;
            }
        }
    }

    /// Closes all connections, idle or not.
    pub(in crate::server::http_server) async fn cut_off(self: &Arc<Self>) {
        let connections = Arc::clone(self);
        let _ = in_background(move || connections.scan(Close::All, &[])).await;
    }

    fn scan(&self, which: Close, farewell: &[u8]) -> io::Result<Scan> {
        let Some(listening_at) = self.listening_at.get() else { return Ok(Scan::default()) };
        let (now, millis, mut scan, mut open) = (Instant::now(), self.now(), Scan::default(), HashSet::new());
        sockets::each(*listening_at, |socket| {
            let Some(peer) = peer_of(socket) else { return };
            open.insert(peer);
            let mut verdict = match which {
                Close::All => Verdict::CutOff,
                Close::Overdue | Close::Idle => {
                    let mut by_peer = self.by_peer.lock();
                    let connection = by_peer.entry(peer).or_insert_with(Connection::new);
                    match which {
                        Close::Idle if connection.requests.is_empty() => Verdict::StopReading,
                        Close::Idle | Close::All => Verdict::Keep,
                        Close::Overdue => self.judge(connection, now, millis),
                    }
                }
            };
            // A request that hyper has yet to read is late through our own fault.
            if matches!(which, Close::Overdue) && verdict == Verdict::StopReading && has_unread(socket) {
                verdict = Verdict::Keep;
            }
            scan.closed += usize::from(verdict.execute(socket));
        })?;
        scan.open = open.len();
        self.by_peer.lock().retain(|peer, connection| !connection.requests.is_empty() || open.contains(peer));
        if matches!(which, Close::Overdue) {
            let too_many = self.too_many(&open);
            if !too_many.is_empty() {
                scan.refused = self.refuse(*listening_at, &too_many, farewell)?;
            }
        }
        Ok(scan)
    }

    fn judge(&self, connection: &mut Connection, now: Instant, millis: u64) -> Verdict {
        let limits = &self.limits;
        let answer = u64::try_from(limits.answer.as_millis()).unwrap_or(u64::MAX);
        let stuck = |since: u64| millis.saturating_sub(since) > answer;
        if connection.requests.iter().any(|progress| progress.waiting_since().is_some_and(stuck)) {
            return Verdict::CutOff;
        }
        let idle = now.saturating_duration_since(connection.idle_since);
        if !connection.requests.is_empty() || idle < limits.idle {
            return Verdict::Keep;
        }
        if !std::mem::replace(&mut connection.expired, true) {
            return Verdict::Keep;
        }
        // It was shut down for reading, and what hyper has left to write is not
        // taken.
        if idle > limits.idle.saturating_add(limits.answer) { Verdict::CutOff } else { Verdict::StopReading }
    }

    /// The connections to close so that no more are open than there may be: those
    /// without a caller, the oldest first. So a flood of silent connections
    /// replaces itself, and does not keep callers out.
    fn too_many(&self, open: &HashSet<SocketAddr>) -> HashSet<SocketAddr> {
        let excess = open.len().saturating_sub(self.limits.open);
        if excess == 0 {
            return HashSet::new();
        }
        let by_peer = self.by_peer.lock();
        let mut silent: Vec<(Instant, SocketAddr)> = by_peer
            .iter()
            .filter(|(_, connection)| !connection.is_known && connection.requests.is_empty())
            .map(|(peer, connection)| (connection.idle_since, *peer))
            .collect();
        silent.sort_unstable();
        silent.into_iter().take(excess).map(|(_, peer)| peer).collect()
    }

    fn refuse(
        &self,
        listening_at: SocketAddr,
        too_many: &HashSet<SocketAddr>,
        farewell: &[u8],
    ) -> io::Result<usize> {
        let mut refused = 0;
        sockets::each(listening_at, |socket| {
            if !peer_of(socket).is_some_and(|peer| too_many.contains(&peer) && self.is_silent(peer)) {
                return;
            }
            // It fits into an empty buffer, or is not written.
            let mut writer: &Socket = socket;
            let _written = writer.write(farewell);
            refused += usize::from(Verdict::CutOff.execute(socket));
        })?;
        Ok(refused)
    }

    fn is_silent(&self, peer: SocketAddr) -> bool {
        self.by_peer.lock().get(&peer).is_some_and(|connection| connection.requests.is_empty())
    }
}

impl Verdict {
    /// Returns whether the connection was closed.
    fn execute(self, socket: &Socket) -> bool {
        let how = match self {
            Self::Keep => return false,
            Self::StopReading => Shutdown::Read,
            Self::CutOff => Shutdown::Both,
        };
        socket.shutdown(how).is_ok()
    }
}

/// Whether the kernel has bytes that hyper has not read.
fn has_unread(socket: &Socket) -> bool {
    socket.peek(&mut [MaybeUninit::uninit()]).is_ok_and(|length| length > 0)
}

/// The listener itself has no peer.
fn peer_of(socket: &Socket) -> Option<SocketAddr> {
    socket.peer_addr().ok().and_then(|peer| peer.as_socket())
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
