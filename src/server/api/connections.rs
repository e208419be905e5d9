//! Closes idle connections.
//!
//! ```text
//!   accepted ──▶ idle ──── a request passes the door ─────▶ busy
//!                │  ▲                                         │
//!                │  └──── its answer was sent ────────────────┘
//!                └─▶ idle for too long, or the server stops ─▶ shut down for reading: hyper closes it
//! ```
//!
//! Hyper gives a request 30 s for its headers. But before that it waits without
//! limit for the bytes that distinguish HTTP/1 from HTTP/2, and it keeps idle
//! connections of HTTP/2. Dropshot does not expose its connections, so they are
//! found by their address (`sockets`).
//!
//! A stop waits for open connections, but not for idle ones, even if they have
//! sent part of a request's head. It cuts off the others when its time is up.

use std::{
    collections::{HashMap, HashSet},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use dropshot::Body;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use slog::{Logger, debug, warn};
use tokio_util::sync::CancellationToken;

use super::{body_timeout::BodyTimeout, sockets};

/// The time between two scans for idle connections during a stop.
const SCAN_INTERVAL: Duration = Duration::from_millis(250);

/// The connections of one server.
pub(super) struct Connections {
    /// Set once the server listens.
    listening_at: OnceLock<SocketAddr>,
    by_peer: Mutex<HashMap<SocketAddr, Connection>>,
}

struct Connection {
    /// Requests in progress.
    requests: usize,
    /// The time when it was first seen, or when its last answer was sent.
    idle_since: Instant,
    /// Whether it had been idle for too long at the last scan already. It is
    /// closed at the second such scan: a peer may have closed it and connected
    /// again from the same address.
    expired: bool,
}

/// Marks a connection as busy, until dropped.
pub(super) struct InProgress {
    connections: Arc<Connections>,
    peer: SocketAddr,
}

/// The connections to close.
#[derive(Clone, Copy)]
enum Close {
    /// Connections that have been idle for at least this time.
    Idle(Duration),
    All,
}

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { listening_at: OnceLock::new(), by_peer: Mutex::default() })
    }

    /// Records a request from `peer`.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> InProgress {
        let mut by_peer = self.by_peer();
        let connection = by_peer.entry(peer).or_insert_with(Connection::new);
        connection.requests += 1;
        connection.expired = false;
        InProgress { connections: Arc::clone(self), peer }
    }

    /// Closes connections that have been idle for too long until the server
    /// stops, and from then on all that are idle.
    pub(super) fn watch(
        self: Arc<Self>,
        listening_at: SocketAddr,
        timeout: BodyTimeout,
        closed: CancellationToken,
        log: Logger,
    ) -> impl Future<Output = ()> + Send + 'static {
        let _ = self.listening_at.set(listening_at);
        let BodyTimeout { limit: idle, stopping } = timeout;
        async move {
            if self.watch_until_stopping(idle, &stopping, &log).await.is_ok() {
                self.watch_until_closed(&closed).await;
            }
        }
    }

    async fn watch_until_stopping(
        self: &Arc<Self>,
        idle: Duration,
        stopping: &CancellationToken,
        log: &Logger,
    ) -> std::io::Result<()> {
        let mut scans = tokio::time::interval((idle / 4).max(SCAN_INTERVAL / 10));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = scans.tick() => {}
            }
            match self.close_in_background(Close::Idle(idle)).await {
                Ok(0) => {}
                Ok(closed) => debug!(log, "closed idle connections"; "count" => closed),
                Err(error) => {
                    warn!(log, "could not find idle connections: they stay open"; "error" => %error);
                    return Err(error);
                }
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
            if self.close_in_background(Close::Idle(Duration::ZERO)).await.is_err() {
                return;
            }
        }
    }

    /// Closes all connections, idle or not.
    pub(super) async fn cut_off(self: &Arc<Self>) {
        let _ = self.close_in_background(Close::All).await;
    }

    async fn close_in_background(self: &Arc<Self>, which: Close) -> std::io::Result<usize> {
        let connections = Arc::clone(self);
        let closing = tokio::task::spawn_blocking(move || connections.close(which));
        closing.await.unwrap_or(Ok(0))
    }

    fn close(&self, which: Close) -> std::io::Result<usize> {
        let Some(listening_at) = self.listening_at.get() else { return Ok(0) };
        let (now, mut open, mut closed) = (Instant::now(), HashSet::new(), 0);
        for socket in sockets::at(*listening_at)? {
            // The listener itself has no peer.
            let Some(peer) = socket.peer_addr().ok().and_then(|peer| peer.as_socket()) else { continue };
            open.insert(peer);
            let how = match which {
                Close::All => Shutdown::Both,
                Close::Idle(limit) => {
                    let mut by_peer = self.by_peer();
                    let connection = by_peer.entry(peer).or_insert_with(Connection::new);
                    let idle = now.saturating_duration_since(connection.idle_since);
                    if connection.requests > 0 || idle < limit {
                        continue;
                    }
                    if !std::mem::replace(&mut connection.expired, true) && !limit.is_zero() {
                        continue;
                    }
                    // Pending writes still complete.
                    Shutdown::Read
                }
            };
            closed += usize::from(socket.shutdown(how).is_ok());
        }
        self.by_peer().retain(|peer, connection| connection.requests > 0 || open.contains(peer));
        Ok(closed)
    }

    /// Ignores poisoning: each change is a single assignment, so the map is
    /// consistent after a panic.
    fn by_peer(&self) -> MutexGuard<'_, HashMap<SocketAddr, Connection>> {
        self.by_peer.lock()
    }
}

impl Connection {
    fn new() -> Self {
        Self { requests: 0, idle_since: Instant::now(), expired: false }
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut by_peer = self.connections.by_peer();
        if let Some(connection) = by_peer.get_mut(&self.peer) {
            connection.requests = connection.requests.saturating_sub(1);
            connection.idle_since = Instant::now();
        }
    }
}

/// Wraps the body of an answer, so that its connection is busy until all of it
/// has been sent, or is given up.
pub(super) fn until_sent(body: Body, in_progress: InProgress) -> Body {
    struct Guarded {
        body: Body,
        _in_progress: InProgress,
    }
    impl HttpBody for Guarded {
        type Data = Bytes;
        type Error = <Body as HttpBody>::Error;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Pin::new(&mut self.body).poll_frame(context)
        }
        fn is_end_stream(&self) -> bool {
            self.body.is_end_stream()
        }
        fn size_hint(&self) -> SizeHint {
            self.body.size_hint()
        }
    }
    Body::wrap(Guarded { body, _in_progress: in_progress })
}
