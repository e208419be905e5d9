//! Exit codes and their meaning.

use std::{fmt, io, process::ExitCode};

use super::remote::RemoteError;

/// The failure of a command: its exit code, and the message for stderr.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    /// Empty if there is nothing to say.
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

    /// A failure about which everything has been said.
    pub(super) fn said(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }
}

/// Of stdout. A reader that has read enough is no failure.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::said(Exit::Ok);
        }
        Self::config(format!("cannot write to stdout: {error}"))
    }
}

/// Of a server, by class.
impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        Self::new(Exit::of(&error), error)
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
    /// The run that a command followed or started has failed.
    RunFailed,
    /// A check of the configuration against the machine and the services failed.
    Unfit,
    /// The runs that were compared differ.
    Differs,
    /// The server refused the request, is down, or did not answer.
    Remote,
    /// A command that calls a server: it did not answer.
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
    /// The question whether to go on was answered with no.
    Declined,
}

impl Exit {
    /// All exit codes, with their meaning for the help text.
    pub const MEANINGS: [(Self, &str); 15] = [
        (Self::Ok, "success"),
        (Self::Config, "configuration error"),
        (Self::Demo, "the demo did not succeed"),
        (Self::RunFailed, "the run that was followed, or that send-request sent, has failed"),
        (Self::Unfit, "check-config --probe, doctor: something does not work"),
        (Self::Differs, "the runs differ"),
        (Self::Declined, "the question whether to go on was answered with no"),
        (Self::Remote, "send-request, health: the server refused a request, is down, or did not answer"),
        (Self::Usage, "invalid command line, or a change of several that needs --yes"),
        (
            Self::Journal,
            "the journal cannot be opened, copied, compacted, exported or given a new key; it or a bundle is damaged",
        ),
        (
            Self::Broken,
            "an essential part of the server failed permanently (panic); a restart resumes all work",
        ),
        (Self::NoAnswer, "commands that call a server: no answer, or the server cannot now"),
        (Self::NotAllowed, "the same: the caller may not do this"),
        (Self::Refused, "the same: the request contradicts what is stored, or is not valid"),
        (Self::NotFound, "the same: there is no such thing"),
    ];

    /// The class of a failure of a server.
    pub(super) fn of(error: &RemoteError) -> Self {
        match error.status() {
            Some(401 | 403) => Self::NotAllowed,
            Some(404) => Self::NotFound,
            Some(408 | 429) => Self::NoAnswer,
            Some(400..=499) => Self::Refused,
            Some(_) | None => Self::NoAnswer,
        }
    }

    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Config
            | Self::Demo
            | Self::RunFailed
            | Self::Unfit
            | Self::Differs
            | Self::Declined
            | Self::Remote => 1,
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
