//! A private PostgreSQL under what is measured, and what it has spent.

use std::time::Duration;

use anyhow::{Context, Result};
use private_postgres::{Programs, Server};
use tokio_postgres::{Client, NoTls};
use xtask_support::{postgres, workspace};

use crate::procfs;

pub(crate) struct Database {
    server: Server,
    client: Client,
}

/// What it has spent so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) cpu: Duration,
    pub(crate) flushes: f64,
    pub(crate) log_kib: f64,
}

/// As it comes, so with `fsync` on, but for a cache of a usual size and numbers of flushes.
const SETTINGS: [&str; 3] = ["shared_buffers = '256MB'", "max_wal_size = '4GB'", "track_wal_io_timing = on"];

impl Database {
    pub(crate) async fn start() -> Result<Self> {
        let programs = match Programs::find() {
            Ok(programs) => programs,
            // Installed where the system has none.
            Err(_) => Programs::at(postgres::ensure(&workspace::root(), None)?)?,
        };
        let server = Server::start(&programs, &SETTINGS).context("start PostgreSQL")?;
        let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls).await?;
        tokio::spawn(connection);
        let fsync: String = client.query_one("SHOW fsync", &[]).await?.get(0);
        anyhow::ensure!(fsync == "on", "PostgreSQL would not wait for the disk");
        Ok(Self { server, client })
    }

    pub(crate) fn url(&self) -> String {
        self.server.url("postgres")
    }

    /// The process of the server.
    pub(crate) fn process(&self) -> Result<u32> {
        self.server.id().context("it runs")
    }

    pub(crate) async fn version(&self) -> Result<String> {
        let version: String = self.client.query_one("SHOW server_version", &[]).await?.get(0);
        Ok(version.split(' ').next().unwrap_or_default().to_owned())
    }

    pub(crate) async fn spent(&self) -> Result<Spent> {
        // From 18 on, flushes are counted with the other input and output.
        let flushes = "SELECT wal_sync::float8 FROM pg_stat_wal";
        let flushes_18 = "SELECT sum(fsyncs)::float8 FROM pg_stat_io WHERE object = 'wal'";
        let flushes = match self.client.query_one(flushes, &[]).await {
            Ok(row) => row.get(0),
            Err(_) => self.client.query_one(flushes_18, &[]).await?.get(0),
        };
        let written = "SELECT (pg_current_wal_lsn() - '0/0')::float8 / 1024";
        let log_kib = self.client.query_one(written, &[]).await?.get(0);
        Ok(Spent { cpu: procfs::cpu(self.process()?), flushes, log_kib })
    }
}
