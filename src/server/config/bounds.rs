//! The bounds of numeric variables.

use super::{
    kind::Kind,
    value::{self, size},
};

/// The bounds of a variable, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub min: u64,
    pub max: u64,
    /// Explains the lower bound where it is not obvious.
    pub because: Option<&'static str>,
}

impl Bounds {
    /// Whether `text`, a value of this kind, is within the bounds.
    pub fn contain(&self, kind: Kind, text: &str) -> bool {
        let amount = match kind {
            Kind::Bytes => value::bytes(text),
            Kind::Count | Kind::Number => text.trim().parse().ok(),
            // Times have fixed bounds; the others are not numbers.
            Kind::Seconds
            | Kind::SecondsOrNone
            | Kind::Age
            | Kind::Text
            | Kind::Secret
            | Kind::BaseUrl
            | Kind::BaseUrls
            | Kind::Url
            | Kind::HostPort
            | Kind::Path
            | Kind::Journal
            | Kind::Switch
            | Kind::Choice(_)
            | Kind::Constraints
            | Kind::Usage
            | Kind::Targets => None,
        };
        amount.is_none_or(|amount| (self.min..=self.max).contains(&amount))
    }

    /// Describes the bounds: `from 1k (a reason) to 8g`.
    pub fn describe(&self, kind: Kind) -> String {
        let shown = |amount| if kind == Kind::Bytes { size(amount) } else { amount.to_string() };
        let because = self.because.map(|because| format!(" ({because})")).unwrap_or_default();
        format!("from {}{because} to {}", shown(self.min), shown(self.max))
    }
}
