//! Writes the table of variables as documents: help, env files,
//! `docs/configuration.md`.

use std::fmt::Write as _;

use super::{
    kind::Kind,
    variable::{Fallback, Variable},
    variables,
};

/// The width of everything that is printed.
pub const WIDTH: usize = 100;

/// The end of `--help`: the variables and the exit codes.
pub fn after_help(exits: &[(u8, &str)]) -> String {
    let mut help = String::from(
        "Environment variables, also read from .env.local and .env in the working directory.\n\
         The environment overrides .env.local, which overrides .env. Blanks around a value are\n\
         removed; an empty value counts as unset. The maximum of every number of seconds is ten years.\n",
    );
    for group in variables::groups() {
        let _ = write!(help, "\n{}:\n", group.title);
        for variable in group.variables {
            let _ = writeln!(help, "  {} [{}]", names(variable, " | "), default_text(variable));
            for line in wrapped(&about(variable), WIDTH - 10) {
                let _ = writeln!(help, "          {line}");
            }
        }
    }
    help.push_str("\nExit codes:\n");
    for (code, meaning) in exits {
        let _ = writeln!(help, "  {code}  {meaning}");
    }
    help.pop();
    help
}

/// An env file with every variable below a head of comments. What `set` has no value
/// for is commented out, with an example.
pub(super) fn env_file(head: &str, set: &dyn Fn(&Variable) -> Option<&'static str>) -> String {
    let mut file = head.to_owned();
    for group in variables::groups() {
        let _ = write!(file, "\n# --- {} ---\n", group.title);
        for variable in group.variables {
            file.push('\n');
            for line in wrapped(&about(variable), WIDTH - 2) {
                let _ = writeln!(file, "# {line}");
            }
            if !variable.aliases.is_empty() {
                let _ = writeln!(file, "# Also: {}", variable.aliases.join(", "));
            }
            if let Fallback::Description(text) = variable.fallback {
                let _ = writeln!(file, "# If unset: {text}");
            }
            let (off, value) = set(variable).map_or(("#", example(variable)), |value| ("", value));
            let quote = if value.contains('"') { "'" } else { "" };
            let _ = writeln!(file, "{off}{}={quote}{value}{quote}", variable.name);
        }
    }
    file
}

/// The tables of `docs/configuration.md`.
pub fn markdown() -> String {
    let mut table = String::new();
    for group in variables::groups() {
        if !table.is_empty() {
            table.push('\n');
        }
        let _ = writeln!(table, "### {}\n", group.title);
        table.push_str("| variable | default | value | meaning | contract |\n|---|---|---|---|---|\n");
        for variable in group.variables {
            let default = match variable.fallback {
                Fallback::Value(value) => format!("`{value}`"),
                Fallback::Description(text) => text.to_owned(),
            };
            let _ = writeln!(
                table,
                "| `{}` | {default} | {} | {} | {} |",
                names(variable, "`<br>`"),
                variable.unit(),
                variable.about,
                contract_links(variable.contract),
            );
        }
    }
    table
}

/// Formats `§1, §18` as links into the contract; "own" has none.
fn contract_links(sections: &str) -> String {
    let link = |section: &str| format!("[§{section}](contract.md#section-{})", section.replace('.', "-"));
    let cited = sections.split(", ").filter_map(|section| section.strip_prefix('§'));
    cited.map(link).collect::<Vec<_>>().join(", ")
}

fn names(variable: &Variable, separator: &str) -> String {
    let mut names = variable.name.to_owned();
    for alias in variable.aliases {
        names.push_str(separator);
        names.push_str(alias);
    }
    names
}

/// The default, in brackets after the name.
fn default_text(variable: &Variable) -> String {
    match variable.fallback {
        Fallback::Value(value) => format!("default: {value}"),
        Fallback::Description(text) => format!("unset: {text}"),
    }
}

/// The description, with the unit where the text does not show it.
fn about(variable: &Variable) -> String {
    let unit = match variable.kind {
        Kind::Text
        | Kind::Secret
        | Kind::Path
        | Kind::Journal
        | Kind::BaseUrl
        | Kind::BaseUrls
        | Kind::Url
        | Kind::HostPort
        | Kind::Age
        | Kind::Switch
        | Kind::Constraints
        | Kind::Usage
        | Kind::Targets => String::new(),
        Kind::Bytes | Kind::Seconds | Kind::SecondsOrNone => format!(" In {}.", variable.unit()),
        Kind::Count | Kind::Number => match variable.bounds {
            Some(bounds) => format!(" A number {}.", bounds.describe(variable.kind)),
            None => String::new(),
        },
        Kind::Choice(values) => format!(" One of {}.", values.join(", ")),
    };
    format!("{}{unit}", variable.about)
}

fn example(variable: &Variable) -> &'static str {
    match variable.fallback {
        Fallback::Value(value) => value,
        Fallback::Description(_) => variable.example.unwrap_or_default(),
    }
}

/// Wraps `text` at blanks into lines of at most `width` characters.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn variables_have_unique_names_and_descriptions() {
        let mut names = BTreeSet::new();
        for variable in variables::all() {
            for name in std::iter::once(variable.name).chain(variable.aliases.iter().copied()) {
                assert!(names.insert(name), "{name} twice");
            }
            assert!(variable.about.ends_with('.'), "{}", variable.name);
            assert!(!example(variable).is_empty(), "{} has no example", variable.name);
            if let (Kind::Choice(values), Fallback::Value(value)) = (variable.kind, variable.fallback) {
                assert!(values.contains(&value), "{}", variable.name);
            }
        }
    }

    #[test]
    fn configuration_document_has_the_table() {
        const PATH: &str = "docs/configuration.md";
        let document = std::fs::read_to_string(PATH).expect("the document");
        let after = |text: &str, mark: &str| {
            let found = text.split_once(mark).map(|(before, after)| (before.to_owned(), after.to_owned()));
            found.unwrap_or_else(|| panic!("{PATH} has no {mark:?}"))
        };
        let (before, rest) = after(&document, "<!-- config-table: ");
        let (mark, rest) = after(&rest, "-->\n");
        let (_, rest) = after(&rest, "<!-- end -->");
        let wanted = format!("{before}<!-- config-table: {mark}-->\n{}<!-- end -->{rest}", markdown());
        expectorate::assert_contents(PATH, &wanted);
    }

    #[test]
    fn wrapping_breaks_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }
}
