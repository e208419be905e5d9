//! Retries of failed results: what a node's type allows, and how many there were
//! (contract §9.2).

use serde::{Deserialize, Serialize};

/// The maximum number of attempts that a type can ask for.
const ATTEMPTS: u32 = 100;
/// The maximum number and length of codes.
const CODES: usize = 100;
const CODE_BYTES: usize = 500;

/// What a type declares as `jarvis.retry`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRule {
    /// The maximum number of executions.
    pub max_attempts: u32,
    /// The codes of errors after which it is executed again. `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<Vec<String>>,
}

impl RetryRule {
    /// The rule in this text, if it is one and within bounds.
    pub fn parse(text: &str) -> Option<Self> {
        let rule: Self = serde_json::from_str(text).ok()?;
        let codes = rule.codes.as_deref().unwrap_or_default();
        let fits = codes.len() <= CODES && codes.iter().all(|code| code.len() <= CODE_BYTES);
        fits.then(|| Self { max_attempts: rule.max_attempts.min(ATTEMPTS), ..rule })
    }
}

/// The retries of a node after failed results.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResultRetries {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RetryRule>,
    /// Failed results that were followed by another attempt.
    pub made: u32,
    /// The number of the last such attempt; 0: none.
    pub last: u32,
}

impl ResultRetries {
    pub fn of(rule: Option<RetryRule>) -> Self {
        Self { rule, ..Self::default() }
    }

    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_rule_is_read_within_bounds() {
        let rule = RetryRule::parse(r#"{"max_attempts": 3, "codes": ["busy"], "more": 1}"#).expect("a rule");
        assert_eq!((rule.max_attempts, rule.codes), (3, Some(vec!["busy".to_owned()])));
        let most = RetryRule::parse(r#"{"max_attempts": 4000000000}"#).expect("a rule");
        assert_eq!(most, RetryRule { max_attempts: 100, codes: None });
        let long = format!(r#"{{"max_attempts": 3, "codes": ["{}"]}}"#, "x".repeat(501));
        for none in ["3", "{}", r#"{"max_attempts": -1}"#, r#"{"max_attempts": 2, "codes": "busy"}"#, &long] {
            assert_eq!(RetryRule::parse(none), None, "{none}");
        }
    }
}
