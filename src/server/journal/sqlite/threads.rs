//! What the threads of the journal share, and how they start.

use std::{io, panic::AssertUnwindSafe, sync::Arc, thread};

use slog::{Logger, crit};

use super::{Figures, space::Space};
use crate::runtime::tasks::{Fatal, panic_message};

#[derive(Clone)]
pub(super) struct ThreadParts {
    pub(super) space: Option<Arc<Space>>,
    pub(super) fatal: Fatal,
    pub(super) figures: Arc<Figures>,
    pub(super) log: Logger,
}

impl ThreadParts {
    /// Starts a thread that does `work`. A panic in it is declared fatal.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<thread::JoinHandle<()>> {
        let Self { fatal, log, .. } = self.clone();
        thread::Builder::new().name(name.into()).spawn(move || {
            let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) else { return };
            let message = panic_message(&*panic);
            crit!(log, "a journal thread panicked, the process must be restarted"; "thread" => name,
                "error" => message);
            fatal.declare(format!("the thread '{name}' panicked: {message}"));
        })
    }
}
