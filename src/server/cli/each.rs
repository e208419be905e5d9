//! Does something to each of several things, and reports what became of each.
//!
//! ```text
//!   ids ──▶ confirm ──▶ one after the other ──┬─▶ result ──▶ stdout
//!                                             └─▶ failure ─▶ stderr; the others follow,
//!                                                            unless the server is away
//! ```
//!
//! The exit code is that of the first failure.

use std::io;

use super::{
    args::{Care, Output, Printed},
    confirm::confirm,
    exit::{Exit, Failure},
    ids::ids,
    listing::{Found, Identified, lines},
    output::Printer,
    remote::RemoteError,
};

/// What is done.
pub(super) struct Deed<'d> {
    /// `cancel`
    pub(super) verb: &'d str,
    /// `run`
    pub(super) thing: &'d str,
    /// As they were given.
    pub(super) ids: &'d [String],
    pub(super) care: Care,
    pub(super) printed: Printed,
}

/// `act` does it to one. With `--dry-run`, `look` gets what it would be done to.
pub(super) async fn each<T: Identified, L: Identified>(
    printer: Printer,
    deed: Deed<'_>,
    look: impl AsyncFn(&str) -> Result<L, RemoteError>,
    act: impl AsyncFn(&str) -> Result<T, RemoteError>,
) -> Result<Exit, Failure> {
    let ids = ids(deed.ids, &mut io::stdin().lock())?;
    let things = if ids.len() == 1 { "" } else { "s" };
    let what = format!("{} {} {}{things}", deed.verb, ids.len(), deed.thing);
    confirm(deed.care, &what, ids.len())?;
    if deed.care.dry_run {
        printer.note(&format!("would {what}:"));
        return over(printer, &ids, deed.printed, look).await;
    }
    over(printer, &ids, deed.printed, act).await
}

async fn over<T: Identified>(
    printer: Printer,
    ids: &[String],
    printed: Printed,
    act: impl AsyncFn(&str) -> Result<T, RemoteError>,
) -> Result<Exit, Failure> {
    let output = printer.output(printed.output);
    let (mut done, mut exit) = (Vec::new(), Exit::Ok);
    for (place, id) in ids.iter().enumerate() {
        match act(id).await {
            Ok(result) => match output {
                Output::Table => done.push(result),
                Output::Json => printer.json(&result)?,
                Output::Ids => printer.line(result.id())?,
            },
            Err(error) => {
                let is_away = error.status().is_none();
                let failure = Failure::from(error);
                printer.note(&failure.message);
                if exit == Exit::Ok {
                    exit = failure.exit;
                }
                let left = ids.len() - place - 1;
                if is_away && let Some(next) = ids.get(place + 1) {
                    printer.note(&format!("{left} more were not tried, from {next} on"));
                    break;
                }
            }
        }
    }
    if !done.is_empty() {
        printer.line(&lines(&Found { items: done, is_all: true }))?;
    }
    Ok(exit)
}
