//! Any text is parsed, or a line of it is reported.

use proptest::{collection::vec, prelude::*};

use super::*;

/// An assignment in single quotes, which shells and dotenvy read alike; except
/// that dotenvy refuses a backslash before the closing quote.
fn assignment() -> impl Strategy<Value = (String, String, String)> {
    let forms =
        prop_oneof![Just(("", "'", "'")), Just(("export ", "'", "' # comment")), Just(("  ", "'", "'  ")),];
    ("[A-Z_][A-Z0-9_]{0,6}", "([^'\r\0]{0,12}[^'\r\0\\\\])?", forms).prop_map(
        |(name, value, (before, open, close))| {
            let line = format!("{before}{name}={open}{value}{close}\n");
            (name, value, line)
        },
    )
}

proptest! {
    #[test]
    fn quoted_values_are_read_unchanged(
        lines in vec(prop_oneof![3 => assignment().prop_map(Some), 1 => Just(None)], 0..8),
    ) {
        let mut text = String::new();
        let mut values = BTreeMap::new();
        for line in lines {
            match line {
                Some((name, value, line)) => {
                    text.push_str(&line);
                    values.insert(name, value);
                }
                None => text.push_str("# it's a comment\n\n"),
            }
        }
        prop_assert_eq!(parse(&text).map(|layer| layer.values), Ok(values));
    }

    /// The named line exists and is not blank.
    #[test]
    fn any_text_is_parsed_or_a_line_is_named(
        text in "(A|B_1|=| |'|\"|\\\\|#|\\$|\\$\\{A\\}|\n|\r\n|\t|export |\u{feff}|ü|\\PC){0,24}",
    ) {
        match parse(&text) {
            Ok(layer) => prop_assert!(layer.values.keys().all(|name| !name.is_empty())),
            Err(line) => {
                let found = text.lines().nth(line - 1);
                prop_assert!(found.is_some_and(|line| !line.trim().is_empty()), "{}: {:?}", line, found);
            }
        }
    }
}
