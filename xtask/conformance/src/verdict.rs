//! What a check comes to, and the assertions that end one.

use std::fmt;

use serde_json::Value;

/// What a check comes to: `Ok` if everything was as it must be.
pub type Verdict<T = ()> = Result<T, Stop>;

/// Why a check did not get to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// What was seen, and what should have been.
    Failed(String),
    /// Why it does not apply.
    Skipped(String),
}

/// Ends a check: something is not as it must be.
pub fn fail<T>(seen: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(seen.into()))
}

/// Ends a check: it does not apply.
pub fn skip<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(why.into()))
}

pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { fail(otherwise()) }
}

pub fn same<T: PartialEq + fmt::Display>(what: &str, seen: &T, wanted: &T) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen}, not {wanted}"))
}

/// That a value is what it must be, to the last member.
pub fn equal(what: &str, seen: &Value, wanted: &Value) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen}, not {wanted}"))
}

/// That two lists have the same in the same order.
pub fn same_list<T: PartialEq + fmt::Debug>(what: &str, seen: &[T], wanted: &[T]) -> Verdict {
    ensure(seen == wanted, || format!("{what}: {seen:?}, not {wanted:?}"))
}

/// The same, but for nulls, which count as absent: that they are not written
/// has a check of its own.
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
