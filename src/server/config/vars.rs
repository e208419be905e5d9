//! Where settings come from. Parsing is a pure function over [`Vars`], so that
//! no test touches the process environment.

use std::collections::BTreeMap;

/// Named strings: the environment, an env file, or a test's table.
pub trait Vars {
    fn get(&self, name: &str) -> Option<String>;

    /// All names that are set, to find those that nobody asks for.
    fn names(&self) -> Vec<String> {
        Vec::new()
    }

    /// The value without blanks around it; empty counts as unset
    /// (contract §18).
    fn trimmed(&self, name: &str) -> Option<String> {
        self.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The first of `names` that is set (an alias stands in for a variable that
    /// is unset or empty).
    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.trimmed(name))
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

/// What a switch may say, for messages.
pub const SWITCH_WORDS: &str = "one of true, yes, on, 1, false, no, off, 0";

/// A switch, in any case. The words for off are the contract's (§18); for the
/// Python coordinator everything else is on, a word with a mistake in it too.
pub fn switch(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
