//! A connection to the database, which is made again when it is lost.
//!
//! ```text
//!   none ──live()──▶ connecting ──▶ live ──lost──▶ none
//!                       └─ fails ─▶ refused for RETRY_AFTER: callers do not queue up
//! ```
//!
//! Statements are prepared once for each connection. Many tasks may use a connection at
//! the same time: their statements travel one behind the other, without waiting.
//!
//! **Invariant:** a session has the settings of [`SETTINGS`], whatever the database has
//! as its own: in particular, a transaction whose process is frozen does not keep its
//! locks, and a commit is on the disk before it is answered.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::poll_fn;
use parking_lot::Mutex;
use slog::{Logger, debug, info, warn};
use tokio::time::{Instant, timeout};
use tokio_postgres::{
    AsyncMessage, Client, Error, Row, Statement,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error::describe, machine};
use crate::{config::DatabaseUrl, journal::JournalError};

/// How long an attempt to connect may take with all of its hosts.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// After an attempt that failed, others fail at once for this time.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// What every session is set to.
///
/// - A transaction that waits for its process, or for another's lock, ends: both limits
///   are part of what keeps a frozen process from holding up the others.
/// - Plans do not depend on the values: all statements look for keys or walk an index.
const SETTINGS: &str = "
    SET idle_in_transaction_session_timeout = '2s';
    SET lock_timeout = '2s';
    SET statement_timeout = '30s';
    SET default_transaction_isolation = 'read committed';
    SET default_transaction_read_only = off;
    SET plan_cache_mode = force_generic_plan;
    SET jit = off;
    SET client_min_messages = warning;
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// What parameters of statements are.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// How connections are made.
pub(super) struct Connector {
    pub(super) url: DatabaseUrl,
    pub(super) tls: MakeRustlsConnect,
    pub(super) log: Logger,
}

/// A connection that was made.
pub(super) struct Live {
    pub(super) client: Client,
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
            State::Live(live) if !live.client.is_closed() => return Ok(Arc::clone(live)),
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

impl Connector {
    pub(super) async fn connect(&self) -> Result<Live, String> {
        let connect = async {
            let (client, mut connection) =
                self.url.config().connect(self.tls.clone()).await.map_err(|e| describe(&e))?;
            let (warned, log) = (Arc::new(AtomicBool::new(false)), self.log.clone());
            let noted = Arc::clone(&warned);
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
                        Ok(_) => {}
                        Err(lost) => {
                            debug!(log, "a connection to the database ended"; "error" => describe(&lost));
                            return;
                        }
                    }
                }
            });
            client.batch_execute(SETTINGS).await.map_err(|e| describe(&e))?;
            Ok(Live { client, statements: Mutex::default(), warned })
        };
        match timeout(CONNECT_WITHIN, connect).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("PostgreSQL: no answer from {} within 10 s", self.url)),
        }
    }
}

impl Live {
    /// Whether the database has warned since this was last asked.
    pub(super) fn has_warned(&self) -> bool {
        self.warned.swap(false, Ordering::AcqRel)
    }

    /// The statement, prepared for this connection.
    pub(super) async fn statement(&self, sql: &str) -> Result<Statement, Error> {
        if let Some(prepared) = self.statements.lock().get(sql) {
            return Ok(prepared.clone());
        }
        let prepared = self.client.prepare_typed(sql, &[] as &[Type]).await?;
        self.statements.lock().insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    pub(super) async fn query(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql).await?;
        self.client.query(&statement, parameters).await
    }

    pub(super) async fn query_opt(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, Error> {
        let statement = self.statement(sql).await?;
        self.client.query_opt(&statement, parameters).await
    }

    pub(super) async fn query_one(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row, Error> {
        let statement = self.statement(sql).await?;
        self.client.query_one(&statement, parameters).await
    }

    /// Returns the number of rows.
    pub(super) async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, Error> {
        let statement = self.statement(sql).await?;
        self.client.execute(&statement, parameters).await
    }
}
