//! Secrets, and texts that may contain one.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Stands for a secret in messages.
pub const MASK: &str = "***";

/// A text that must not be shown. Only [`Secret::expose`] reveals it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Where a secret is. A file is read whenever the secret is needed, so that it can
/// be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    Value(Secret),
    File(PathBuf),
}

/// Why a file with a secret cannot be used. Its content is not quoted.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the secret in {}: {error}", path.display())]
pub struct SecretError {
    path: PathBuf,
    error: io::Error,
}

impl SecretError {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// No secret is larger.
const SECRET_BYTES: u64 = 64 << 10;

impl SecretSource {
    /// The variable that says where it is; `name` is that of its value.
    pub fn name(&self, name: &str) -> String {
        match self {
            Self::Value(_) => name.to_owned(),
            Self::File(_) => format!("{name}_FILE"),
        }
    }

    /// The file that it is in, if it is in one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Value(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// The secret as of now, without blanks around it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let failed = |error| SecretError { path: path.clone(), error };
                let invalid = |reason| failed(io::Error::new(io::ErrorKind::InvalidData, reason));
                let mut text = String::new();
                // A pipe would make the reader wait.
                if !std::fs::metadata(path).map_err(failed)?.is_file() {
                    return Err(invalid("not a file"));
                }
                File::open(path)
                    .and_then(|file| file.take(SECRET_BYTES + 1).read_to_string(&mut text))
                    .map_err(failed)?;
                match text.trim() {
                    "" => Err(invalid("it is empty")),
                    _ if text.len() as u64 > SECRET_BYTES => Err(invalid("it is too large")),
                    secret => Ok(Secret::new(secret.to_owned())),
                }
            }
        }
    }
}

/// Masks what may be secret in a URL: user, password and query. Also works on
/// text that is not a URL, because error messages quote broken ones; in doubt it
/// masks too much.
pub fn masked_url(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + "://".len()),
        None => ("", text),
    };
    // The user comes first: a password may contain a `?`.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, host)) => ("***@", host),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((path, _)) => format!("{scheme}{user}{path}?{MASK}"),
        None => format!("{scheme}{user}{rest}"),
    }
}

/// Escapes control characters, so that `text` is one line of a report.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
