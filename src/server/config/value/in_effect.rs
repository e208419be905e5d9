//! A setting as people see it.

/// A setting, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InEffect {
    /// The heading that it is listed under.
    pub group: &'static str,
    /// Of the variable, or of the flag.
    pub name: &'static str,
    /// On one line; in parentheses: what applies because nothing is set.
    pub value: String,
    /// `default`, `flag`, `env`, or the name of a file.
    pub source: String,
}

impl InEffect {
    /// The source of what is not set.
    pub const DEFAULT: &str = "default";

    pub fn is_default(&self) -> bool {
        self.source == Self::DEFAULT
    }
}
