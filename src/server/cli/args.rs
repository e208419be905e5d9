//! The command line: the commands and their flags.
//!
//! - `runs`, `operator`, `steer`, `bulk`, `journal`: the commands below those.
//! - `target`: which server a command calls. `output`: in which form it prints.
//!   `change`: what is asked before it changes something. `parse`: single words.
//!   `select`: which runs. `demo`: where the demo runs.
//!
//! **Invariant:** a command shows and takes its own flags only. Those of the server
//! may also be given before the command.

mod bulk;
mod change;
mod demo;
mod journal;
mod operator;
mod output;
mod parse;
mod runs;
mod select;
mod steer;
mod target;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub use self::{
    bulk::{BulkAction, BulkCommand, BulkStart, RerunFrom},
    change::{Care, Change, NodeRuns, Runs},
    demo::DemoPlace,
    journal::JournalCommand,
    operator::{ApprovalsCommand, Decision, NodesCommand},
    output::{AtMost, Form, Listed, Output, Printed, Shown},
    parse::{Since, Until},
    runs::{ReadEvents, RunsCommand},
    select::{BasicSelect, Select},
    steer::{AuditSelect, DispatchCommand, NewWebhook, PauseScope, WebhooksCommand},
    target::{OperatorTarget, Servers, Target},
};
use super::exit::Exit;
use crate::{
    build_info,
    config::{Flags, Template, render},
};

/// ARP Run Coordinator: starts runs, dispatches their nodes, enforces their
/// limits, streams their events.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "jarvis-run-coordinator",
    version = build_info::DESCRIPTION.as_str(),
    after_help = "Configured by environment variables, also from .env.local and .env: --help lists them.",
    after_long_help = render::after_help(&Exit::MEANINGS.map(|(exit, meaning)| (exit.code(), meaning))),
    // A fixed width keeps the help the same everywhere, and testable.
    term_width = render::WIDTH,
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

impl Cli {
    /// The command, by default serving.
    pub fn chosen(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve { flags: Flags::default() })
    }

    /// The flags of the server: those of the command, else those before it.
    pub fn flags(&self) -> Flags {
        let of_command = match &self.command {
            Some(
                Command::Serve { flags } | Command::CheckConfig { flags, .. } | Command::Doctor { flags, .. },
            ) => flags.clone(),
            Some(Command::Demo { place, .. }) => place.flags(),
            Some(Command::Journal { journal, .. }) => Flags { journal: journal.clone(), ..Flags::default() },
            Some(
                Command::Openapi { .. }
                | Command::Init { .. }
                | Command::SendRequest { .. }
                | Command::Health { .. }
                | Command::Approvals { .. }
                | Command::Audit { .. }
                | Command::Bulk { .. }
                | Command::Dispatch { .. }
                | Command::Webhooks { .. }
                | Command::Work { .. }
                | Command::Nodes { .. }
                | Command::Runs { .. }
                | Command::Completions { .. }
                | Command::Man { .. },
            )
            | None => Flags::default(),
        };
        of_command.or(&self.flags)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the server (the default)
    Serve {
        #[command(flatten)]
        flags: Flags,
    },
    /// Print the OpenAPI document of the server
    Openapi {
        /// Of the operator API instead
        #[arg(long)]
        operator: bool,
    },
    /// Write a commented .env.local for a profile into the working directory
    Init {
        /// What the server is for
        #[arg(long, value_enum, default_value_t)]
        profile: Template,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
    },
    /// Print the effective configuration and what is wrong with it
    CheckConfig {
        /// Try the port, the journal and the services, too
        #[arg(long)]
        probe: bool,
        #[command(flatten)]
        flags: Flags,
    },
    /// Check everything that is configured from this machine, and say what to do
    Doctor {
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        flags: Flags,
    },
    /// Run a built-in example from start to end, without any other service
    Demo {
        /// Keep the server running afterwards, to be tried with curl, and keep its journal
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        place: DemoPlace,
    },
    /// Send a JSON file with a run or node runs to a server, and fetch one back
    SendRequest {
        /// The file to send; examples/node-runs.json is an example
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Query the health of a server
    Health {
        #[command(flatten)]
        target: Target,
    },
    /// List what waits for an approval, and decide about it (operator API)
    Approvals {
        #[command(subcommand)]
        command: ApprovalsCommand,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// List who asked for what, and what came of it, the newest first (operator API)
    Audit {
        #[command(flatten)]
        select: AuditSelect,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Do the same to many runs, as a job of the server (operator API)
    Bulk {
        #[command(subcommand)]
        command: BulkCommand,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Keep node runs from being dispatched, all or some, and let them go on (operator API)
    Dispatch {
        #[command(subcommand)]
        command: DispatchCommand,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Maintain a journal: back it up, check it, compact it, rotate its key, print its audit trail
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
        /// Journal, a file or a PostgreSQL database, instead of JARVIS_RUN_COORDINATOR_JOURNAL
        #[arg(long, global = true, value_name = "PATH|URL")]
        journal: Option<String>,
    },
    /// Show node runs: what became of them, why they do not move (operator API)
    Nodes {
        #[command(subcommand)]
        command: NodesCommand,
        #[command(flatten)]
        servers: Servers,
    },
    /// List, show, follow and cancel runs (operator API); examine exported ones
    Runs {
        #[command(subcommand)]
        command: RunsCommand,
    },
    /// Manage who is sent what, and see what could not be delivered (operator API)
    Webhooks {
        #[command(subcommand)]
        command: WebhooksCommand,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Show what of all runs is due, in hand, parked, waiting or owed (operator API)
    Work {
        #[command(flatten)]
        shown: Shown,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Print the completions of a shell
    Completions { shell: Shell },
    /// Print the manual page, or write a page for each command to a folder
    Man {
        /// The folder, which must exist
        #[arg(value_name = "FOLDER")]
        directory: Option<PathBuf>,
    },
}
