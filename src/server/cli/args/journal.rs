//! `journal`: what is done with the file.

use std::{path::PathBuf, time::Duration};

use clap::{
    Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{
    output::Shown,
    parse::{Since, age, outcome, since},
};
use crate::{record::AuditOutcome, types::RunId};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum JournalCommand {
    /// Copy the journal to a new file; the server may run
    Backup {
        /// Destination; must not exist. It contains secrets, as the journal does
        file: PathBuf,
    },
    /// Check the integrity of a journal and its records; the server may run
    Check {
        /// The journal to check, such as a backup, instead of --journal
        file: Option<PathBuf>,
    },
    /// Print the audit trail: who asked for what, and what a rule refused; the server may run
    Audit {
        /// Only about this run
        #[arg(long, value_name = "RUN")]
        run: Option<RunId>,
        /// Only from this time on, such as 2026-11-28T12:00:00Z, or this long ago, such as 12h
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<Since>,
        /// Only of this actor: a subject, the node run of an executor, coordinator or command_line
        #[arg(long, value_name = "SUBJECT")]
        actor: Option<String>,
        /// Only with this outcome
        #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(["applied", "refused"]).map(outcome))]
        outcome: Option<AuditOutcome>,
        #[command(flatten)]
        shown: Shown,
    },
    /// Copy a file into an empty PostgreSQL database, or back into a new file; no server may run
    Copy {
        /// The database, without its password: postgres://USER@HOST:PORT/DATABASE; or the file,
        /// which must not exist
        to: String,
    },
    /// Reclaim free space (VACUUM); the server must not run
    Compact {
        /// First delete runs that finished longer ago than this, such as 30d or 12h
        #[arg(long, value_name = "AGE", value_parser = age)]
        finished_before: Option<Duration>,
    },
    /// Write all that is recorded about a run to a file that shows changes; the server may run
    Export {
        run: RunId,
        /// Destination; must not exist
        file: PathBuf,
    },
    /// Sign assignment tokens with a new key; the server may run
    RotateKey {
        /// Delete the old keys at once, because one has leaked: running composites fail
        #[arg(long)]
        revoke_old: bool,
    },
}
