//! The command line: one module per command.
//!
//! ```text
//!   main ──▶ run ──┬─▶ serve ──────────────────▶ app           until a signal (reload: or a changed file)
//!                  ├─▶ check_config ───────────▶ config, app    (tries what a server needs: doctor)
//!                  ├─▶ doctor ─────────────────▶ config, app ─▶ findings
//!                  ├─▶ init ───────────────────▶ config         writes an env file
//!                  ├─▶ demo ───────────────────▶ app, clients
//!                  ├─▶ send_request, health ───▶ connect ─▶ remote   call a running server
//!                  ├─▶ approvals, audit, bulk, dispatch, nodes, runs, webhooks, work
//!                  │      ─────────────────────▶ connect ─▶ remote   call it, and its operator API
//!                  │      listing, each, confirm, ids, explain       what these share
//!                  │      output, table, show, live                  how they print
//!                  ├─▶ journal ────────────────▶ journal       open the file: back up, check, audit, …
//!                  ├─▶ runs: evidence ─────────▶ evidence      read exported runs: verify, compare
//!                  └─▶ documents ──────────────▶ clap          completions, manual pages
//! ```
//!
//! A command writes its result to stdout. A failure goes to stderr as one
//! message, and [`Exit`] tells its kind.

mod approvals;
pub mod args;
mod audit;
mod bulk;
mod check_config;
mod confirm;
mod connect;
#[cfg_attr(not(feature = "demo"), path = "no_demo.rs")]
mod demo;
mod dispatch;
mod doctor;
mod documents;
mod each;
mod evidence;
mod exit;
mod explain;
mod findings;
mod health;
mod ids;
mod init;
pub mod journal;
mod listing;
mod live;
mod nodes;
mod output;
pub mod reload;
mod remote;
mod runs;
mod send_request;
mod serve;
mod service_manager;
mod show;
mod signals;
mod table;
mod webhooks;
mod work;

use std::{io, path::Path, process::ExitCode};

pub use self::{
    args::{Cli, Command, Form, JournalCommand},
    exit::Exit,
    health::health,
    remote::{OperatorClient, Remote, RemoteError},
    send_request::{Sent, send_request},
};
use self::{
    check_config::check_config,
    connect::{Certificate, call, with_operator},
    exit::Failure,
    output::Printer,
};
use crate::{
    api::openapi,
    app::{self, Scope},
    config::{DatabaseUrl, Flags, JournalPlace, JournalSettings, LayeredVars, Settings},
    journal::sqlite::folder_exists,
    operator::openapi as operator_openapi,
    runtime::heap,
    time::{Clock, SystemClock},
};

/// Runs the command and reports its failure.
pub fn run(cli: &Cli) -> ExitCode {
    heap::return_large_blocks();
    let flags = &cli.flags();
    let ended = match cli.chosen() {
        Command::Serve { .. } => serve::serve(flags),
        Command::Openapi { operator } => print_openapi(operator),
        Command::Init { profile, force } => init::init(Path::new("."), profile, force, Printer::stdout()),
        Command::CheckConfig { probe, .. } => print_config(flags, probe),
        Command::Doctor { shown, .. } => doctor::doctor(flags, shown),
        Command::Demo { keep, .. } => demo::command(keep, flags),
        Command::SendRequest { request, target } => {
            let send = async |remote: &Remote| {
                let Sent { answers, failure } = send_request(remote, &request).await?;
                let failed = |message| Err(Failure::new(Exit::RunFailed, message));
                Ok((answers, failure.map_or(Ok(Exit::Ok), failed)))
            };
            call(&target, flags, Certificate::Verified, send)
        }
        Command::Health { target } => {
            let query = async |remote: &Remote| {
                let (report, good) = health(remote).await?;
                Ok((report, Ok(if good { Exit::Ok } else { Exit::Remote })))
            };
            call(&target, flags, Certificate::AnyOnLoopback, query)
        }
        Command::Approvals { command, target } => with_operator(&target, async |remote, printer| {
            approvals::approvals(remote, printer, &command).await
        }),
        Command::Audit { select, target } => with_operator(&target, async |remote, printer| {
            audit::audit(remote, printer, &select, SystemClock.now()).await
        }),
        Command::Bulk { command, target } => with_operator(&target, async |remote, printer| {
            bulk::bulk(remote, printer, &command, SystemClock.now()).await
        }),
        Command::Webhooks { command, target } => with_operator(&target, async |remote, printer| {
            webhooks::webhooks(remote, printer, &command).await
        }),
        Command::Dispatch { command, target } => with_operator(&target, async |remote, printer| {
            dispatch::dispatch(remote, printer, &command).await
        }),
        Command::Work { shown, target } => {
            with_operator(&target, async |remote, printer| work::work(remote, printer, shown).await)
        }
        Command::Journal { command, .. } => maintain_journal(&command, flags),
        Command::Runs { command } => runs::runs(&command, flags),
        Command::Nodes { command, servers } => nodes::nodes(&command, &servers, flags),
        Command::Completions { shell } => documents::completions(shell, &mut io::stdout()),
        Command::Man { directory } => documents::man(directory.as_deref(), &mut io::stdout()),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, message }) => {
            if !message.is_empty() {
                Printer::stdout().note(&message);
            }
            exit.into()
        }
    }
}

fn print_openapi(operator: bool) -> Result<Exit, Failure> {
    let document = if operator { operator_openapi::document() } else { openapi::document() };
    Printer::stdout().line(&format!("{document:#}"))?;
    Ok(Exit::Ok)
}

fn print_config(flags: &Flags, is_probed: bool) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let files = |settings: &Settings| {
        app::check_files(settings).map_err(|error| serve::not_started(&error, settings))?;
        match &settings.journal.place {
            JournalPlace::File(path) => {
                folder_exists(path).map_err(|error| Failure::new(Exit::Journal, error))
            }
            JournalPlace::Database(_) => Ok(()),
        }
    };
    let checked = check_config(&vars, flags, &files, &mut io::stdout())?;
    match Settings::from_vars(&vars, flags) {
        // What is wrong with it has been said.
        Ok(settings) if is_probed && checked == Exit::Ok => {
            let printer = Printer::stdout();
            printer.line("\n# Probe")?;
            findings::print(printer, Form::Table, &doctor::look(&settings, Scope::Start)?)
        }
        Ok(_) | Err(_) => Ok(checked),
    }
}

fn maintain_journal(command: &JournalCommand, flags: &Flags) -> Result<Exit, Failure> {
    let vars = LayeredVars::load(Path::new(".")).map_err(Failure::config)?;
    let place = JournalSettings::place(&vars, flags).map_err(Failure::config)?;
    let now = SystemClock.now();
    let sound = match &place {
        JournalPlace::File(path) => match command {
            JournalCommand::Copy { to } => {
                let url =
                    DatabaseUrl::parse(to).map_err(|why| Failure::config(format!("the database: {why}")))?;
                let password = JournalSettings::password(&vars).map_err(Failure::config)?;
                let database = journal::Database::new(&url, password.as_ref())?;
                database.fill_from(path, &mut io::stdout())?
            }
            JournalCommand::Backup { .. }
            | JournalCommand::Check { .. }
            | JournalCommand::Audit { .. }
            | JournalCommand::Compact { .. }
            | JournalCommand::Export { .. }
            | JournalCommand::RotateKey { .. } => journal::run(command, path, now, &mut io::stdout())?,
        },
        JournalPlace::Database(url) => {
            let password = JournalSettings::password(&vars).map_err(Failure::config)?;
            let database = journal::Database::new(url, password.as_ref())?;
            database.run(command, now, &mut io::stdout())?
        }
    };
    Ok(if sound { Exit::Ok } else { Exit::Journal })
}
