//! Why the demo failed.

use std::io;

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

impl From<CallError> for DemoError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}
