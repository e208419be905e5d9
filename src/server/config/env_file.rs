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
mod proptests;
#[cfg(test)]
mod tests;
