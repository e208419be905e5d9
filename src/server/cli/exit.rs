//! Exit codes and their meaning.

use std::{fmt, process::ExitCode};

/// The failure of a command: its exit code, and the message for stderr.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl fmt::Display) -> Self {
        Self { exit, message: error.to_string() }
    }

    /// Makes a failure of the configuration, or of the machine.
    pub(super) fn config(error: impl fmt::Display) -> Self {
        Self::new(Exit::Config, error)
    }
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    /// The configuration is invalid.
    Config,
    /// The demo's run did not succeed.
    Demo,
    /// The runs that were compared differ.
    Differs,
    /// The server refused the request, is down, or did not answer.
    Remote,
    /// A command of the operator API: it did not answer.
    NoAnswer,
    /// The same: the caller may not do this, or is not known.
    NotAllowed,
    /// The same: what is asked contradicts what is stored, or is not valid.
    Refused,
    /// The same: there is no such thing.
    NotFound,
    /// The command line is wrong. clap exits with this code itself.
    Usage,
    /// The journal cannot be opened, or is damaged.
    Journal,
    /// An essential part of the server failed permanently.
    Broken,
}

impl Exit {
    /// All exit codes, with their meaning for the help text.
    pub const MEANINGS: [(Self, &str); 12] = [
        (Self::Ok, "success"),
        (Self::Config, "configuration error"),
        (Self::Demo, "the demo did not succeed"),
        (Self::Differs, "the runs differ"),
        (Self::Remote, "the server refused a request, is down, or did not answer"),
        (Self::Usage, "invalid command line"),
        (
            Self::Journal,
            "the journal cannot be opened, copied, compacted, exported or given a new key; it or a bundle is damaged",
        ),
        (
            Self::Broken,
            "an essential part of the server failed permanently (panic); a restart resumes all work",
        ),
        (Self::NoAnswer, "approvals: no answer, or the server cannot now"),
        (Self::NotAllowed, "approvals: the caller may not do this"),
        (Self::Refused, "approvals: the request contradicts what is stored, or is not valid"),
        (Self::NotFound, "approvals: there is no such approval"),
    ];

    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Config | Self::Demo | Self::Differs | Self::Remote => 1,
            Self::Usage => 2,
            Self::Journal => 3,
            Self::Broken => 4,
            Self::NoAnswer => 5,
            Self::NotAllowed => 6,
            Self::Refused => 7,
            Self::NotFound => 8,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
