//! Why a group was not written, and what becomes of it.

use crate::journal::{
    JournalError,
    postgres::{
        batch::Failure,
        error::{describe, is_repeatable},
    },
};

/// Why a group was not written.
pub(super) enum Refused {
    /// Changes, by their places, whose rows were written by another first.
    Conflicts(Vec<usize>),
    /// The database has undone the transaction, which may succeed when it is repeated.
    Undone(String),
    Failed {
        error: JournalError,
        one_is_at_fault: bool,
    },
}

impl Refused {
    pub(super) fn whole(error: JournalError) -> Self {
        Self::Failed { error, one_is_at_fault: false }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflicts(places) => Self::Conflicts(places),
            Failure::Database(error) if is_repeatable(&error) => Self::Undone(describe(&error)),
            // What the database says is about a statement; what it does not say is
            // about the connection.
            Failure::Database(error) => {
                Self::Failed { one_is_at_fault: error.as_db_error().is_some(), error: error.into() }
            }
            Failure::Journal(JournalError::Fenced) => Self::whole(JournalError::Fenced),
            Failure::Journal(error) => Self::Failed { error, one_is_at_fault: true },
        }
    }
}
