//! The table of variables as documents: help, `.env.example`, README.

use std::fmt::Write as _;

use super::{
    cli::Exit,
    variable::{Fallback, Kind, Variable},
    variables::GROUPS,
};

/// The width of everything that is printed.
pub const WIDTH: usize = 100;

/// What `--help` says after the flags.
pub fn after_help() -> String {
    let mut help = String::from(
        "Environment variables, also read from .env.local and .env in the working directory.\n\
         The environment wins over .env.local, which wins over .env. Blanks around a value are\n\
         removed; an empty value counts as unset.\n",
    );
    for group in GROUPS {
        let _ = write!(help, "\n{}:\n", group.title);
        for variable in group.variables {
            let _ = writeln!(help, "  {} [{}]", names(variable, " | "), default_words(variable));
            for line in wrapped(&about(variable), WIDTH - 10) {
                let _ = writeln!(help, "          {line}");
            }
        }
    }
    help.push_str("\nExit codes:\n");
    for (exit, meaning) in Exit::MEANINGS {
        let _ = writeln!(help, "  {}  {meaning}", exit.code());
    }
    help.pop();
    help
}

/// The text of `.env.example`: every variable, commented out.
pub fn env_example() -> String {
    let mut file = String::from(
        "# Settings of the JARVIS Run Coordinator. Copy to .env.local (or .env) and remove the # of what\n\
         # you want to set. The environment wins over .env.local, which wins over .env. Write values\n\
         # with blanks, # or $ in single quotes.\n\
         #\n\
         # Written by a test from the table in src/config/variables.rs.\n",
    );
    for group in GROUPS {
        let _ = write!(file, "\n# --- {} ---\n", group.title);
        for variable in group.variables {
            file.push('\n');
            for line in wrapped(&about(variable), WIDTH - 2) {
                let _ = writeln!(file, "# {line}");
            }
            if !variable.aliases.is_empty() {
                let _ = writeln!(file, "# Also: {}", variable.aliases.join(", "));
            }
            if let Fallback::Words(words) = variable.fallback {
                let _ = writeln!(file, "# When unset: {words}");
            }
            let _ = writeln!(file, "#{}={}", variable.name, example(variable));
        }
    }
    file
}

/// The table of the README, in Markdown.
pub fn markdown() -> String {
    let mut table = String::new();
    for group in GROUPS {
        if !table.is_empty() {
            table.push('\n');
        }
        let _ = writeln!(table, "**{}**\n", group.title);
        table.push_str("| variable | default | value | meaning | contract |\n|---|---|---|---|---|\n");
        for variable in group.variables {
            let default = match variable.fallback {
                Fallback::Value(value) => format!("`{value}`"),
                Fallback::Words(words) => words.to_owned(),
            };
            let _ = writeln!(
                table,
                "| `{}` | {default} | {} | {} | {} |",
                names(variable, "`<br>`"),
                variable.kind.unit(),
                variable.about,
                variable.contract,
            );
        }
    }
    table
}

fn names(variable: &Variable, between: &str) -> String {
    let mut names = variable.name.to_owned();
    for alias in variable.aliases {
        names.push_str(between);
        names.push_str(alias);
    }
    names
}

/// What happens without a value, in brackets after the name.
fn default_words(variable: &Variable) -> String {
    match variable.fallback {
        Fallback::Value(value) => format!("default: {value}"),
        Fallback::Words(words) => format!("unset: {words}"),
    }
}

/// The explanation, with the kind of value where the text does not show it.
fn about(variable: &Variable) -> String {
    let unit = match variable.kind {
        Kind::Text | Kind::Secret | Kind::Path | Kind::BaseUrl | Kind::Url | Kind::Count | Kind::Switch => {
            String::new()
        }
        Kind::Bytes | Kind::Seconds => format!(" In {}.", variable.kind.unit()),
        Kind::Choice(words) => format!(" One of {}.", words.join(", ")),
    };
    format!("{}{unit}", variable.about)
}

fn example(variable: &Variable) -> &'static str {
    match variable.fallback {
        Fallback::Value(value) => value,
        Fallback::Words(_) => variable.example.unwrap_or_default(),
    }
}

/// `text` in lines of at most `width` letters, broken at blanks.
fn wrapped(text: &str, width: usize) -> Vec<String> {
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
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::{Flags, LayeredVars, Settings, variables};

    #[test]
    fn every_name_is_there_once_and_described() {
        let mut names = BTreeSet::new();
        for variable in variables::all() {
            for name in std::iter::once(variable.name).chain(variable.aliases.iter().copied()) {
                assert!(names.insert(name), "{name} twice");
            }
            assert!(variable.about.ends_with('.'), "{}", variable.name);
            assert!(!example(variable).is_empty(), "{} has no example", variable.name);
            if let (Kind::Choice(words), Fallback::Value(value)) = (variable.kind, variable.fallback) {
                assert!(words.contains(&value), "{}", variable.name);
            }
        }
    }

    #[test]
    fn the_env_example_is_up_to_date_and_loads() {
        let file = env_example();
        expectorate::assert_contents(".env.example", &file);

        // As it stands it sets nothing.
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(".env");
        std::fs::write(&path, &file).expect("written");
        let vars = LayeredVars::load_files(directory.path()).expect("readable");
        assert!(variables::all().all(|variable| vars.source(variable.name).is_none()));

        // With every # removed it sets everything, to something that works.
        let file = file.replace("\n#ARP_", "\nARP_").replace("\n#JARVIS_", "\nJARVIS_");
        std::fs::write(&path, file.replace("\n#LOG_", "\nLOG_")).expect("written");
        let vars = LayeredVars::load_files(directory.path()).expect("readable");
        assert!(variables::all().all(|variable| vars.source(variable.name).is_some()));
        let settings = Settings::from_vars(&vars, &Flags::default()).expect("usable");

        // And the defaults in it are those that hold without it.
        let none = BTreeMap::from([("ARP_AUTH_PROFILE".to_owned(), "dev-insecure".to_owned())]);
        let default = Settings::from_vars(&none, &Flags::default()).expect("usable");
        assert_eq!(settings.limits, default.limits);
        assert_eq!(settings.deadlines, default.deadlines);
        assert_eq!(settings.calls, default.calls);
        assert_eq!(settings.log, default.log);
        assert_eq!(settings.journal.path, default.journal.path);
    }

    #[test]
    fn the_readme_has_the_table() {
        let readme = include_str!("../../README.md");
        let after = |text: &'static str, mark: &str| {
            let found = text.split_once(mark);
            found.unwrap_or_else(|| panic!("README.md has no {mark:?}"))
        };
        let (before, rest) = after(readme, "<!-- config-table: ");
        let (mark, rest) = after(rest, "-->\n");
        let (_, rest) = after(rest, "<!-- end -->");
        let wanted = format!("{before}<!-- config-table: {mark}-->\n{}<!-- end -->{rest}", markdown());
        expectorate::assert_contents("README.md", &wanted);
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }
}
