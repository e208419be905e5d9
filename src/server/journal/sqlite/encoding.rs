//! How single values are stored: JSON texts and SQLite's signed integers.

use serde::{Serialize, de::DeserializeOwned};

use crate::journal::JournalError;

pub(super) fn to_json(value: &impl Serialize) -> Result<String, JournalError> {
    serde_json::to_string(value).map_err(|e| JournalError::Failed(format!("cannot be written as JSON: {e}")))
}

/// However deep it is nested: what was written is read again. (What could be
/// nested without end, the free-form objects, has a bound of its own.)
pub(super) fn from_json<T: DeserializeOwned>(what: &str, body: &str) -> Result<T, JournalError> {
    let mut reader = serde_json::Deserializer::from_str(body);
    reader.disable_recursion_limit();
    let record = T::deserialize(&mut reader).and_then(|record| reader.end().map(|()| record));
    record.map_err(|e| JournalError::Damaged(format!("{what}: {e}")))
}

/// SQLite's integers have a sign.
pub(super) fn integer(number: u64) -> Result<i64, JournalError> {
    i64::try_from(number).map_err(|_| JournalError::Failed(format!("{number} is too big for the journal")))
}

pub(super) fn natural(number: i64) -> Result<u64, JournalError> {
    u64::try_from(number)
        .map_err(|_| JournalError::Damaged(format!("{number} where no negative number can be")))
}
