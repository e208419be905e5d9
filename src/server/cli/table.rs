//! Tables for people: columns as wide as their widest entry.
//!
//! **Invariant:** what is printed cannot control a terminal, nor look like another
//! column or line: names and reasons come from callers.

use std::borrow::Cow;

use unicode_width::UnicodeWidthStr;

/// An empty entry.
const NONE: &str = "-";

/// Formats rows under their heads, without a line break at the end.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let shown: Vec<Vec<Cow<'_, str>>> =
        rows.iter().map(|row| row.iter().map(|entry| entry_of(entry)).collect()).collect();
    let mut widths: Vec<usize> = heads.iter().map(|head| head.width()).collect();
    for (column, width) in widths.iter_mut().enumerate() {
        let of = |row: &Vec<Cow<'_, str>>| row.get(column).map_or(0, |entry| entry.width());
        *width = shown.iter().map(of).max().unwrap_or(0).max(*width);
    }
    let line = |entries: &mut dyn Iterator<Item = &str>| {
        let padded = |(entry, width): (&str, &usize)| {
            format!("{entry}{}", " ".repeat(width.saturating_sub(entry.width())))
        };
        entries.zip(&widths).map(padded).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head = line(&mut heads.iter().copied());
    let rows = shown.iter().map(|row| line(&mut row.iter().map(|entry| &**entry)));
    std::iter::once(head).chain(rows).collect::<Vec<_>>().join("\n")
}

fn entry_of(text: &str) -> Cow<'_, str> {
    if text.is_empty() { Cow::Borrowed(NONE) } else { printable(text) }
}

/// A number of things: `1 event`, `2 events`.
pub(super) fn counted(count: u64, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Escapes what controls a terminal, or looks like another column.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c == ' ' || !(c.is_control() || c.is_whitespace() || is_invisible(c));
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| if is_plain(c) { c.to_string() } else { c.escape_default().to_string() };
    Cow::Owned(text.chars().map(escaped).collect())
}

/// Whether a character has no shape, or changes the direction of others.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_entries() {
        let rows = [["a", "long entry"], ["", "ü"], ["東京", "x"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&["ONE", "TWO"], &rows), "ONE   TWO\na     long entry\n-     ü\n東京  x");
        assert_eq!(table(&["ONE", "TWO"], &[]), "ONE  TWO");
    }

    #[test]
    fn thing_is_singular_if_it_is_alone() {
        let counts = [0, 1, 2].map(|count| counted(count, "node run"));
        assert_eq!(counts, ["0 node runs", "1 node run", "2 node runs"]);
    }

    #[test]
    fn entries_cannot_control_a_terminal() {
        let evil = "\x1b[2J\nanother line\t\u{202e}txt\u{200b}";
        let shown = printable(evil);
        assert_eq!(shown, "\\u{1b}[2J\\nanother line\\t\\u{202e}txt\\u{200b}");
        assert_eq!(table(&["X"], &[vec![evil.to_owned()]]).lines().count(), 2);
    }
}
