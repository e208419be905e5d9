//! The database of the replicas: a private PostgreSQL, alone or with a standby, and what
//! can happen to it.
//!
//! ```text
//!   serving ──crash, outage──▶ stopped ──start──▶ serving
//!      │ └────freeze──▶ frozen ──thaw──▶ serving
//!      └──fail_over──▶ the standby is the primary; the old one is frozen
//! ```

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use private_postgres::{Programs, Server, Stop};

/// The name of the standby in `synchronous_standby_names`.
const STANDBY: &str = "chaos_standby";
const SETTINGS: [&str; 3] =
    ["max_connections = 100", "shared_buffers = '64MB'", "wal_retrieve_retry_interval = '1s'"];

/// Whether there is a standby, and what a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Failover {
    /// A commit is answered when the standby has it: nothing may be lost
    Synchronous,
    /// The standby is behind when it is promoted: what is lost must be found
    Asynchronous,
}

pub(crate) struct Database {
    primary: Server,
    standby: Option<Server>,
    failover: Option<Failover>,
    hosts: Vec<u16>,
}

impl Database {
    pub(crate) fn start(failover: Option<Failover>) -> Result<Self> {
        let primary = Server::start(&Programs::find()?, &SETTINGS)?;
        let standby = failover.map(|_| Server::standby_of(&primary, STANDBY)).transpose()?;
        let hosts = [Some(&primary), standby.as_ref()].into_iter().flatten().map(Server::port).collect();
        if failover == Some(Failover::Synchronous) {
            primary.query(&format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"))?;
            primary.query("SELECT pg_reload_conf()")?;
        }
        Ok(Self { primary, standby, failover, hosts })
    }

    /// The ports of all hosts.
    pub(crate) fn hosts(&self) -> &[u16] {
        &self.hosts
    }

    /// Stops the primary as if it had crashed.
    pub(super) fn crash(&mut self) -> Result<()> {
        self.primary.stop(Stop::Immediate)
    }

    /// Stops the primary in order.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.primary.stop(Stop::Fast)
    }

    pub(super) fn start_again(&mut self) -> Result<()> {
        self.primary.start_again()
    }

    pub(super) fn freeze(&self) -> Result<()> {
        self.primary.freeze()
    }

    pub(super) fn thaw(&self) -> Result<()> {
        self.primary.thaw()
    }

    /// Ends all connections of clients.
    pub(super) fn disconnect_all(&self) -> Result<()> {
        self.primary.signal_backends("client backend", "TERM").map(drop)
    }

    /// Kills the processes of all clients: the server repairs itself and goes on.
    pub(super) fn kill_backends(&self) -> Result<()> {
        self.primary.signal_backends("client backend", "KILL").map(drop)
    }

    /// Whether it answers.
    pub(super) fn serves(&self) -> bool {
        self.primary.query("SELECT 1").is_ok()
    }

    pub(super) fn failover(&self) -> Option<Failover> {
        self.failover
    }

    pub(super) fn has_standby(&self) -> bool {
        self.standby.is_some()
    }

    /// Makes the standby the primary, while the old one stands still. Returns the old
    /// one, which is as it was.
    pub(super) fn fail_over(&mut self) -> Result<Server> {
        let standby = self.standby.take().context("a standby")?;
        self.primary.freeze()?;
        standby.promote()?;
        Ok(std::mem::replace(&mut self.primary, standby))
    }

    /// Lets the standby fall behind: what it has not received by now, it never gets.
    pub(super) fn hold_standby_back(&self) -> Result<()> {
        ensure!(self.failover == Some(Failover::Asynchronous), "commits would wait for the standby");
        let standby = self.standby.as_ref().context("a standby")?;
        let held = standby.signal_backends("walreceiver", "STOP")?;
        ensure!(held == 1, "the standby has {held} receivers");
        Ok(())
    }

    /// Kills the primary and promotes a standby that was held back.
    pub(super) fn lose(&mut self) -> Result<()> {
        let standby = self.standby.take().context("a standby")?;
        self.primary.stop(Stop::Kill)?;
        standby.signal_backends("walreceiver", "KILL")?;
        standby.promote()?;
        self.primary = standby;
        Ok(())
    }

    /// The names of the registered workers.
    pub(super) fn owners(&self) -> Result<Vec<String>> {
        let listed = self.primary.query("SELECT owner_id FROM owners")?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// The claims of workers that are not registered.
    pub(super) fn orphaned_claims(&self) -> Result<Vec<String>> {
        let listed = self.primary.query(
            "SELECT node_run_id, wake_owner FROM node_runs WHERE wake_owner IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM owners WHERE owner_id = wake_owner)",
        )?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// All of it as SQL, to look at after a failure.
    pub(crate) fn dump(&self) -> Result<Vec<u8>> {
        self.primary.dump()
    }

    /// The end of its log, for the report of a failure.
    pub(super) fn log(&self) -> String {
        self.primary.read_log()
    }
}
