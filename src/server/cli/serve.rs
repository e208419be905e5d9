//! `serve`: runs the server until a signal, a changed file or a failure ends it.
//!
//! ```text
//!            signal                     ┌─ drained, or a second signal ─▶ exit 0
//!   RUNNING ───────────▶ STOPPING ──────┤
//!      │  file changed      ▲           ├─ file changed, no second signal ─▶ exec again
//!      ├────────────────────┤           └─ part of the server failed ─▶ exit 4
//!      │  part failed       │
//!      └────────────────────┘  (the journal itself failed: exit 4 without stopping)
//! ```

use std::path::Path;

use futures::FutureExt;
use slog::{Logger, crit, info, warn};

use super::{
    exit::{Exit, Failure},
    reload::{Program, Watch},
    service_manager,
    signals::Signals,
};
use crate::{
    app::{Broken, Server, StartError, Surroundings},
    config::{Flags, LayeredVars, Settings},
    journal::OpenError,
    redact::Redactor,
    runtime::log,
    time::SystemClock,
};

/// Why the server stops.
enum StopReason {
    Signal,
    FileChanged,
    Broken(String),
}

/// The next step of the process, once the server has stopped.
enum Next {
    End,
    ExecAgain,
}

pub(super) fn serve(flags: &Flags) -> Result<Exit, Failure> {
    let folder = Path::new(".");
    // Only this needs to know where the program is, and a machine without /proc does not.
    let reload = flags.reload.then(Program::this).transpose().map_err(Failure::config)?;
    // Before the files are read, so that a change while they are read counts.
    let watch = reload.as_ref().map(|program| Watch::new(program.path(), LayeredVars::paths(folder)));
    let vars = LayeredVars::load(folder).map_err(Failure::config)?;
    let settings = Settings::from_vars(&vars, flags).map_err(Failure::config)?;
    let (log, log_written) =
        log::logger(settings.log.format, settings.log.level, Redactor::new(&settings.redact));
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::config)?;
    let next = runtime.block_on(run(&settings, watch.as_ref(), &log));
    // Unfinished work is in the journal, so there is no need to wait for it.
    runtime.shutdown_background();
    drop((log, log_written));
    match (next?, reload) {
        (Next::ExecAgain, Some(program)) => Err(Failure::config(program.exec_again())),
        (Next::End | Next::ExecAgain, _) => Ok(Exit::Ok),
    }
}

async fn run(settings: &Settings, watch: Option<&Watch>, log: &Logger) -> Result<Next, Failure> {
    // Before the start, so that a signal during it is not lost.
    let mut signals = Signals::catch().map_err(Failure::config)?;
    let server = Server::start(settings, Surroundings::default(), log)
        .await
        .map_err(|error| not_started(&error, settings))?;
    service_manager::ready(&server, log);
    let file_changed = async {
        match watch {
            Some(watch) => watch.changed(&SystemClock).await,
            None => std::future::pending().await,
        }
    };
    let reason = tokio::select! {
        () = signals.received() => StopReason::Signal,
        file = file_changed => {
            info!(log, "restarting: a file changed"; "file" => %file.display());
            StopReason::FileChanged
        }
        Broken { reason, may_stop } = server.broken() => {
            crit!(log, "essential part of the server failed: exiting"; "error" => &reason);
            if !may_stop {
                return Err(Failure::new(Exit::Broken, reason));
            }
            StopReason::Broken(reason)
        }
    };
    // With another program it goes on: for the service manager that is no stop.
    if !matches!(reason, StopReason::FileChanged) {
        service_manager::stopping(log);
    }
    // A second signal ends the process at once. Whatever is cut off then is in
    // the journal.
    let second_signal = tokio::select! {
        () = server.stop() => signals.received().now_or_never().is_some(),
        () = signals.received() => {
            warn!(log, "second signal received: exiting without draining");
            true
        }
    };
    match reason {
        StopReason::Signal => Ok(Next::End),
        StopReason::FileChanged if second_signal => Ok(Next::End),
        StopReason::FileChanged => Ok(Next::ExecAgain),
        StopReason::Broken(reason) => Err(Failure::new(Exit::Broken, reason)),
    }
}

/// The error of a start, and what to do about it.
pub(super) fn not_started(error: &StartError, settings: &Settings) -> Failure {
    let remedy = error.remedy(settings).map(|remedy| format!("\n  {remedy}")).unwrap_or_default();
    Failure::new(exit_code(error), format!("{error}{remedy}"))
}

fn exit_code(error: &StartError) -> Exit {
    match error {
        StartError::Journal(OpenError::Owes { .. }) => Exit::Config,
        StartError::Journal(_) | StartError::TakeUp(_) | StartError::AssignmentKey(_) => Exit::Journal,
        StartError::Listen { .. } | StartError::Tls(_) | StartError::Secret(_) | StartError::Setup(_) => {
            Exit::Config
        }
    }
}
