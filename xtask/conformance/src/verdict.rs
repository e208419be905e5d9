//! The verdict of a check, and the assertions that end one.

use std::fmt;

use serde_json::Value;

/// The verdict: `Ok` if the requirement holds.
pub type Verdict<T = ()> = Result<T, Stop>;

/// The reason for which a check ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The requirement does not hold: what was seen, and what was expected.
    Failed(String),
    /// The check does not apply, and why.
    Skipped(String),
}

/// Ends a check as failed.
pub fn fail<T>(seen: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(seen.into()))
}

/// Ends a check as skipped.
pub fn skip<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(why.into()))
}

pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { fail(otherwise()) }
}

pub fn same<T: PartialEq + fmt::Display>(what: &str, seen: &T, wanted: &T) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen}, not {wanted}"))
}

/// Asserts that two values are equal, to the last member.
pub fn equal(what: &str, seen: &Value, wanted: &Value) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen}, not {wanted}"))
}

/// Asserts that two lists have the same items in the same order.
pub fn same_list<T: PartialEq + fmt::Debug>(what: &str, seen: &[T], wanted: &[T]) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen:?}, not {wanted:?}"))
}

/// The same, but nulls count as absent: a check of its own demands that they are
/// not written.
pub fn equal_but_nulls(what: &str, seen: &Value, wanted: &Value) -> Verdict {
    equal(what, &without_nulls(seen), wanted)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
