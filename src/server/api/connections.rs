//! Connections on which nothing happens are closed.
//!
//! ```text
//!   accepted ──▶ idle ──── the door lets a request in ────▶ in work
//!                │  ▲                                          │
//!                │  └──── its answer was handed over ──────────┘
//!                └─▶ idle for too long, or the server stops ─▶ no more is read from it: hyper closes it
//! ```
//!
//! Hyper gives a request 30 s for its headers. But it first waits for the bytes
//! that tell HTTP/1 from HTTP/2, for ever, and keeps connections of HTTP/2 that
//! nobody uses. Dropshot keeps both to itself, so they are found by their address
//! (`sockets`).
//!
//! A stop waits for open connections. It need not wait for those that are idle,
//! whatever they have sent of a head; the others it cuts off when its time is up.

use std::{
    collections::{HashMap, HashSet},
    net::{Shutdown, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use dropshot::Body;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use slog::{Logger, debug, warn};
use tokio_util::sync::CancellationToken;

use super::{Front, sockets, visit::Patience};

/// Between two looks at connections that are to be closed by a stop.
const LOOK: Duration = Duration::from_millis(250);

/// The connections of one server.
pub(super) struct Connections {
    /// Known once it listens.
    listening_at: OnceLock<SocketAddr>,
    by_peer: Mutex<HashMap<SocketAddr, Connection>>,
}

struct Connection {
    in_work: usize,
    /// When it was first seen, or its last answer was handed over.
    idle_since: Instant,
    /// It had been idle for too long already at the last look. It is closed at
    /// the second: a peer may have closed it and come again by the same address.
    doomed: bool,
}

/// A request in work on a connection, until dropped.
pub(super) struct InWork {
    connections: Arc<Connections>,
    peer: SocketAddr,
}

/// Which connections are closed.
#[derive(Clone, Copy)]
enum Close {
    /// Those that have been idle for so long.
    Idle(Duration),
    All,
}

impl Connections {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { listening_at: OnceLock::new(), by_peer: Mutex::default() })
    }

    /// A request has come in from `peer`.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> InWork {
        let mut by_peer = self.by_peer();
        let connection = by_peer.entry(peer).or_insert_with(Connection::new);
        connection.in_work += 1;
        connection.doomed = false;
        InWork { connections: Arc::clone(self), peer }
    }

    /// Closes what has been idle for so long, until the server stops, and then
    /// whatever is idle.
    pub(super) fn watch(
        self: Arc<Self>,
        listening_at: SocketAddr,
        front: &Front,
        log: Logger,
    ) -> impl Future<Output = ()> + Send + 'static {
        let _ = self.listening_at.set(listening_at);
        let (Patience { body: idle, stopping }, closed) = (front.patience.clone(), front.closed.clone());
        async move {
            if self.while_it_serves(idle, &stopping, &log).await.is_ok() {
                self.while_it_stops(&closed).await;
            }
        }
    }

    async fn while_it_serves(
        self: &Arc<Self>,
        idle: Duration,
        stopping: &CancellationToken,
        log: &Logger,
    ) -> std::io::Result<()> {
        let mut looks = tokio::time::interval((idle / 4).max(LOOK / 10));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                _ = looks.tick() => {}
            }
            match self.close_in_background(Close::Idle(idle)).await {
                Ok(0) => {}
                Ok(closed) => debug!(log, "idle connections closed"; "count" => closed),
                Err(error) => {
                    warn!(log, "idle connections cannot be found: they stay open"; "error" => %error);
                    return Err(error);
                }
            }
        }
    }

    async fn while_it_stops(self: &Arc<Self>, closed: &CancellationToken) {
        // What was just coming in may still become a request.
        let first = tokio::time::Instant::now() + Patience::AT_A_STOP;
        let mut looks = tokio::time::interval_at(first, LOOK);
        loop {
            tokio::select! {
                () = closed.cancelled() => return,
                _ = looks.tick() => {}
            }
            if self.close_in_background(Close::Idle(Duration::ZERO)).await.is_err() {
                return;
            }
        }
    }

    /// Closes all of them, whatever they are about.
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
                    if connection.in_work > 0 || idle < limit {
                        continue;
                    }
                    if !std::mem::replace(&mut connection.doomed, true) && !limit.is_zero() {
                        continue;
                    }
                    // What is still to be written is written.
                    Shutdown::Read
                }
            };
            closed += usize::from(socket.shutdown(how).is_ok());
        }
        self.by_peer().retain(|peer, connection| connection.in_work > 0 || open.contains(peer));
        Ok(closed)
    }

    /// Every change is a single assignment: what a panic left behind is sound.
    fn by_peer(&self) -> MutexGuard<'_, HashMap<SocketAddr, Connection>> {
        self.by_peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn new() -> Self {
        Self { in_work: 0, idle_since: Instant::now(), doomed: false }
    }
}

impl Drop for InWork {
    fn drop(&mut self) {
        let mut by_peer = self.connections.by_peer();
        if let Some(connection) = by_peer.get_mut(&self.peer) {
            connection.in_work = connection.in_work.saturating_sub(1);
            connection.idle_since = Instant::now();
        }
    }
}

/// The body of an answer; its connection is in work until all of it has been
/// handed over, or is given up.
pub(super) fn until_handed_over(body: Body, in_work: InWork) -> Body {
    struct Guarded {
        body: Body,
        _in_work: InWork,
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
    Body::wrap(Guarded { body, _in_work: in_work })
}
