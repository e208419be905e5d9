//! How single values are stored: JSON texts and SQLite's signed integers.

use serde::{Serialize, de::DeserializeOwned};

use crate::journal::JournalError;

pub(in crate::server::journal) fn to_json(value: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value)
        .map_err(|e| JournalError::Failed(format!("a record cannot be encoded as JSON: {e}")))
}

/// Reads JSON of any depth: everything that was written can be read. (Free-form
/// objects, which could be nested without limit, have a bound of their own.)
pub(in crate::server::journal) fn from_json<T: DeserializeOwned>(
    what: &str,
    body: &str,
) -> Result<T, JournalError> {
    let mut reader = serde_json::Deserializer::from_str(body);
    reader.disable_recursion_limit();
    let record = T::deserialize(&mut reader).and_then(|record| reader.end().map(|()| record));
    record.map_err(|e| JournalError::Damaged(format!("{what}: {e}")))
}

/// A number as SQLite's signed integers have it.
pub(in crate::server::journal) fn integer(number: u64) -> Result<i64, JournalError> {
    i64::try_from(number).map_err(|_| JournalError::Failed(format!("{number} is too big for the journal")))
}

pub(in crate::server::journal) fn natural(number: i64) -> Result<u64, JournalError> {
    u64::try_from(number)
        .map_err(|_| JournalError::Damaged(format!("the number {number} must not be negative")))
}
