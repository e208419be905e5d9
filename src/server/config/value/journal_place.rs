//! Where the journal is: a file, or a database.

use std::{fmt, path::PathBuf};

use super::DatabaseUrl;

/// Where the journal is. It is shown without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalPlace {
    /// The built-in journal: one file, for one process.
    File(PathBuf),
    /// PostgreSQL, for several processes.
    Database(DatabaseUrl),
}

impl JournalPlace {
    /// A path, or the URL of a database. The error does not repeat the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        if DatabaseUrl::is_url(text) {
            return DatabaseUrl::parse(text).map(Self::Database);
        }
        Ok(Self::File(PathBuf::from(text)))
    }

    /// A text as people may see it.
    pub fn shown(text: &str) -> String {
        match Self::parse(text) {
            Ok(place) => place.to_string(),
            Err(_) => "postgres://…".to_owned(),
        }
    }
}

impl fmt::Display for JournalPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Database(url) => url.fmt(f),
        }
    }
}
