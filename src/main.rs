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
    config::{
        Cli, Command, Exit, Flags, JournalCommand, JournalSettings, LayeredVars, Settings, Target,
        check_config, reload,
    },
    demo, heap,
    remote::{self, Remote, RemoteError},
    server::{Broken, Server, StartError, Surroundings},
    store::{OpenError, sqlite::folder_exists},
    telemetry,
    time::{Clock, SystemClock},
    upkeep,
};
use slog::{crit, info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};

fn main() -> ExitCode {
    heap::give_back_large_blocks();
    let cli = Cli::parse();
    let ended = match cli.chosen() {
        Command::Serve => serve(&cli.flags),
        Command::Openapi => openapi(),
        Command::CheckConfig => check(&cli.flags),
        Command::Demo { keep } => demo(keep, &cli.flags),
        Command::SendRequest { request, target } => send_request(&request, &target, &cli.flags),
        Command::Health { target } => health(&target, &cli.flags),
        Command::Journal { command } => journal(&command, &cli.flags),
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

fn config_error(error: impl std::fmt::Display) -> Failure {
    (Exit::Config, error.to_string())
}

fn openapi() -> Result<Exit, Failure> {
    writeln!(io::stdout(), "{:#}", api::openapi::document()).map_err(config_error)?;
    Ok(Exit::Ok)
}

fn check(flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(config_error)?;
    let journal = |path: &Path| folder_exists(path).map_err(|error| error.to_string());
    check_config(&vars, flags, &journal, &mut io::stdout()).map_err(config_error)
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
        let mut signals = Signals::catch().map_err(config_error)?;
        let server = Server::start(&settings, Surroundings::default(), &log)
            .await
            .map_err(|error| start_error(&error))?;
        let watched = async {
            match settings.reload {
                true => watch.changed(&SystemClock).await,
                false => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            () = signals.told() => Why::Told,
            changed = watched => {
                info!(log, "starting anew"; "changed" => %changed.display());
                Why::Changed
            }
            Broken { reason, may_stop } = server.broken() => {
                crit!(log, "the server cannot live on: the process ends"; "reason" => &reason);
                if !may_stop {
                    return Ok(Err((Exit::Broken, reason)));
                }
                Why::Broken(reason)
            }
        };
        // Who is told to end while it stops does not wait for that, and does
        // not start anew: whatever is cut off is in the journal.
        let told = tokio::select! {
            () = server.stop() => signals.told().now_or_never().is_some(),
            () = signals.told() => {
                warn!(log, "told again: ending at once");
                true
            }
        };
        Ok::<_, Failure>(match why {
            Why::Told => Ok(false),
            Why::Changed => Ok(!told),
            Why::Broken(reason) => Err((Exit::Broken, reason)),
        })
    })?;
    // What is left is in the journal; nobody waits for it.
    runtime.shutdown_background();
    drop((log, log_written));
    match again? {
        true => Err(config_error(program.exec_again())),
        false => Ok(Exit::Ok),
    }
}

/// Why a server stops.
enum Why {
    Told,
    Changed,
    Broken(String),
}

fn demo(keep: bool, flags: &Flags) -> Result<Exit, Failure> {
    let failed = |reason: String| (Exit::Demo, reason);
    let runtime = tokio::runtime::Runtime::new().map_err(|error| failed(error.to_string()))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::catch().map_err(|error| failed(error.to_string()))?;
        demo::run(keep, flags, signals.told()).await.map_err(|error| failed(error.to_string()))
    });
    runtime.shutdown_background();
    ended.map(|()| Exit::Ok)
}

fn send_request(request: &Path, target: &Target, flags: &Flags) -> Result<Exit, Failure> {
    ask(target, flags, async |remote| Ok((remote::send_request(remote, request).await?, Exit::Ok)))
}

fn health(target: &Target, flags: &Flags) -> Result<Exit, Failure> {
    ask(target, flags, async |remote| {
        let (report, good) = remote::health(remote).await?;
        Ok((report, if good { Exit::Ok } else { Exit::Remote }))
    })
}

fn journal(command: &JournalCommand, flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(config_error)?;
    let path = JournalSettings::path(&vars, flags).map_err(config_error)?;
    let sound = upkeep::run(command, &path, SystemClock.now(), &mut io::stdout())
        .map_err(|error| (Exit::Journal, error.to_string()))?;
    Ok(if sound { Exit::Ok } else { Exit::Journal })
}

/// Asks something of a server that is up, and prints the answer.
fn ask(
    target: &Target,
    flags: &Flags,
    question: impl AsyncFnOnce(&Remote) -> Result<(String, Exit), RemoteError>,
) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(config_error)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(config_error)?;
    let failed = |error: RemoteError| (Exit::Remote, error.to_string());
    let remote = Remote::new(&target.url(flags), target.token(&vars).as_ref()).map_err(failed)?;
    let (answer, exit) = runtime.block_on(question(&remote)).map_err(failed)?;
    writeln!(io::stdout(), "{answer}").map_err(config_error)?;
    Ok(exit)
}

/// The signals that ask the process to end. While this lives, none ends it by
/// itself.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn start_error(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Journal(OpenError::Owes { .. }) => Exit::Config,
        StartError::Journal(_) | StartError::TakeUp(_) | StartError::AssignmentKey(_) => Exit::Journal,
        StartError::Listen { .. } | StartError::Setup(_) => Exit::Config,
    };
    (exit, error.to_string())
}
