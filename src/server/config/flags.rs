//! The flags of the server. A flag overrides its variable.

use clap::{ArgAction, Args};
use slog::Level;

use super::{kind::Kind, value, variables};

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
    /// Journal: a file, or a PostgreSQL database (without its password) [default: ./jarvis-run-coordinator.db]
    #[arg(long, value_name = "PATH|URL")]
    pub journal: Option<String>,
    /// Minimum level of log messages, instead of LOG_LEVEL
    #[arg(long, value_name = "LEVEL", value_parser = log_level)]
    pub log_level: Option<Level>,
    /// Log more: -v is the level DEBUG, -vv is TRACE
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "log_level")]
    pub verbose: u8,
}

impl Flags {
    /// These, and where one is not given, that of `others`.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        let says_level = self.log_level.is_some() || self.verbose > 0;
        let level_of = if says_level { &self } else { others };
        Self {
            log_level: level_of.log_level,
            verbose: level_of.verbose,
            host: self.host.or_else(|| others.host.clone()),
            port: self.port.or(others.port),
            reload: self.reload || others.reload,
            journal: self.journal.or_else(|| others.journal.clone()),
        }
    }

    /// The level of log messages, if a flag says it.
    pub(super) fn level(&self) -> Option<Level> {
        match self.verbose {
            0 => self.log_level,
            1 => Some(Level::Debug),
            2.. => Some(Level::Trace),
        }
    }

    /// The flag that says the level, as people type it.
    pub(super) fn level_flag(&self) -> Option<&'static str> {
        match self.verbose {
            0 => self.log_level.map(|_| "--log-level"),
            1 => Some("-v"),
            2.. => Some("-vv"),
        }
    }
}

fn log_level(text: &str) -> Result<Level, String> {
    value::log_level(text).ok_or_else(|| format!("not {}", Kind::Choice(variables::LEVELS).expected()))
}
