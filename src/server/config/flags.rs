//! The flags of the server. A flag overrides its variable.

use std::path::PathBuf;

use clap::Args;

/// Settings that are given on the command line.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Address or name to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on [default: 8081]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Restart when the binary or an env file changes (for development)
    #[arg(long)]
    pub reload: bool,
    /// Journal database [default: ./jarvis-run-coordinator.db]
    #[arg(long, value_name = "PATH")]
    pub journal: Option<PathBuf>,
}

impl Flags {
    /// These, and where one is not given, that of `others`.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        Self {
            host: self.host.or_else(|| others.host.clone()),
            port: self.port.or(others.port),
            reload: self.reload || others.reload,
            journal: self.journal.or_else(|| others.journal.clone()),
        }
    }
}
