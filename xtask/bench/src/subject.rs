//! Something that is measured under load, and what its processes have spent on it.

use std::{net::SocketAddr, time::Duration};

use anyhow::Result;

use crate::{
    database::{self, Database},
    load::{Call, Load},
    procfs,
};

/// Something that is measured under load.
pub(crate) struct Subject<'s> {
    pub(crate) label: String,
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) call: Call,
    /// The processes of the server itself.
    pub(crate) processes: Vec<u32>,
    /// Those of its stores and workers; but not those of a database.
    pub(crate) others: Vec<u32>,
    pub(crate) database: Option<&'s Database>,
}

/// That of stores, workers and databases as well.
pub(crate) const CPU_OF_ALL: &str = "CPU ms/run, all";

/// What a subject has spent so far.
pub(crate) struct Spent {
    server: Duration,
    /// The others', if it has any.
    others: Option<Duration>,
    database: Option<database::Spent>,
}

impl Subject<'_> {
    pub(crate) async fn spent(&self) -> Result<Spent> {
        let all = |processes: &[u32]| processes.iter().copied().map(procfs::cpu).sum::<Duration>();
        let database = match self.database {
            Some(database) => Some(database.spent().await?),
            None => None,
        };
        let of_database = database.iter().map(|spent| spent.cpu).sum::<Duration>();
        let has_others = !self.others.is_empty() || database.is_some();
        Ok(Spent {
            server: all(&self.processes),
            others: has_others.then(|| all(&self.others) + of_database),
            database,
        })
    }
}

impl Spent {
    /// The processor time of the server alone.
    pub(crate) fn server_since(&self, before: &Self) -> Duration {
        self.server - before.server
    }

    /// What a run has cost since then.
    pub(crate) fn figures(&self, before: &Self, load: &Load) -> Vec<(&'static str, f64)> {
        let server = self.server_since(before);
        let mut figures = vec![
            ("runs/s", load.per_second()),
            ("p50 ms", load.p50_ms()),
            ("p99 ms", load.p99_ms()),
            ("CPU ms/run", load.each_ms(server)),
        ];
        let others = self.others.zip(before.others).map_or(Duration::ZERO, |(now, then)| now - then);
        figures.push((CPU_OF_ALL, load.each_ms(server + others)));
        if let (Some(now), Some(then)) = (&self.database, &before.database) {
            figures.push(("flushes/run", (now.flushes - then.flushes) / load.count()));
            figures.push(("log KiB/run", (now.log_kib - then.log_kib) / load.count()));
        }
        figures
    }
}
