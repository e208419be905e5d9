//! Lists of the operator API as commands print them: page after page, up to a limit.

use std::num::NonZeroU32;

use serde::Serialize;

use super::remote::RemoteError;

/// The most that one request asks for. A list may give less.
const PAGE: u32 = 500;

/// Asks for pages until there are `limit` items or no more. Returns the items, and
/// whether there are no more. `ask` gets the size of a page and its token, and returns
/// its items and the token of the next.
pub(super) async fn pages<T>(
    limit: u32,
    ask: impl AsyncFn(NonZeroU32, Option<&str>) -> Result<(Vec<T>, Option<String>), RemoteError>,
) -> Result<(Vec<T>, bool), RemoteError> {
    let (mut items, mut token) = (Vec::new(), None::<String>);
    loop {
        let missing = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
        let Some(wanted) = NonZeroU32::new(missing.min(PAGE)) else { return Ok((items, false)) };
        let (page, next) = ask(wanted, token.as_deref()).await?;
        items.extend(page);
        token = next;
        if token.is_none() {
            return Ok((items, true));
        }
    }
}

/// A table, and a line below it if it does not have everything.
pub(super) fn with_hint(table: String, is_all: bool) -> String {
    if is_all { table } else { format!("{table}\n(more: raise --limit)") }
}

/// A JSON object a line.
pub(super) fn json_lines(items: &[impl Serialize]) -> String {
    let line = |item| serde_json::to_string(item).unwrap_or_default();
    items.iter().map(line).collect::<Vec<_>>().join("\n")
}
