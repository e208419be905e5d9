//! The flags that every command takes. A flag overrides its variable.

use std::path::PathBuf;

use clap::Args;

/// Settings that are given on the command line.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Address or name to listen on [default: 127.0.0.1]
    #[arg(long, global = true, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on [default: 8081]
    #[arg(long, global = true, value_name = "PORT")]
    pub port: Option<u16>,
    /// Restart when the binary or an env file changes (for development)
    #[arg(long, global = true)]
    pub reload: bool,
    /// Journal database [default: ./jarvis-run-coordinator.db]
    #[arg(long, global = true, value_name = "PATH")]
    pub journal: Option<PathBuf>,
}
