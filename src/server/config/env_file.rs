//! The environment and the env files of the working directory, in layers: the
//! process environment wins over `.env.local`, which wins over `.env`. The
//! process environment itself is never changed, so that after a reload the
//! files are read afresh.
//!
//! A layer that names a variable decides it, even with an empty value:
//! `ARP_AUTH_SCOPE= jarvis-run-coordinator` switches off what `.env` says.
//!
//! Files are read by dotenvy, which replaces `$NAME` and `${NAME}`; single
//! quotes keep a `$`.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{variables, vars::Vars};

/// The files, strongest first.
const ENV_FILES: [(Source, &str); 2] = [(Source::EnvLocal, ".env.local"), (Source::EnvFile, ".env")];

/// Which layer a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Environment,
    EnvLocal,
    EnvFile,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "env",
            Self::EnvLocal => ".env.local",
            Self::EnvFile => ".env",
        })
    }
}

/// Why the variables cannot be read. What a line says is not quoted: it may be
/// a secret.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error(
        "{}:{line}: not a NAME=value line (quote values with blanks, # or $; close every quote)",
        path.display()
    )]
    Line { path: PathBuf, line: usize },
    #[error("the environment variable {0} is not valid UTF-8")]
    NotUtf8(String),
}

/// Variables from several sources, strongest first.
#[derive(Clone, Debug, Default)]
pub struct LayeredVars {
    layers: Vec<(Source, BTreeMap<String, String>)>,
}

impl LayeredVars {
    /// The process environment over the env files in `directory`.
    pub fn load(directory: &Path) -> Result<Self, EnvError> {
        let mut vars = Self::load_files(directory)?;
        vars.layers.insert(0, (Source::Environment, environment(std::env::vars_os())?));
        Ok(vars)
    }

    /// The env files in `directory` alone.
    pub fn load_files(directory: &Path) -> Result<Self, EnvError> {
        let mut layers = Vec::new();
        for (source, name) in ENV_FILES {
            if let Some(values) = file(&directory.join(name))? {
                layers.push((source, values));
            }
        }
        Ok(Self { layers })
    }

    /// These layers, strongest first.
    pub fn new(layers: Vec<(Source, BTreeMap<String, String>)>) -> Self {
        Self { layers }
    }

    /// The env files that are looked for in `directory`, existing or not.
    pub fn paths(directory: &Path) -> Vec<PathBuf> {
        ENV_FILES.iter().map(|(_, name)| directory.join(name)).collect()
    }

    /// Which layer decides `name`.
    pub fn source(&self, name: &str) -> Option<Source> {
        self.deciding(name).map(|(source, _)| source)
    }

    fn deciding(&self, name: &str) -> Option<(Source, &str)> {
        self.layers
            .iter()
            .find_map(|(source, values)| values.get(name).map(|value| (*source, value.as_str())))
    }
}

impl Vars for LayeredVars {
    fn get(&self, name: &str) -> Option<String> {
        self.deciding(name).map(|(_, value)| value.to_owned())
    }

    fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> = self.layers.iter().flat_map(|(_, values)| values.keys()).collect();
        names.into_iter().cloned().collect()
    }
}

/// The environment as text. What is not UTF-8 matters only if it is ours.
fn environment(
    vars: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Result<BTreeMap<String, String>, EnvError> {
    let mut values = BTreeMap::new();
    for (name, value) in vars {
        let Ok(name) = name.into_string() else { continue };
        match value.into_string() {
            Ok(value) => {
                values.insert(name, value);
            }
            Err(_) if variables::is_known(&name) => return Err(EnvError::NotUtf8(name)),
            Err(_) => {}
        }
    }
    Ok(values)
}

/// The variables of an env file; `None` if there is no such file.
fn file(path: &Path) -> Result<Option<BTreeMap<String, String>>, EnvError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map(Some).map_err(|line| EnvError::Line { path: path.to_owned(), line }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EnvError::Read { path: path.to_owned(), error }),
    }
}

/// The variables of an env file's text, or the number of the line that cannot
/// be read. Of several values for one name the last counts, as in a shell.
fn parse(text: &str) -> Result<BTreeMap<String, String>, usize> {
    // Dotenvy takes an ending blank without a newline for an open statement.
    let text = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
    let lines_read = Cell::new(0);
    let mut statements =
        dotenvy::from_read_iter(LineByLine { rest: text.as_bytes(), lines_read: &lines_read });
    let mut values = BTreeMap::new();
    loop {
        let lines_before = lines_read.get();
        match statements.next() {
            Some(Ok((name, value))) => {
                values.insert(name, value);
            }
            Some(Err(_)) => return Err(statement_after(&text, lines_before)),
            None => return Ok(values),
        }
    }
}

/// The number of the first line after `lines` that is not blank or a comment:
/// where a broken statement begins, which need not be where it breaks, since
/// an open quote reaches to the end of the file.
fn statement_after(text: &str, lines: usize) -> usize {
    let skipped = text
        .lines()
        .skip(lines)
        .map(str::trim_start)
        .take_while(|line| line.is_empty() || line.starts_with('#'))
        .count();
    lines + skipped + 1
}

/// Hands out one line at a time, and counts: dotenvy does not say which line
/// an error is in, but asks for more only when it has used up what it has.
struct LineByLine<'a> {
    rest: &'a [u8],
    lines_read: &'a Cell<usize>,
}

impl Read for LineByLine<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let line = self.rest.iter().position(|byte| *byte == b'\n').map_or(self.rest.len(), |at| at + 1);
        let length = line.min(buffer.len());
        buffer[..length].copy_from_slice(&self.rest[..length]);
        if length == line && length > 0 {
            self.lines_read.set(self.lines_read.get() + 1);
        }
        self.rest = &self.rest[length..];
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    use super::*;

    #[test]
    fn env_files_may_be_written_as_shells_do() {
        let text =
            "\u{feff}# comment\nA=1\n\nexport B = 'two $x # words'\nC=\"x\\ny\"   # note\nD=\nA=3\nE=end ";
        let values = parse(text).expect("readable");
        let expected = [("A", "3"), ("B", "two $x # words"), ("C", "x\ny"), ("D", ""), ("E", "end")];
        assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn a_broken_line_is_named_and_not_quoted() {
        for (text, line) in [
            ("oops", 1),
            ("A=1\n\n# comment\n  oops\nB=2", 4),
            ("A=1\nB=two words\n", 2),
            ("A='1\n2'\nB='open\nC=3\n\n", 3),
            ("A=1\n1B=2", 2),
            ("A=1\n=2\n", 2),
        ] {
            assert_eq!(parse(text), Err(line), "{text}");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(".env.local");
        fs::write(&path, "A=1\nhush hush\n").expect("written");
        let error = LayeredVars::load(directory.path()).expect_err("broken").to_string();
        assert_eq!(
            error,
            format!(
                "{}:2: not a NAME=value line (quote values with blanks, # or $; close every quote)",
                path.display()
            )
        );
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join(".env")).expect("a directory in its place");
        let error = LayeredVars::load(directory.path()).expect_err("unreadable").to_string();
        assert!(error.starts_with(&format!("cannot read {}/.env: ", directory.path().display())), "{error}");
    }

    #[test]
    fn the_strongest_layer_decides_even_with_nothing() {
        let layer = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let vars = LayeredVars::new(vec![
            (Source::Environment, layer(&[("A", "env"), ("EMPTY", "")])),
            (Source::EnvLocal, layer(&[("A", "local"), ("B", "local"), ("EMPTY", "local")])),
            (Source::EnvFile, layer(&[("A", "file"), ("B", "file"), ("C", "file")])),
        ]);
        for (name, value, source) in [
            ("A", Some("env"), Some(Source::Environment)),
            ("B", Some("local"), Some(Source::EnvLocal)),
            ("C", Some("file"), Some(Source::EnvFile)),
            ("EMPTY", None, Some(Source::Environment)),
            ("D", None, None),
        ] {
            assert_eq!(vars.trimmed(name).as_deref(), value, "{name}");
            assert_eq!(vars.source(name), source, "{name}");
        }
    }

    #[test]
    fn files_are_read_from_the_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let none = LayeredVars::load(directory.path()).expect("no files");
        assert_eq!(none.source("ENV_FILE_TEST_A"), None);
        fs::write(directory.path().join(".env"), "ENV_FILE_TEST_A=1\nENV_FILE_TEST_B=1").expect("written");
        fs::write(directory.path().join(".env.local"), "ENV_FILE_TEST_B=2").expect("written");
        let vars = LayeredVars::load(directory.path()).expect("two files");
        assert_eq!(vars.get("ENV_FILE_TEST_A").as_deref(), Some("1"));
        assert_eq!(vars.get("ENV_FILE_TEST_B").as_deref(), Some("2"));
        assert_eq!(vars.source("ENV_FILE_TEST_B"), Some(Source::EnvLocal));
        // Every process has a PATH, and none got into the environment.
        assert_eq!(vars.source("PATH"), Some(Source::Environment));
        assert!(std::env::var_os("ENV_FILE_TEST_A").is_none());
    }

    #[test]
    fn only_our_own_variables_must_be_text() {
        let odd = || OsString::from_vec(vec![0xff]);
        let values = environment([("OTHER".into(), odd()), (odd(), "x".into())].into_iter());
        assert!(values.expect("ignored").is_empty());
        let error = environment([("ARP_PDP_URL".into(), odd())].into_iter()).expect_err("ours");
        assert_eq!(error.to_string(), "the environment variable ARP_PDP_URL is not valid UTF-8");
    }
}

#[cfg(test)]
mod fuzz {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// What a shell would make of it need not be what dotenvy makes of it, but
    /// single quotes mean the same to both; only that a backslash before the
    /// closing one is refused.
    fn assignment() -> impl Strategy<Value = (String, String, String)> {
        let forms = prop_oneof![
            Just(("", "'", "'")),
            Just(("export ", "'", "' # comment")),
            Just(("  ", "'", "'  ")),
        ];
        ("[A-Z_][A-Z0-9_]{0,6}", "([^'\r\0]{0,12}[^'\r\0\\\\])?", forms).prop_map(
            |(name, value, (before, open, close))| {
                let line = format!("{before}{name}={open}{value}{close}\n");
                (name, value, line)
            },
        )
    }

    proptest! {
        #[test]
        fn quoted_values_are_read_as_they_are(
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
            prop_assert_eq!(parse(&text), Ok(values));
        }

        /// The line that is named is there, and something stands in it.
        #[test]
        fn any_text_is_read_or_a_line_is_named(
            text in "(A|B_1|=| |'|\"|\\\\|#|\\$|\\$\\{A\\}|\n|\r\n|\t|export |\u{feff}|ü|\\PC){0,24}",
        ) {
            match parse(&text) {
                Ok(values) => prop_assert!(values.keys().all(|name| !name.is_empty())),
                Err(line) => {
                    let found = text.lines().nth(line - 1);
                    prop_assert!(found.is_some_and(|line| !line.trim().is_empty()), "{}: {:?}", line, found);
                }
            }
        }
    }
}
