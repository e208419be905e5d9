//! On whose behalf a call is made.

use std::{fmt, sync::Arc};

/// The access token of a caller, which is exchanged for tokens that act for it.
/// It must not be shown, and not be stored as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectToken(Arc<str>);

impl SubjectToken {
    pub fn new(token: &str) -> Self {
        Self(token.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectToken(***)")
    }
}

/// On whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The coordinator's own.
    Own,
    /// That of the caller with this token.
    Caller(SubjectToken),
    /// That of a caller whose token cannot be read any more. Nothing is sent.
    Lost,
}
