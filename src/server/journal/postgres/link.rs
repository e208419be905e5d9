//! A connection to the database, which is made again when it is lost.
//!
//! ```text
//!   none ──live()──▶ connecting ──▶ live ──lost──▶ none
//!     ▲                 └─ fails ─▶ refused for RETRY_AFTER: callers do not queue up
//!     └── silent: no answer for SILENT, although the connection stands
//! ```
//!
//! A server whose processes stand still goes on to acknowledge what it gets: only the
//! time without an answer shows it. Then, another host may be the primary by now.
//!
//! Statements are prepared once for each connection. Many tasks may use a connection at
//! the same time: their statements travel one behind the other, without waiting.
//!
//! **Invariant:** a session has the settings of [`SETTINGS`], whatever the database has
//! as its own: in particular, a transaction whose process is frozen does not keep its
//! locks, and a commit is on the disk before it is answered. And once a server was used,
//! none of an earlier timeline is: that one was the primary before a failover, and does
//! not know what was answered since.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::poll_fn;
use parking_lot::Mutex;
use slog::{Logger, debug, info, warn};
use tokio::time::{Instant, timeout};
use tokio_postgres::{
    AsyncMessage, Client, Config, Error, Row, SimpleQueryMessage, Statement,
    error::SqlState,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error::describe, inbox::Inbox, machine};
use crate::{config::DatabaseUrl, journal::JournalError};

/// How long an attempt to connect may take with all of its hosts, and with one of several.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const HOST_WITHIN: Duration = Duration::from_secs(3);

/// After this time without an answer a connection is not used any more.
const SILENT: Duration = Duration::from_secs(5);

/// After an attempt that failed, others fail at once for this time.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// What every session is set to.
///
/// - A transaction that waits for its process, or for another's lock, ends: both limits
///   are part of what keeps a frozen process from holding up the others.
/// - Plans do not depend on the values, nor on statistics: all statements look for keys or
///   walk an index. Without these, a plan that was made while the tables were small reads
///   them whole for ever, which costs the database 1.7 times the CPU.
const SETTINGS: &str = "
    SET idle_in_transaction_session_timeout = '2s';
    SET lock_timeout = '2s';
    SET statement_timeout = '30s';
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET jit = off;
    SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// The timeline of a primary, in hexadecimal digits: each failover begins another one.
const TIMELINE: &str = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

/// What parameters of statements are.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// How connections are made.
pub(super) struct Connector {
    pub(super) url: DatabaseUrl,
    hosts: Vec<Config>,
    /// The place of the host that is tried first: the one that has served last, or that
    /// comes after one that has not answered.
    first: AtomicUsize,
    /// The newest timeline of all servers that were used.
    timeline: AtomicU32,
    tls: MakeRustlsConnect,
    /// For what a connection that listens hears.
    pub(super) inbox: Arc<Inbox>,
    pub(super) log: Logger,
}

/// A connection that was made.
pub(super) struct Live {
    pub(super) client: Client,
    /// 0: not known.
    timeline: u32,
    /// Since when there is no answer, if one is awaited.
    asked: Mutex<Option<Instant>>,
    statements: Mutex<HashMap<String, Statement>>,
    warned: Arc<AtomicBool>,
}

/// A place for a connection.
pub(super) struct Link {
    connector: Arc<Connector>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    None,
    Refused {
        at: Instant,
        why: String,
    },
    Live(Arc<Live>),
}

impl Link {
    pub(super) fn new(connector: &Arc<Connector>) -> Self {
        Self { connector: Arc::clone(connector), state: tokio::sync::Mutex::default() }
    }

    /// The connection, which is made if there is none.
    pub(super) async fn live(&self) -> Result<Arc<Live>, JournalError> {
        let mut state = self.state.lock().await;
        let was_live = match &*state {
            State::Live(live) if self.connector.may_use(live) => return Ok(Arc::clone(live)),
            State::Refused { at, why } if at.elapsed() < RETRY_AFTER => {
                return Err(JournalError::Failed(why.clone()));
            }
            State::Live(_) => true,
            State::None | State::Refused { .. } => false,
        };
        let log = &self.connector.log;
        if was_live {
            warn!(log, "the connection to the database was lost"; "database" => %self.connector.url);
        }
        match self.connector.connect().await {
            Ok(live) => {
                if was_live || matches!(*state, State::Refused { .. }) {
                    info!(log, "connected to the database again"; "database" => %self.connector.url);
                }
                let live = Arc::new(live);
                *state = State::Live(Arc::clone(&live));
                Ok(live)
            }
            Err(why) => {
                debug!(log, "could not connect to the database"; "database" => %self.connector.url,
                    "error" => &why);
                *state = State::Refused { at: Instant::now(), why: why.clone() };
                Err(JournalError::Failed(why))
            }
        }
    }
}

impl Link {
    /// Uses this connection no more: nothing is heard from it.
    pub(super) async fn forget(&self, silent: &Arc<Live>) {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Live(live) if Arc::ptr_eq(live, silent)) {
            warn!(self.connector.log, "no answer on a connection to the database"; "database" => %self.connector.url);
            *state = State::None;
        }
    }
}

impl Connector {
    pub(super) fn new(url: DatabaseUrl, tls: MakeRustlsConnect, log: Logger) -> Self {
        let hosts = url.each_host();
        Self {
            url,
            hosts,
            first: AtomicUsize::new(0),
            timeline: AtomicU32::new(0),
            tls,
            inbox: Arc::default(),
            log,
        }
    }

    fn may_use(&self, live: &Live) -> bool {
        let is_older = live.timeline != 0 && live.timeline < self.timeline.load(Ordering::Acquire);
        !live.client.is_closed() && !live.is_silent() && !is_older
    }

    pub(super) async fn connect(&self) -> Result<Live, String> {
        let first = self.first.load(Ordering::Relaxed);
        let each = async {
            let mut why = String::new();
            for place in (0..self.hosts.len()).map(|place| (first + place) % self.hosts.len()) {
                // A caller that stops to wait does not begin with this one again.
                self.first.store((place + 1) % self.hosts.len(), Ordering::Relaxed);
                // Of one, the time is limited as a whole.
                let limit = if self.hosts.len() > 1 { HOST_WITHIN } else { CONNECT_WITHIN };
                match timeout(limit, self.connect_to(&self.hosts[place])).await {
                    Ok(Ok(live)) => {
                        self.first.store(place, Ordering::Relaxed);
                        return Ok(live);
                    }
                    Ok(Err(failed)) => why = failed,
                    Err(_) => why = format!("PostgreSQL: no answer from {} within {limit:?}", self.url),
                }
            }
            Err(why)
        };
        match timeout(CONNECT_WITHIN, each).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("PostgreSQL: no answer from {} within 10 s", self.url)),
        }
    }

    async fn connect_to(&self, host: &Config) -> Result<Live, String> {
        let (client, mut connection) = host.connect(self.tls.clone()).await.map_err(|e| describe(&e))?;
        let (warned, log) = (Arc::new(AtomicBool::new(false)), self.log.clone());
        let (noted, inbox) = (Arc::clone(&warned), Arc::clone(&self.inbox));
        // It ends with its client, or when the connection is lost.
        machine::begin(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        noted.store(true, Ordering::Release);
                        match notice.code().code() {
                            // It ends the connection, which is said elsewhere.
                            code if code.starts_with("57") => {
                                debug!(log, "the database ends a connection"; "why" => notice.message());
                            }
                            _ => warn!(log, "the database warns"; "warning" => notice.message()),
                        }
                    }
                    Ok(AsyncMessage::Notification(notification)) => inbox.take(notification.payload()),
                    Ok(_) => {}
                    Err(lost) => {
                        debug!(log, "a connection to the database ended"; "error" => describe(&lost));
                        return;
                    }
                }
            }
        });
        client.batch_execute(SETTINGS).await.map_err(|e| describe(&e))?;
        let timeline = timeline(&client).await;
        let newest = self.timeline.fetch_max(timeline, Ordering::AcqRel);
        if timeline != 0 && timeline < newest {
            return Err(format!(
                "PostgreSQL: timeline {timeline} of {} is older than {newest}: it was the primary before a failover",
                self.url
            ));
        }
        Ok(Live { client, timeline, asked: Mutex::default(), statements: Mutex::default(), warned })
    }
}

/// 0 where it cannot be found out.
async fn timeline(client: &Client) -> u32 {
    let answer = client.simple_query(TIMELINE).await.unwrap_or_default();
    let row = answer
        .iter()
        .find_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None });
    row.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// No stored text has a NUL, so nothing is found by one: PostgreSQL takes it for an error,
/// with which any caller could make the journal look unreadable. (It ends a transaction:
/// what callers name is looked for outside of one, or first in it.)
fn no_row<T: Default>(found: Result<T, Error>) -> Result<T, Error> {
    match found {
        Err(error) if error.code() == Some(&SqlState::CHARACTER_NOT_IN_REPERTOIRE) => Ok(T::default()),
        other => other,
    }
}

impl Live {
    /// Whether the database has warned since this was last asked.
    pub(super) fn has_warned(&self) -> bool {
        self.warned.swap(false, Ordering::AcqRel)
    }

    /// Whether an answer is late. (One that comes later is heard all the same.)
    fn is_silent(&self) -> bool {
        self.asked.lock().is_some_and(|since| since.elapsed() > SILENT)
    }

    /// Waits for an answer, and notes that one is awaited: also if the caller stops to wait.
    async fn heard<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.asked.lock().get_or_insert_with(Instant::now);
        let answer = answer.await;
        *self.asked.lock() = None;
        answer
    }

    /// The statement, prepared for this connection.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, Error> {
        if let Some(prepared) = self.statements.lock().get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.heard(self.client.prepare_typed(sql, &[] as &[Type])).await?;
        self.statements.lock().insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    pub(super) async fn query(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql).await?;
        no_row(self.heard(self.client.query(&statement, parameters)).await)
    }

    pub(super) async fn query_opt(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Error> {
        let statement = self.statement(sql).await?;
        no_row(self.heard(self.client.query_opt(&statement, parameters)).await)
    }

    pub(super) async fn query_one(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row, Error> {
        let statement = self.statement(sql).await?;
        self.heard(self.client.query_one(&statement, parameters)).await
    }

    /// Returns the number of rows.
    pub(super) async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, Error> {
        let statement = self.statement(sql).await?;
        self.heard(self.client.execute(&statement, parameters)).await
    }
}
