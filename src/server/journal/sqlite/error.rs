//! SQLite's errors as the journal's.

use rusqlite::{Error, ErrorCode};

use crate::journal::JournalError;

impl From<Error> for JournalError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let unreadable = matches!(
            error,
            Error::FromSqlConversionFailure(..)
                | Error::IntegralValueOutOfRange(..)
                | Error::InvalidColumnType(..)
                | Error::Utf8Error(..)
        );
        match error.sqlite_error_code() {
            // Also the code for a file system without room (ENOSPC).
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::TooBig) => Self::TooBig(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(text),
            Some(_) | None if unreadable => Self::Damaged(text),
            Some(_) | None => Self::Failed(text),
        }
    }
}
