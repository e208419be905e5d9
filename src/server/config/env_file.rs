//! The environment and the env files of the working directory, in layers: the
//! process environment overrides `.env.local`, which overrides `.env`. The process
//! environment is not changed, so that a reload reads the files again.
//!
//! The first layer that names a variable decides, even with an empty value:
//! `ARP_AUTH_SCOPE= jarvis-run-coordinator` removes the value in `.env`.
//!
//! dotenvy parses the files, and substitutes `$NAME` and `${NAME}`; in single
//! quotes a `$` is literal.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{
    variables,
    vars::{Source, Vars},
};

/// The files, in order of precedence.
const ENV_FILES: [(Source, &str); 2] = [(Source::EnvLocal, ".env.local"), (Source::EnvFile, ".env")];

/// Why the variables cannot be read. Lines are not quoted: they may contain a
/// secret.
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

/// Variables from several layers, in order of precedence.
#[derive(Clone, Debug, Default)]
pub struct LayeredVars {
    layers: Vec<(Source, Layer)>,
}

/// What one layer sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Layer {
    values: BTreeMap<String, String>,
    /// The lines of a file that set them.
    lines: BTreeMap<String, usize>,
}

impl LayeredVars {
    /// Loads the process environment and the env files in `directory`.
    pub fn load(directory: &Path) -> Result<Self, EnvError> {
        let mut vars = Self::load_files(directory)?;
        let values = environment(std::env::vars_os())?;
        vars.layers.insert(0, (Source::Environment, Layer { values, ..Layer::default() }));
        Ok(vars)
    }

    /// Loads only the env files in `directory`.
    pub fn load_files(directory: &Path) -> Result<Self, EnvError> {
        let mut layers = Vec::new();
        for (source, name) in ENV_FILES {
            if let Some(layer) = file(&directory.join(name))? {
                layers.push((source, layer));
            }
        }
        Ok(Self { layers })
    }

    /// Makes variables of layers, in order of precedence.
    pub fn new(layers: Vec<(Source, BTreeMap<String, String>)>) -> Self {
        let layer = |(source, values)| (source, Layer { values, ..Layer::default() });
        Self { layers: layers.into_iter().map(layer).collect() }
    }

    /// The paths of the env files in `directory`, whether they exist or not.
    pub fn paths(directory: &Path) -> Vec<PathBuf> {
        ENV_FILES.iter().map(|(_, name)| directory.join(name)).collect()
    }

    fn deciding(&self, name: &str) -> Option<(Source, &Layer, &str)> {
        self.layers
            .iter()
            .find_map(|(source, layer)| layer.values.get(name).map(|value| (*source, layer, value.as_str())))
    }
}

impl Vars for LayeredVars {
    fn get(&self, name: &str) -> Option<String> {
        self.deciding(name).map(|(_, _, value)| value.to_owned())
    }

    fn source(&self, name: &str) -> Option<Source> {
        self.deciding(name).map(|(source, _, _)| source)
    }

    fn line(&self, name: &str) -> Option<usize> {
        self.deciding(name).and_then(|(_, layer, _)| layer.lines.get(name).copied())
    }

    fn names(&self) -> Vec<String> {
        let names: BTreeSet<&String> =
            self.layers.iter().flat_map(|(_, layer)| layer.values.keys()).collect();
        names.into_iter().cloned().collect()
    }
}

/// Converts the environment to text. Only known variables must be UTF-8.
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

/// Reads the variables of an env file; `None` if it does not exist.
fn file(path: &Path) -> Result<Option<Layer>, EnvError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map(Some).map_err(|line| EnvError::Line { path: path.to_owned(), line }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EnvError::Read { path: path.to_owned(), error }),
    }
}

/// Parses the text of an env file; an error is the number of the invalid line. Of
/// several values for one name the last counts, as in a shell.
fn parse(text: &str) -> Result<Layer, usize> {
    // dotenvy takes a final blank without a newline for an open statement.
    let text = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
    let lines_read = Cell::new(0);
    let mut statements =
        dotenvy::from_read_iter(LineByLine { rest: text.as_bytes(), lines_read: &lines_read });
    let mut layer = Layer::default();
    loop {
        let lines_before = lines_read.get();
        match statements.next() {
            Some(Ok((name, value))) => {
                layer.lines.insert(name.clone(), statement_after(&text, lines_before));
                layer.values.insert(name, value);
            }
            Some(Err(_)) => return Err(statement_after(&text, lines_before)),
            None => return Ok(layer),
        }
    }
}

/// The number of the first line after `lines` that is neither blank nor a comment:
/// the first line of the statement. (An unclosed quote extends it to the end of the
/// file.)
fn statement_after(text: &str, lines: usize) -> usize {
    let skipped = text
        .lines()
        .skip(lines)
        .map(str::trim_start)
        .take_while(|line| line.is_empty() || line.starts_with('#'))
        .count();
    lines + skipped + 1
}

/// Provides one line per read, and counts them: dotenvy does not report the line
/// of an error, but reads more only when it has consumed its input.
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
