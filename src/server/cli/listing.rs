//! Lists of the operator API as commands print them: page after page, up to a limit.

use std::num::NonZeroU32;

use serde::Serialize;

use super::{
    args::{Form, Output, Printed, Shown},
    exit::Failure,
    output::Printer,
    remote::RemoteError,
    table::table,
};

/// The most that one request asks for. A list may give less.
const PAGE: u32 = 500;
const MORE: &str = "(more: raise --limit)";

/// What a list has of a thing.
pub(super) trait Row: Serialize {
    const HEADS: &'static [&'static str];

    /// An entry for each head.
    fn row(&self) -> Vec<String>;
}

/// A thing by whose id other commands know it.
pub(super) trait Identified: Row {
    fn id(&self) -> &str;
}

/// What was found, and whether there is no more.
#[derive(Debug)]
pub(super) struct Found<T> {
    pub(super) items: Vec<T>,
    pub(super) is_all: bool,
}

/// Asks for pages until there are `limit` items or no more. `ask` gets the size of a
/// page and its token, and returns its items and the token of the next.
pub(super) async fn pages<T>(
    limit: u32,
    ask: impl AsyncFn(NonZeroU32, Option<&str>) -> Result<(Vec<T>, Option<String>), RemoteError>,
) -> Result<Found<T>, RemoteError> {
    let (mut items, mut token) = (Vec::new(), None::<String>);
    loop {
        let missing = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let Some(wanted) = NonZeroU32::new(missing.min(PAGE)) else {
            return Ok(Found { items, is_all: false });
        };
        let (page, next) = ask(wanted, token.as_deref()).await?;
        items.extend(page);
        token = next;
        if token.is_none() {
            return Ok(Found { items, is_all: true });
        }
    }
}

/// Prints things with ids.
pub(super) fn print<T: Identified>(
    printer: Printer,
    found: &Found<T>,
    printed: Printed,
) -> Result<(), Failure> {
    match printer.output(printed.output) {
        Output::Table => print_table(printer, found),
        Output::Json => print_json(printer, found),
        Output::Ids => {
            for item in &found.items {
                printer.line(item.id())?;
            }
            note_if_cut(printer, found);
            Ok(())
        }
    }
}

/// Prints things without ids.
pub(super) fn print_rows<T: Row>(printer: Printer, found: &Found<T>, shown: Shown) -> Result<(), Failure> {
    match printer.form(shown.output) {
        Form::Table => print_table(printer, found),
        Form::Json => print_json(printer, found),
    }
}

/// The table, and a line below it if it does not have everything.
pub(super) fn lines<T: Row>(found: &Found<T>) -> String {
    let rows: Vec<_> = found.items.iter().map(Row::row).collect();
    let table = table(T::HEADS, &rows);
    if found.is_all { table } else { format!("{table}\n{MORE}") }
}

fn print_table<T: Row>(printer: Printer, found: &Found<T>) -> Result<(), Failure> {
    printer.line(&lines(found))
}

fn print_json<T: Row>(printer: Printer, found: &Found<T>) -> Result<(), Failure> {
    for item in &found.items {
        printer.json(item)?;
    }
    note_if_cut(printer, found);
    Ok(())
}

/// A program must not take a part of a list for all of it.
fn note_if_cut<T>(printer: Printer, found: &Found<T>) {
    if !found.is_all {
        printer.note(MORE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of the numbers below 1,200, at most 300 of them on a page.
    async fn number(
        wanted: NonZeroU32,
        token: Option<&str>,
    ) -> Result<(Vec<u32>, Option<String>), RemoteError> {
        let from: u32 = token.map_or(0, |token| token.parse().expect("a number"));
        let to = (from + wanted.get().min(300)).min(1200);
        Ok(((from..to).collect(), (to < 1200).then(|| to.to_string())))
    }

    #[tokio::test]
    async fn pages_are_read_up_to_the_limit() {
        for (limit, count, is_all) in
            [(1, 1, false), (700, 700, false), (1200, 1200, true), (5000, 1200, true)]
        {
            let found = pages(limit, number).await.expect("pages");
            assert_eq!((found.items, found.is_all), ((0..count).collect(), is_all), "{limit}");
        }
    }
}
