//! Exit codes: the one place that says what each of them means.

use std::{fmt, process::ExitCode};

/// A command that could not do its work: its exit code, and the message for
/// stderr.
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, error: impl fmt::Display) -> Self {
        Self { exit, message: error.to_string() }
    }

    /// The configuration, or the machine that it is for, does not allow a start.
    pub(super) fn config(error: impl fmt::Display) -> Self {
        Self::new(Exit::Config, error)
    }
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok,
    /// The configuration cannot be used.
    Config,
    /// The demo's run did not succeed.
    Demo,
    /// The server refused the request, is down, or did not answer.
    Remote,
    /// The command line is wrong. clap exits with this code itself.
    Usage,
    /// The journal cannot be opened, or is not sound.
    Journal,
    /// A part that the server cannot do without has failed for good.
    Broken,
}

impl Exit {
    /// All of them, with their meaning for the help text.
    pub const MEANINGS: [(Self, &str); 7] = [
        (Self::Ok, "ended as asked"),
        (Self::Config, "configuration error"),
        (Self::Demo, "the demo did not succeed"),
        (Self::Remote, "the server refused a request, is down, or did not answer"),
        (Self::Usage, "unknown flag or command"),
        (Self::Journal, "the journal cannot be opened, copied or compacted, or is not sound"),
        (Self::Broken, "a part of the server failed for good (a panic): start it again, it goes on"),
    ];

    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Config | Self::Demo | Self::Remote => 1,
            Self::Usage => 2,
            Self::Journal => 3,
            Self::Broken => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
