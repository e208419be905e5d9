//! Secrets, and texts that may contain one.

use std::fmt;

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
