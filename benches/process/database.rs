//! A private PostgreSQL under a measured coordinator, and what it has spent.

use std::{fs, time::Duration};

use private_postgres::{Programs, Server};
use tokio_postgres::{Client, NoTls};

pub(crate) struct Database {
    server: Server,
    client: Client,
}

/// What the database has spent so far.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) flushes: f64,
    pub(crate) wal_kib: f64,
}

impl Database {
    #[expect(clippy::disallowed_methods, reason = "the task ends with its connection")]
    /// As it comes, but for a cache of a usual size and numbers of flushes.
    pub(crate) async fn start() -> Self {
        let programs = Programs::find().expect("PostgreSQL; see `cargo xtask postgres`");
        let settings = ["shared_buffers = '256MB'", "max_wal_size = '4GB'", "track_wal_io_timing = on"];
        let server = Server::start(&programs, &settings).expect("a server");
        let (client, connection) =
            tokio_postgres::connect(&server.url("postgres"), NoTls).await.expect("connected");
        tokio::spawn(connection);
        Self { server, client }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("postgres")
    }

    pub(crate) async fn spent(&self) -> Spent {
        // From 18 on, flushes are counted with the other input and output.
        let flushes = "SELECT wal_sync::float8 FROM pg_stat_wal";
        let flushes_18 = "SELECT sum(fsyncs)::float8 FROM pg_stat_io WHERE object = 'wal'";
        let flushes = match self.client.query_one(flushes, &[]).await {
            Ok(row) => row.get(0),
            Err(_) => self.client.query_one(flushes_18, &[]).await.expect("counted").get(0),
        };
        let written = "SELECT (pg_current_wal_lsn() - '0/0')::float8 / 1024";
        let wal_kib = self.client.query_one(written, &[]).await.expect("counted").get(0);
        Spent { cpu: self.cpu(), flushes, wal_kib }
    }

    /// The processor time of all processes of the server, those that have ended included.
    fn cpu(&self) -> Duration {
        let id = self.server.id().expect("it runs");
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let ticks = |id: &str, fields: std::ops::RangeInclusive<usize>| -> u64 {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            fields.filter_map(|field| rest.get(field)?.parse::<u64>().ok()).sum()
        };
        let of_children: u64 = children.split_whitespace().map(|child| ticks(child, 11..=12)).sum();
        // USER_HZ is 100 on every Linux.
        Duration::from_millis((ticks(&id.to_string(), 11..=14) + of_children) * 10)
    }
}
