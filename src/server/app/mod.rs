//! The composition root: builds a server from its settings, and stops it in
//! order.
//!
//! ```text
//!  start:  journal ─▶ coordinator ─▶ dispatcher takes over unfinished work ─▶ listen ─▶ dispatch
//!  stop:   stop claiming, end streams ─▶ requests finish ─▶ jobs finish ─▶ outbox sent
//!          ─▶ claims released ─▶ journal closed
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `start` | the order in which the parts come up |
//! | `stop` | the order in which they go down, within a time limit |
//! | `listeners` | listens on the addresses of both APIs |
//! | `certificates` | loads certificates, and keeps them up to date |
//! | `peers` | wiring of the clients of other services |
//! | `health` | wiring of the health report |
//! | `summary` | the line of the log that says what has started |
//! | `hooks` | wiring of the webhooks |
//! | `clock` | the server's clock, from the journal's newest time on |
//! | `traces` | wiring of traces, and the collector |
//! | `probe` | tries what a server needs, without starting one |
//! | `remedy` | what to set when a server does not start |
//! | `assignment_key` | the signing key of assignment tokens |

mod assignment_key;
mod certificates;
mod clock;
mod health;
mod hooks;
mod journal;
mod listeners;
mod peers;
mod probe;
mod readings;
mod remedy;
mod start;
mod stop;
mod summary;
mod traces;

pub use certificates::check_files;
pub use probe::{Finding, Scope, Verdict, probe, token_of_commands};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use slog::Logger;

use self::listeners::Listeners;
use crate::{
    config::SecretError,
    journal::{Journal, JournalError, OpenError, sqlite::SqliteJournal},
    runtime::tasks::{Fatal, TaskSet},
    time::{Clock, MachineClock, SystemClock},
    transport::TlsError,
    types::{IdSource, RandomIds, WorkerId},
};

/// The number of jobs in memory at once: waiting for a slot at an executor, or
/// at the executor.
const IN_HAND: usize = 8_192;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Journal(#[from] OpenError),
    #[error("cannot take over the unfinished work in the journal: {0}")]
    TakeUp(#[from] JournalError),
    #[error("cannot store the signing key of assignment tokens: {0}")]
    AssignmentKey(#[source] JournalError),
    #[error("cannot listen on {address}: {reason}")]
    Listen { address: String, reason: String, set_by: &'static str },
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Secret(#[from] SecretError),
    #[error("{0}")]
    Setup(String),
}

/// Decorates the built-in journal.
pub type BeforeJournal = Box<dyn FnOnce(SqliteJournal) -> Arc<dyn Journal> + Send>;

/// The surroundings of a server, which tests replace.
pub struct Surroundings {
    /// The machine's clocks. The server's own clock follows them by slewing.
    pub clock: Arc<dyn MachineClock>,
    pub ids: Arc<dyn IdSource>,
    pub before_journal: BeforeJournal,
    /// The number of jobs in memory at once, of each kind.
    pub in_hand: usize,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            before_journal: Box::new(|journal| Arc::new(journal)),
            in_hand: IN_HAND,
        }
    }
}

/// A running server.
pub struct Server {
    listeners: Listeners,
    tasks: TaskSet,
    /// Stopped last: until then there may be something to send.
    outbox_tasks: TaskSet,
    /// Stopped after that: until then spans may end.
    trace_tasks: TaskSet,
    /// The heartbeats, which end when the claims are released.
    beats: TaskSet,
    journal: Arc<dyn Journal>,
    journal_fatal: Fatal,
    clock: Arc<dyn Clock>,
    worker: WorkerId,
    stop_within: Duration,
    log: Logger,
}

/// Why the process must end.
#[derive(Clone, Debug)]
pub struct Broken {
    pub reason: String,
    /// Whether work under way can still finish; without a journal it cannot.
    pub may_stop: bool,
}

impl Server {
    /// Waits until a part fails that the server cannot do without. The process
    /// should end then: the next one resumes all of its work.
    pub async fn broken(&self) -> Broken {
        tokio::select! {
            reason = self.journal_fatal.declared() => Broken { reason, may_stop: false },
            reason = self.tasks.fatal().declared() => Broken { reason, may_stop: true },
        }
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.listeners.address()
    }

    /// The address of the operator API, if it has one.
    pub fn operator_address(&self) -> Option<SocketAddr> {
        self.listeners.operator_address()
    }
}
