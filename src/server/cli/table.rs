//! Tables for people: columns as wide as their widest entry.
//!
//! **Invariant:** what is printed cannot control a terminal, nor look like another
//! column or line: names and reasons come from callers.

use std::borrow::Cow;

/// An empty entry.
const NONE: &str = "-";

/// Formats rows under their heads, without a line break at the end.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let shown: Vec<[Cow<'_, str>; N]> =
        rows.iter().map(|row| row.each_ref().map(|entry| entry_of(entry))).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        let of = |entry: &str| entry.chars().count();
        shown.iter().map(|row| of(&row[column])).max().unwrap_or(0).max(of(heads[column]))
    });
    let line = |entries: [&str; N]| {
        let padded = entries.iter().zip(widths).map(|(entry, width)| format!("{entry:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = shown.iter().map(|row| line(row.each_ref().map(|entry| &**entry)));
    std::iter::once(line(heads)).chain(rows).collect::<Vec<_>>().join("\n")
}

fn entry_of(text: &str) -> Cow<'_, str> {
    if text.is_empty() { Cow::Borrowed(NONE) } else { printable(text) }
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
        let rows = [["a".to_owned(), "long entry".to_owned()], [String::new(), "ü".to_owned()]];
        assert_eq!(table(["ONE", "TWO"], &rows), "ONE  TWO\na    long entry\n-    ü");
        assert_eq!(table(["ONE", "TWO"], &[]), "ONE  TWO");
    }

    #[test]
    fn entries_cannot_control_a_terminal() {
        let evil = "\x1b[2J\nanother line\t\u{202e}txt\u{200b}";
        let shown = printable(evil);
        assert_eq!(shown, "\\u{1b}[2J\\nanother line\\t\\u{202e}txt\\u{200b}");
        assert_eq!(table(["X"], &[[evil.to_owned()]]).lines().count(), 2);
    }
}
