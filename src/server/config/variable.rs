//! What is to be known about a variable, and reading one.

use std::borrow::Cow;

use super::{
    bounds::Bounds,
    error::ConfigError,
    value::{HttpUrl, MASK, TEN_YEARS, masked_url, one_line},
    vars::{SWITCH_WORDS, Vars, switch},
};

/// One variable: everything that the documentation says about it, and the
/// names that parsing asks for.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// Asked for in this order when `name` is unset or empty.
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub fallback: Fallback,
    /// Of a size or a number; times have bounds of their own.
    pub bounds: Option<Bounds>,
    /// A value for `.env.example` where the fallback is not one.
    pub example: Option<&'static str>,
    pub about: &'static str,
    /// The section of the contract that it comes from; "own" for ours.
    pub contract: &'static str,
}

/// What the value of a variable looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Secret,
    /// A base URL, normalised as contract §18 says.
    BaseUrl,
    /// A URL that is called as it is.
    Url,
    Path,
    Bytes,
    Seconds,
    /// Seconds that may be 0, for not at all.
    SecondsOrNone,
    Age,
    Count,
    /// A count that may be 0.
    Number,
    Switch,
    Choice(&'static [&'static str]),
}

/// What an unset variable means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The same as this value, which is read as if it had been given.
    Value(&'static str),
    /// What these words say.
    Words(&'static str),
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
            fallback: Fallback::Words("none"),
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
    /// The value that counts when none is given.
    pub const fn default(mut self, value: &'static str) -> Self {
        self.fallback = Fallback::Value(value);
        self
    }
    /// What happens when none is given, where that is not a value.
    pub const fn unset(mut self, words: &'static str) -> Self {
        self.fallback = Fallback::Words(words);
        self
    }
    /// The least and the most that it takes, in its unit.
    pub const fn between(mut self, least: u64, most: u64) -> Self {
        self.bounds = Some(Bounds { least, most, because: None });
        self
    }
    /// Why it takes no less.
    pub const fn because(mut self, words: &'static str) -> Self {
        if let Some(bounds) = &mut self.bounds {
            bounds.because = Some(words);
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

    /// The first of its names that is set to something.
    pub fn given(&self, vars: &dyn Vars) -> Option<Given> {
        std::iter::once(self.name)
            .chain(self.aliases.iter().copied())
            .find_map(|name| vars.trimmed(name).map(|text| Given { name, text }))
    }

    /// The text that counts: given, or the default.
    pub fn text(&self, vars: &dyn Vars) -> Option<String> {
        self.effective(vars).map(|given| given.text)
    }

    /// Reads the text that counts; `None` if there is none.
    pub(super) fn read<T>(
        &self,
        vars: &dyn Vars,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.effective(vars) else { return Ok(None) };
        let within = self.bounds.is_none_or(|bounds| bounds.hold(self.kind, &given.text));
        let value = parse(&given.text).filter(|_| within);
        value.map(Some).ok_or_else(|| self.invalid(&given))
    }

    /// As [`Variable::read`], for a variable that has a default value.
    pub(super) fn read_required<T>(
        &self,
        vars: &dyn Vars,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        // Without a value and a default it is invalid; a test of the settings
        // with nothing set reads every default.
        self.read(vars, parse)?.ok_or_else(|| self.invalid(&Given { name: self.name, text: String::new() }))
    }

    fn effective(&self, vars: &dyn Vars) -> Option<Given> {
        self.given(vars).or(match self.fallback {
            Fallback::Value(value) => Some(Given { name: self.name, text: value.to_owned() }),
            Fallback::Words(_) => None,
        })
    }

    pub(super) fn invalid(&self, given: &Given) -> ConfigError {
        ConfigError::Invalid { name: given.name, expected: self.expected(), value: self.shown(&given.text) }
    }

    /// Finishes the sentence "it must be".
    fn expected(&self) -> String {
        match self.bounds {
            Some(bounds) => format!("{} {}", self.kind.bare(), bounds.words(self.kind)),
            None => self.kind.expected().into_owned(),
        }
    }

    /// For tables: what the value looks like.
    pub fn unit(&self) -> String {
        match self.bounds {
            Some(bounds) => format!("{}, {}", self.kind.unit(), bounds.words(self.kind)),
            None => self.kind.unit().into_owned(),
        }
    }

    /// A value of this variable as it may be shown: one line, no secrets, base
    /// URLs as they are used.
    pub fn shown(&self, text: &str) -> String {
        match self.kind {
            Kind::Secret => MASK.to_owned(),
            Kind::BaseUrl => {
                let base = HttpUrl::base(text);
                one_line(&masked_url(base.as_ref().map_or(text, HttpUrl::as_str)))
            }
            Kind::Url => one_line(&masked_url(text)),
            Kind::Switch => switch(text).map_or_else(|| one_line(text), |on| on.to_string()),
            Kind::Text
            | Kind::Path
            | Kind::Bytes
            | Kind::Seconds
            | Kind::SecondsOrNone
            | Kind::Age
            | Kind::Count
            | Kind::Number
            | Kind::Choice(_) => one_line(text),
        }
    }
}

impl Kind {
    /// Finishes the sentence "it must be".
    pub fn expected(self) -> Cow<'static, str> {
        match self {
            Self::Text | Self::Secret => "a text".into(),
            Self::BaseUrl => "an http:// or https:// URL without a query".into(),
            Self::Url => "an http:// or https:// URL".into(),
            Self::Path => "a path".into(),
            Self::Bytes => "a number of bytes above 0 (suffixes k, m, g)".into(),
            Self::Seconds => format!("a number of seconds above 0, {}", at_most_ten_years()).into(),
            Self::SecondsOrNone => format!("a number of seconds, {}", at_most_ten_years()).into(),
            Self::Age => "a whole number above 0 and its unit (s, m, h, d), at most 36500d".into(),
            Self::Count => "a whole number above 0".into(),
            Self::Number => "a whole number".into(),
            Self::Switch => SWITCH_WORDS.into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")).into(),
        }
    }

    /// The same before the words of bounds.
    fn bare(self) -> Cow<'static, str> {
        match self {
            Self::Bytes => "a number of bytes (suffixes k, m, g)".into(),
            Self::Count | Self::Number => "a whole number".into(),
            Self::Text
            | Self::Secret
            | Self::BaseUrl
            | Self::Url
            | Self::Path
            | Self::Seconds
            | Self::SecondsOrNone
            | Self::Age
            | Self::Switch
            | Self::Choice(_) => self.expected(),
        }
    }

    /// A short word for tables.
    pub fn unit(self) -> Cow<'static, str> {
        match self {
            Self::Text => "text".into(),
            Self::Secret => "secret".into(),
            Self::BaseUrl | Self::Url => "URL".into(),
            Self::Path => "path".into(),
            Self::Bytes => "bytes (k, m, g)".into(),
            Self::Seconds | Self::SecondsOrNone => "seconds".into(),
            Self::Age => "s, m, h, d".into(),
            Self::Count | Self::Number => "number".into(),
            Self::Switch => "true/false".into(),
            Self::Choice(words) => words.join("/").into(),
        }
    }
}

fn at_most_ten_years() -> String {
    format!("at most {} (ten years)", TEN_YEARS.as_secs())
}

/// A value, and the name that it was given by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    pub name: &'static str,
    pub text: String,
}
