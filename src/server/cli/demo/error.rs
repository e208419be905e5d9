//! Why the demo failed.

use std::io;

use super::super::exit::{Exit, Failure};
use crate::{app::StartError, clients::CallError, types::RunState};

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error("demo: {0}")]
    Setup(String),
    #[error("demo: {0}")]
    Start(#[from] StartError),
    #[error("demo: {}: {}", .0.code(), .0.message())]
    Call(CallError),
    #[error("demo: cannot write to stdout: {0}")]
    Output(#[from] io::Error),
    #[error("demo: the run {0}")]
    Run(RunState),
    #[error("demo: interrupted")]
    Interrupted,
}

/// A reader that has seen enough is no failure.
impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        match error {
            DemoError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::said(Exit::Ok),
            DemoError::Setup(_)
            | DemoError::Start(_)
            | DemoError::Call(_)
            | DemoError::Output(_)
            | DemoError::Run(_)
            | DemoError::Interrupted => Self::new(Exit::Demo, error),
        }
    }
}

impl From<CallError> for DemoError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}
