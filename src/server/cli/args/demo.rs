//! `demo`: where its server is. The other flags of a server mean nothing to it.

use clap::Args;

use crate::config::Flags;

/// Where the server of the demo listens, and where its journal is.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct DemoPlace {
    /// Address or name to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Port to listen on [default: 8081, or any that is free]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Journal: a file, or a PostgreSQL database [default: in a temporary folder]
    #[arg(long, value_name = "PATH|URL")]
    journal: Option<String>,
}

impl DemoPlace {
    /// The same as flags of a server.
    pub(super) fn flags(&self) -> Flags {
        let Self { host, port, journal } = self.clone();
        Flags { host, port, journal, ..Flags::default() }
    }
}
