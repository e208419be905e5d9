//! The command line: one module a command.
//!
//! ```text
//!   main ──▶ run ──┬─▶ serve ──────────▶ app (signals, --reload)
//!                  ├─▶ check_config ───▶ config
//!                  ├─▶ demo ───────────▶ app, clients
//!                  ├─▶ remote ─────────▶ clients     send-request, health: they talk to a running server
//!                  └─▶ journal ────────▶ journal     backup, check, compact: they open the file
//! ```
//!
//! A command writes its result to stdout. What fails goes to stderr as one
//! message, and [`Exit`] says what kind of failure it was.

pub mod args;
pub mod check_config;
pub mod demo;
mod exit;
pub mod journal;
pub mod reload;
pub mod remote;
mod serve;
mod signals;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

pub use self::{
    args::{Cli, Command, JournalCommand, Target},
    check_config::check_config,
    exit::Exit,
};
use self::{
    exit::Failure,
    remote::{Remote, RemoteError},
    signals::Signals,
};
use crate::{
    api::openapi,
    config::{Flags, JournalSettings, LayeredVars},
    journal::sqlite::folder_exists,
    runtime::heap,
    time::{Clock, SystemClock},
};

/// Runs the command and reports its failure.
pub fn run(cli: &Cli) -> ExitCode {
    heap::return_large_blocks();
    let flags = &cli.flags;
    let ended = match cli.chosen() {
        Command::Serve => serve::serve(flags),
        Command::Openapi => print_openapi(),
        Command::CheckConfig => check(flags),
        Command::Demo { keep } => demo(keep, flags),
        Command::SendRequest { request, target } => {
            ask(&target, flags, async |remote| Ok((remote::send_request(remote, &request).await?, Exit::Ok)))
        }
        Command::Health { target } => ask(&target, flags, async |remote| {
            let (report, good) = remote::health(remote).await?;
            Ok((report, if good { Exit::Ok } else { Exit::Remote }))
        }),
        Command::Journal { command } => journal(&command, flags),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            eprintln!("{message}");
            exit.into()
        }
    }
}

fn print_openapi() -> Result<Exit, Failure> {
    writeln!(io::stdout(), "{:#}", openapi::document()).map_err(Failure::config)?;
    Ok(Exit::Ok)
}

fn check(flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let journal = |path: &Path| folder_exists(path).map_err(|error| error.to_string());
    check_config(&vars, flags, &journal, &mut io::stdout()).map_err(Failure::config)
}

fn demo(keep: bool, flags: &Flags) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::new(Exit::Demo, error))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::catch().map_err(|error| Failure::new(Exit::Demo, error))?;
        demo::run(keep, flags, signals.received()).await.map_err(|error| Failure::new(Exit::Demo, error))
    });
    runtime.shutdown_background();
    ended.map(|()| Exit::Ok)
}

fn journal(command: &JournalCommand, flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let path = JournalSettings::path(&vars, flags).map_err(Failure::config)?;
    let sound = journal::run(command, &path, SystemClock.now(), &mut io::stdout())
        .map_err(|error| Failure::new(Exit::Journal, error))?;
    Ok(if sound { Exit::Ok } else { Exit::Journal })
}

/// Sends a request to a running server, and prints the answer.
fn ask(
    target: &Target,
    flags: &Flags,
    request: impl AsyncFnOnce(&Remote) -> Result<(String, Exit), RemoteError>,
) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::config)?;
    let failed = |error: RemoteError| Failure::new(Exit::Remote, error);
    let remote = Remote::new(&target.url(flags), target.token(&vars).as_ref()).map_err(failed)?;
    let (answer, exit) = runtime.block_on(request(&remote)).map_err(failed)?;
    writeln!(io::stdout(), "{answer}").map_err(Failure::config)?;
    Ok(exit)
}
