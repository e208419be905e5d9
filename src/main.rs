//! The program: arguments, configuration, signals, exit codes.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use clap::Parser;
use futures::FutureExt;
use jarvis_run_coordinator::{
    api,
    config::{Cli, Command, Exit, Flags, LayeredVars, Settings, check_config, reload},
    server::{Server, StartError, Surroundings},
    telemetry,
    time::SystemClock,
};
use slog::info;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.chosen() {
        Command::Serve => serve(&cli.flags),
        Command::Openapi => openapi(),
        Command::CheckConfig => check(&cli.flags),
        Command::Demo { keep: _ } => Ok(Exit::Ok),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err((exit, message)) => {
            eprintln!("{message}");
            exit.into()
        }
    }
}

/// How the program ends early, and what it says then.
type Failure = (Exit, String);

fn config_error(error: impl ToString) -> Failure {
    (Exit::Config, error.to_string())
}

fn openapi() -> Result<Exit, Failure> {
    writeln!(io::stdout(), "{:#}", api::openapi::document()).map_err(config_error)?;
    Ok(Exit::Ok)
}

fn check(flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(config_error)?;
    check_config(&vars, flags, &mut io::stdout()).map_err(config_error)
}

fn serve(flags: &Flags) -> Result<Exit, Failure> {
    let folder = Path::new(".");
    let program = reload::Program::this().map_err(config_error)?;
    // Before the files are read: what changes after that counts.
    let watch = reload::Watch::new(program.path(), LayeredVars::paths(folder));
    let vars = LayeredVars::load(folder).map_err(config_error)?;
    let settings = Settings::from_vars(&vars, flags).map_err(config_error)?;
    let (log, log_written) = telemetry::logger(settings.log.format, settings.log.level);
    let runtime = tokio::runtime::Runtime::new().map_err(config_error)?;
    let again = runtime.block_on(async {
        // Before anything is begun that a signal would have to end.
        let mut terminate = signal(SignalKind::terminate()).map_err(config_error)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(config_error)?;
        let server = Server::start(&settings, Surroundings::default(), &log).await.map_err(start_error)?;
        let watched = async {
            match settings.reload {
                true => watch.changed(&SystemClock).await,
                false => std::future::pending().await,
            }
        };
        let again = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            changed = watched => {
                info!(log, "starting anew"; "changed" => %changed.display());
                true
            }
        };
        server.stop().await;
        // Who is told to end while it stops does not start anew.
        let told = terminate.recv().now_or_never().or_else(|| interrupt.recv().now_or_never());
        Ok::<bool, Failure>(again && told.is_none())
    })?;
    // What is left is in the journal; nobody waits for it.
    runtime.shutdown_background();
    drop((log, log_written));
    match again {
        true => Err(config_error(program.exec_again())),
        false => Ok(Exit::Ok),
    }
}

fn start_error(error: StartError) -> Failure {
    let exit = match &error {
        StartError::Journal(_) | StartError::TakeUp(_) => Exit::Journal,
        StartError::Listen { .. } | StartError::Setup(_) => Exit::Config,
    };
    (exit, error.to_string())
}
