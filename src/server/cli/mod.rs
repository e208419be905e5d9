//! The command line: one module per command.
//!
//! ```text
//!   main ──▶ run ──┬─▶ serve ──────────────────▶ app           until a signal (reload: or a changed file)
//!                  ├─▶ check_config ───────────▶ config
//!                  ├─▶ demo ───────────────────▶ app, clients
//!                  ├─▶ send_request, health ───▶ remote        call a running server
//!                  ├─▶ approvals ──────────────▶ remote        call its operator API
//!                  ├─▶ journal ────────────────▶ journal       open the file: back up, check, audit, …
//!                  └─▶ evidence ───────────────▶ evidence      read exported runs: verify, compare
//! ```
//!
//! A command writes its result to stdout. A failure goes to stderr as one
//! message, and [`Exit`] tells its kind.

mod approvals;
pub mod args;
mod check_config;
#[cfg_attr(not(feature = "demo"), path = "no_demo.rs")]
mod demo;
mod evidence;
mod exit;
mod health;
pub mod journal;
pub mod reload;
mod remote;
mod send_request;
mod serve;
mod signals;
mod table;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

pub use self::{
    approvals::approvals,
    args::{ApprovalsCommand, Cli, Command, JournalCommand, OperatorTarget, RunsCommand, Target},
    exit::Exit,
    health::health,
    remote::{OperatorClient, Remote, RemoteError},
    send_request::send_request,
};
use self::{check_config::check_config, exit::Failure};
use crate::{
    api::openapi,
    app,
    config::{Flags, JournalSettings, LayeredVars, Settings},
    journal::sqlite::folder_exists,
    operator::openapi as operator_openapi,
    runtime::heap,
    time::{Clock, SystemClock},
};

/// Runs the command and reports its failure.
pub fn run(cli: &Cli) -> ExitCode {
    heap::return_large_blocks();
    let flags = &cli.flags;
    let ended = match cli.chosen() {
        Command::Serve => serve::serve(flags),
        Command::Openapi { operator } => print_openapi(operator),
        Command::CheckConfig => print_config(flags),
        Command::Demo { keep } => demo::command(keep, flags),
        Command::SendRequest { request, target } => {
            let send = async |remote: &Remote| Ok((send_request(remote, &request).await?, Exit::Ok));
            call(&target, flags, Certificate::Verified, send)
        }
        Command::Health { target } => {
            let query = async |remote: &Remote| {
                let (report, good) = health(remote).await?;
                Ok((report, if good { Exit::Ok } else { Exit::Remote }))
            };
            call(&target, flags, Certificate::AnyOnLoopback, query)
        }
        Command::Approvals { command, target } => {
            call_operator(&target, async |remote| approvals(remote, &command).await)
        }
        Command::Journal { command } => maintain_journal(&command, flags),
        Command::Runs { command } => examine_runs(&command),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            eprintln!("{message}");
            exit.into()
        }
    }
}

fn print_openapi(operator: bool) -> Result<Exit, Failure> {
    let document = if operator { operator_openapi::document() } else { openapi::document() };
    writeln!(io::stdout(), "{document:#}").map_err(Failure::config)?;
    Ok(Exit::Ok)
}

fn print_config(flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let files = |settings: &Settings| {
        app::check_files(settings).map_err(Failure::config)?;
        folder_exists(&settings.journal.path).map_err(|error| Failure::new(Exit::Journal, error))
    };
    check_config(&vars, flags, &files, &mut io::stdout()).map_err(Failure::config)
}

fn maintain_journal(command: &JournalCommand, flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let path = JournalSettings::path(&vars, flags).map_err(Failure::config)?;
    let sound = journal::run(command, &path, SystemClock.now(), &mut io::stdout())
        .map_err(|error| Failure::new(Exit::Journal, error))?;
    Ok(if sound { Exit::Ok } else { Exit::Journal })
}

fn examine_runs(command: &RunsCommand) -> Result<Exit, Failure> {
    evidence::run(command, &mut io::stdout()).map_err(|error| Failure::new(Exit::Journal, error))
}

/// Which certificate of the server a command accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Certificate {
    Verified,
    /// Any, of the server of this machine: what is sent is not secret.
    AnyOnLoopback,
}

/// Sends a request to a running server, and prints the answer.
fn call(
    target: &Target,
    flags: &Flags,
    certificate: Certificate,
    request: impl AsyncFnOnce(&Remote) -> Result<(String, Exit), RemoteError>,
) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::config)?;
    let failed = |error: RemoteError| Failure::new(Exit::Remote, error);
    let tls = target.tls(&vars).map_err(Failure::config)?;
    let url = target.url(&vars, flags);
    let remote = if certificate == Certificate::AnyOnLoopback && target.is_own(&vars, flags) {
        Remote::own(&tls, &url)
    } else {
        let token = target.token(&vars).map_err(Failure::config)?;
        let token = token.map(|token| token.read()).transpose().map_err(Failure::config)?;
        Remote::over(&tls, &url, token.as_ref())
    };
    let remote = remote.map_err(failed)?;
    let (answer, exit) = runtime.block_on(request(&remote)).map_err(failed)?;
    writeln!(io::stdout(), "{answer}").map_err(Failure::config)?;
    Ok(exit)
}

/// Sends a request to an operator API, and prints the answer.
fn call_operator(
    target: &OperatorTarget,
    request: impl AsyncFnOnce(&Remote<OperatorClient>) -> Result<String, RemoteError>,
) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::config)?;
    let url = target.url(&vars).map_err(Failure::config)?;
    let tls = target.tls(&vars).map_err(Failure::config)?;
    let token = target.token(&vars).map_err(Failure::config)?;
    let token = token.map(|token| token.read()).transpose().map_err(Failure::config)?;
    let failed = |error: RemoteError| Failure::new(exit_of(&error), error);
    let remote = Remote::operator(&tls, &url, token.as_ref()).map_err(failed)?;
    let answer = runtime.block_on(request(&remote)).map_err(failed)?;
    writeln!(io::stdout(), "{answer}").map_err(Failure::config)?;
    Ok(Exit::Ok)
}

/// The class of a failure of the operator API.
fn exit_of(error: &RemoteError) -> Exit {
    match error.status() {
        Some(401 | 403) => Exit::NotAllowed,
        Some(404) => Exit::NotFound,
        Some(408 | 429) => Exit::NoAnswer,
        Some(400..=499) => Exit::Refused,
        Some(_) | None => Exit::NoAnswer,
    }
}
