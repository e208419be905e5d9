//! The connections of the server: which are busy, idle, or stuck.
//!
//! ```text
//!   accepted ──▶ idle ──── a request passes the door ─────▶ busy ── its answer waits for the reader ──▶ sending
//!                │  ▲                                         ▲          │                                │
//!                │  │                                         │          ▼ the reader takes it            │
//!                │  └──── its answer was sent ────────────────┴──────────┘                                │
//!                ├─▶ idle for too long, or the server stops ─▶ shut down for reading: hyper closes it     │
//!                ├─▶ too many connections ─▶ 503 and cut off                                              │
//!                └─▶ cut off ◀─────────────── for too long ───────────────────────────────────────────────┘
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `sending` | an answer on its way out |
//! | `watch` | the scans that close connections |
//!
//! Hyper gives a request 30 s for its headers. But before that it waits without
//! limit for the bytes that distinguish HTTP/1 from HTTP/2, it keeps idle
//! connections of HTTP/2, and it waits without limit for a reader. Dropshot does
//! not expose its connections, so they are found by their address (`sockets`).
//!
//! **Invariants.** A connection is closed whatever its peer does or omits, unless
//! a request is being worked on or an event stream waits for events. What is
//! recorded here is bounded by the number of open connections, and of those that
//! were closed in the last seconds.

mod sending;
mod watch;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub(super) use self::{
    sending::{Streamed, sending},
    watch::Watch,
};

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// The maximum number of open connections.
    pub(super) open: usize,
    /// The time limit without a request in progress.
    pub(super) idle: Duration,
    /// The time limit for an answer to be taken.
    pub(super) answer: Duration,
}

/// The connections of one server.
pub(super) struct Connections {
    limits: ConnectionLimits,
    /// Set once the server listens.
    listening_at: OnceLock<SocketAddr>,
    by_peer: Mutex<HashMap<SocketAddr, Connection>>,
    /// Whether there are more connections than there should be.
    is_crowded: AtomicBool,
    began: Instant,
}

struct Connection {
    requests: Vec<Arc<Progress>>,
    /// The time when it was first seen, or when its last answer was sent.
    idle_since: Instant,
    /// Whether it had been idle for too long at the last scan already. It is
    /// closed at the second such scan: a peer may have closed it and connected
    /// again from the same address.
    expired: bool,
    /// Whether a caller on it was admitted. Others make room first.
    is_known: bool,
}

/// A request in progress, until dropped: its connection is busy.
pub(super) struct InProgress {
    connections: Arc<Connections>,
    peer: SocketAddr,
    progress: Arc<Progress>,
}

/// Since when an answer waits for its reader, in milliseconds since the
/// connections' beginning, from 1; 0 while it does not.
#[derive(Default)]
struct Progress(AtomicU64);

impl Progress {
    fn waits_since(&self, at: u64) {
        self.0.store(at, Ordering::Relaxed);
    }

    fn goes_on(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn waiting_since(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

impl Connections {
    pub(super) fn new(limits: ConnectionLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            listening_at: OnceLock::new(),
            by_peer: Mutex::default(),
            is_crowded: AtomicBool::new(false),
            began: Instant::now(),
        })
    }

    /// Records a request from `peer`.
    pub(super) fn enter(self: &Arc<Self>, peer: SocketAddr) -> InProgress {
        let progress = Arc::new(Progress::default());
        let mut by_peer = self.by_peer.lock();
        let connection = by_peer.entry(peer).or_insert_with(Connection::new);
        connection.requests.push(Arc::clone(&progress));
        connection.expired = false;
        InProgress { connections: Arc::clone(self), peer, progress }
    }

    /// The maximum number of open connections.
    pub(super) fn limit(&self) -> usize {
        self.limits.open
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

impl Connection {
    fn new() -> Self {
        Self { requests: Vec::new(), idle_since: Instant::now(), expired: false, is_known: false }
    }
}

impl InProgress {
    /// A caller was admitted on this connection.
    pub(super) fn admitted(&self) {
        if let Some(connection) = self.connections.by_peer.lock().get_mut(&self.peer) {
            connection.is_known = true;
        }
    }

    /// Whether this connection is one too many: there are more than there should
    /// be, and no caller was admitted on it before.
    pub(super) fn is_too_many(&self) -> bool {
        self.connections.is_crowded.load(Ordering::Relaxed)
            && self.connections.by_peer.lock().get(&self.peer).is_none_or(|connection| !connection.is_known)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut by_peer = self.connections.by_peer.lock();
        if let Some(connection) = by_peer.get_mut(&self.peer) {
            connection.requests.retain(|progress| !Arc::ptr_eq(progress, &self.progress));
            connection.idle_since = Instant::now();
        }
    }
}
