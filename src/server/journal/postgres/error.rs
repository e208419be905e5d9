//! PostgreSQL's errors as the journal's.
//!
//! | SQLSTATE | means |
//! |---|---|
//! | `40001`, `40P01`, `55P03`, `25P03` | the transaction was undone and can be repeated: [`is_repeatable`] |
//! | `53100` | [`JournalError::Full`] |
//! | `54…` | [`JournalError::TooBig`] |
//! | `XX001`, `XX002` | [`JournalError::Damaged`] |
//! | `23505` | [`JournalError::Conflict`]: another wrote the row first |
//! | any other, a lost connection | [`JournalError::Failed`] |

use std::error::Error as _;

use tokio_postgres::{Error, error::SqlState};

use crate::journal::JournalError;

impl From<Error> for JournalError {
    fn from(error: Error) -> Self {
        let text = describe(&error);
        let Some(state) = error.code() else {
            // A value of a row that does not have the type of its column.
            let is_unreadable = error.to_string().starts_with("error deserializing");
            return if is_unreadable { Self::Damaged(text) } else { Self::Failed(text) };
        };
        match state.code() {
            "53100" => Self::Full(text),
            "XX001" | "XX002" => Self::Damaged(text),
            "23505" => Self::Conflict,
            code if code.starts_with("54") => Self::TooBig(text),
            _ => Self::Failed(text),
        }
    }
}

/// Whether nothing was written, and the same transaction may succeed when it is
/// repeated.
pub(super) fn is_repeatable(error: &Error) -> bool {
    const REPEATABLE: [&SqlState; 4] = [
        &SqlState::T_R_SERIALIZATION_FAILURE,
        &SqlState::T_R_DEADLOCK_DETECTED,
        &SqlState::LOCK_NOT_AVAILABLE,
        &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    ];
    error.code().is_some_and(|code| REPEATABLE.contains(&code))
}

/// What the database says, or why it did not answer.
pub(super) fn describe(error: &Error) -> String {
    if let Some(reported) = error.as_db_error() {
        return format!("PostgreSQL: {} ({})", reported.message(), reported.code().code());
    }
    match error.source() {
        Some(cause) => format!("PostgreSQL: {error}: {cause}"),
        None => format!("PostgreSQL: {error}"),
    }
}
