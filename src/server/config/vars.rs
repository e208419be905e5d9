//! The source of settings. Parsing is a pure function over [`Vars`], so that no
//! test touches the process environment.

use std::collections::BTreeMap;

/// Named strings: the environment, an env file, or the table of a test.
pub trait Vars {
    fn get(&self, name: &str) -> Option<String>;

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
