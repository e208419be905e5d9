//! Between what a number may lie, where its variable says so.

use super::{
    value::{self, size},
    variable::Kind,
};

/// The least and the most that a variable takes, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub least: u64,
    pub most: u64,
    /// Why not less, if that is not plain.
    pub because: Option<&'static str>,
}

impl Bounds {
    /// Whether `text`, which can be read as a value of this kind, lies between.
    pub fn hold(&self, kind: Kind, text: &str) -> bool {
        let amount = match kind {
            Kind::Bytes => value::bytes(text),
            Kind::Count | Kind::Number => text.trim().parse().ok(),
            // Times have bounds of their own; the others are no numbers.
            Kind::Seconds
            | Kind::SecondsOrNone
            | Kind::Age
            | Kind::Text
            | Kind::Secret
            | Kind::BaseUrl
            | Kind::Url
            | Kind::Path
            | Kind::Switch
            | Kind::Choice(_) => None,
        };
        amount.is_none_or(|amount| (self.least..=self.most).contains(&amount))
    }

    /// As it is written: `from 1k (a reason) to 8g`.
    pub fn words(&self, kind: Kind) -> String {
        let shown = |amount| if kind == Kind::Bytes { size(amount) } else { amount.to_string() };
        let because = self.because.map(|because| format!(" ({because})")).unwrap_or_default();
        format!("from {}{because} to {}", shown(self.least), shown(self.most))
    }
}
