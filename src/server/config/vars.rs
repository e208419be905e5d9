//! The source of settings. Parsing is a pure function over [`Vars`], so that no
//! test touches the process environment.

use std::{collections::BTreeMap, fmt};

/// The layer of a value.
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

/// Named strings: the environment, an env file, or the table of a test.
pub trait Vars {
    fn get(&self, name: &str) -> Option<String>;

    /// The layer that decides `name`.
    fn source(&self, name: &str) -> Option<Source> {
        self.get(name).map(|_| Source::Environment)
    }

    /// The line of the env file that decides `name`, if a file does.
    fn line(&self, _name: &str) -> Option<usize> {
        None
    }

    /// All names that are set, to find unknown ones.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The value without blanks around it; an empty value counts as unset
    /// (contract §18).
    fn trimmed(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

impl Vars for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}
