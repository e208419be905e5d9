//! One environment variable: its description, and how it is read.

use super::{
    bounds::Bounds,
    error::ConfigError,
    kind::Kind,
    value::{ExecutorUrls, HttpUrl, JournalPlace, MASK, masked_url, one_line, switch},
    vars::Vars,
};

/// A variable: everything that the documentation says about it, and the names
/// under which it is read.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// Read in this order if `name` is unset or empty.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub fallback: Fallback,
    /// The bounds of a size or a number; times have fixed bounds.
    pub bounds: Option<Bounds>,
    /// The value in `.env.example` if there is no default.
    pub example: Option<&'static str>,
    pub about: &'static str,
    /// The section of the contract that defines it; "own" if none does.
    pub contract: &'static str,
}

/// The meaning of an unset variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The default value, parsed as if it had been given.
    Value(&'static str),
    /// A description of what happens.
    Description(&'static str),
}

/// A group of variables, in the order of the documentation.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub title: &'static str,
    pub variables: &'static [Variable],
}

impl Variable {
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            kind,
            fallback: Fallback::Description("none"),
            bounds: None,
            example: None,
            about,
            contract: "§18",
        }
    }
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    /// Sets the default value.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.fallback = Fallback::Value(value);
        self
    }
    /// Describes what happens if it is unset, where that is not a default value.
    pub const fn unset(mut self, description: &'static str) -> Self {
        self.fallback = Fallback::Description(description);
        self
    }
    /// Sets the bounds, in its unit.
    pub const fn between(mut self, min: u64, max: u64) -> Self {
        self.bounds = Some(Bounds { min, max, because: None });
        self
    }
    /// Explains the lower bound.
    pub const fn because(mut self, reason: &'static str) -> Self {
        if let Some(bounds) = &mut self.bounds {
            bounds.because = Some(reason);
        }
        self
    }
    pub const fn example(mut self, value: &'static str) -> Self {
        self.example = Some(value);
        self
    }
    pub const fn contract(mut self, section: &'static str) -> Self {
        self.contract = section;
        self
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Secret
    }

    /// The value given, under the first of its names that is set.
    pub fn given(&self, vars: &dyn Vars) -> Option<Given> {
        std::iter::once(self.name)
            .chain(self.aliases.iter().copied())
            .find_map(|name| vars.trimmed(name).map(|text| Given { name, text }))
    }

    /// The effective value: the one given, or the default.
    pub fn text(&self, vars: &dyn Vars) -> Option<String> {
        self.effective(vars).map(|given| given.text)
    }

    /// Parses the effective value; `None` if there is none.
    pub(super) fn read<T>(
        &self,
        vars: &dyn Vars,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.effective(vars) else { return Ok(None) };
        let within = self.bounds.is_none_or(|bounds| bounds.contain(self.kind, &given.text));
        let value = parse(&given.text).filter(|_| within);
        value.map(Some).ok_or_else(|| self.invalid(&given))
    }

    /// As [`Variable::read`], for a variable with a default value.
    pub(super) fn read_required<T>(
        &self,
        vars: &dyn Vars,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        // A variable with neither is an error; a test reads every default.
        self.read(vars, parse)?.ok_or_else(|| self.invalid(&Given { name: self.name, text: String::new() }))
    }

    fn effective(&self, vars: &dyn Vars) -> Option<Given> {
        self.given(vars).or(match self.fallback {
            Fallback::Value(value) => Some(Given { name: self.name, text: value.to_owned() }),
            Fallback::Description(_) => None,
        })
    }

    /// As [`Variable::read`], where the parser says what is wrong.
    pub(super) fn read_explained<T>(
        &self,
        vars: &dyn Vars,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.effective(vars) else { return Ok(None) };
        let explained = |why: String| ConfigError::Explained {
            name: given.name,
            expected: self.expected(),
            why: one_line(&why),
        };
        parse(&given.text).map(Some).map_err(explained)
    }

    pub(super) fn invalid(&self, given: &Given) -> ConfigError {
        ConfigError::Invalid { name: given.name, expected: self.expected(), value: self.shown(&given.text) }
    }

    /// Completes "must be …".
    fn expected(&self) -> String {
        match self.bounds {
            Some(bounds) => format!("{} {}", self.kind.bare(), bounds.describe(self.kind)),
            None => self.kind.expected().into_owned(),
        }
    }

    /// The unit and the bounds, for tables.
    pub fn unit(&self) -> String {
        match self.bounds {
            Some(bounds) => format!("{}, {}", self.kind.unit(), bounds.describe(self.kind)),
            None => self.kind.unit().into_owned(),
        }
    }

    /// Formats a value of this variable for people: on one line, without secrets,
    /// base URLs as they are used.
    pub fn shown(&self, text: &str) -> String {
        match self.kind {
            Kind::Secret => MASK.to_owned(),
            Kind::BaseUrl => {
                let base = HttpUrl::base(text);
                one_line(&masked_url(base.as_ref().map_or(text, HttpUrl::as_str)))
            }
            Kind::BaseUrls => one_line(&ExecutorUrls::shown(text)),
            Kind::Url => one_line(&masked_url(text)),
            Kind::Journal => one_line(&JournalPlace::shown(text)),
            Kind::Switch => switch(text).map_or_else(|| one_line(text), |on| on.to_string()),
            Kind::Text
            | Kind::HostPort
            | Kind::Path
            | Kind::Bytes
            | Kind::Seconds
            | Kind::SecondsOrNone
            | Kind::Age
            | Kind::Count
            | Kind::Number
            | Kind::Choice(_)
            | Kind::Constraints
            | Kind::Usage
            | Kind::Targets => one_line(text),
        }
    }
}

/// A value, and the name under which it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub name: &'static str,
    pub text: String,
}
