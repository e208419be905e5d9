//! Clients at work: each has a connection of its own and does one thing after the other,
//! until the time is up.
//!
//! ```text
//!   Clients::connect ──one call each, not measured──▶ Clients::work ──▶ Load: times, elapsed
//! ```

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::{
    arp::{self, Await},
    http::Connection,
    stats::percentile_ms,
};

/// What a client does again and again.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Starts a run and waits for its end.
    Run { request: Arc<str>, how: Await },
    /// Reads from this path.
    Get(Arc<str>),
    /// Posts this and reads the answer.
    Post { path: Arc<str>, body: Arc<str> },
}

impl Call {
    async fn make(&self, connection: &mut Connection) -> Result<()> {
        match self {
            Self::Run { request, how } => arp::run_to_end(connection, request, *how).await,
            Self::Get(path) => connection.get(path).await.map(|_| ()),
            Self::Post { path, body } => connection.post(path, body.to_string()).await.map(|_| ()),
        }
    }
}

/// Clients with open connections.
pub(crate) struct Clients {
    connections: Vec<Connection>,
    call: Call,
}

/// What they have done.
#[derive(Debug)]
pub(crate) struct Load {
    /// Sorted.
    pub(crate) times: Vec<Duration>,
    pub(crate) elapsed: Duration,
}

impl Clients {
    /// They share the servers, and have each made the call once.
    pub(crate) async fn connect(servers: &[SocketAddr], count: usize, call: &Call) -> Result<Self> {
        let mut connecting = JoinSet::new();
        for server in servers.iter().cycle().take(count) {
            let (mut connection, call) = (Connection::to(*server), call.clone());
            connecting.spawn(async move {
                call.make(&mut connection).await?;
                anyhow::Ok(connection)
            });
        }
        let connections = connecting.join_all().await.into_iter().collect::<Result<_>>()?;
        Ok(Self { connections, call: call.clone() })
    }

    pub(crate) async fn work(self, each: Duration) -> Result<Load> {
        let mut working = JoinSet::new();
        let began = Instant::now();
        for mut connection in self.connections {
            let call = self.call.clone();
            working.spawn(async move {
                let mut times = Vec::new();
                while began.elapsed() < each {
                    let called = Instant::now();
                    call.make(&mut connection).await?;
                    times.push(called.elapsed());
                }
                anyhow::Ok(times)
            });
        }
        let all: Vec<Vec<Duration>> = working.join_all().await.into_iter().collect::<Result<_>>()?;
        let elapsed = began.elapsed();
        Ok(Load::of(all.concat(), elapsed))
    }
}

impl Load {
    pub(crate) fn of(mut times: Vec<Duration>, elapsed: Duration) -> Self {
        times.sort_unstable();
        Self { times, elapsed }
    }

    pub(crate) fn count(&self) -> f64 {
        self.times.len() as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.count() / self.elapsed.as_secs_f64()
    }

    pub(crate) fn p50_ms(&self) -> f64 {
        percentile_ms(&self.times, 50.0)
    }

    pub(crate) fn p99_ms(&self) -> f64 {
        percentile_ms(&self.times, 99.0)
    }

    /// What each call has cost, in milliseconds.
    pub(crate) fn each_ms(&self, spent: Duration) -> f64 {
        spent.as_secs_f64() * 1e3 / self.count()
    }
}
