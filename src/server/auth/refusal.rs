//! Refusals of callers: the answer, and the reason for the log.

/// The answer to a refused caller, always with status 401 and code
/// `unauthorized`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AuthError {
    /// The error code of RFC 6750: `invalid_request` or `invalid_token`.
    pub error: &'static str,
    pub message: &'static str,
}

impl AuthError {
    /// The token is one of ours, and the NodeRun that it is for has ended.
    pub const ASSIGNMENT_ENDED: Self = Self { error: "invalid_token", message: "Assignment has ended" };
    /// The request has no token.
    pub const MISSING: Self = Self { error: "invalid_request", message: "Missing Authorization header" };

    /// A short name of the reason, of which there are few.
    pub fn code(&self) -> &'static str {
        match self.message {
            "Missing Authorization header" => "missing",
            "Invalid Authorization header" => "malformed",
            "Token expired" => "expired",
            "Invalid token audience" => "audience",
            "Invalid token issuer" => "issuer",
            "Unable to fetch JWKS" => "no_keys",
            "Assignment has ended" => "assignment_ended",
            _ => "invalid",
        }
    }

    /// The value of the `WWW-Authenticate` header.
    pub fn challenge(&self) -> String {
        format!("Bearer error=\"{}\", error_description=\"{}\"", self.error, self.message)
    }
}

/// The reason of a refusal. The texts inside are for the log, callers get less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    MissingHeader,
    MalformedHeader,
    Expired,
    Audience,
    Issuer,
    NoKey(&'static str),
    Invalid(&'static str),
}

impl Refusal {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::MissingHeader => "no Authorization header",
            Self::MalformedHeader => "malformed Authorization header",
            Self::Expired => "token expired",
            Self::Audience => "token is for another audience",
            Self::Issuer => "token is from another issuer",
            Self::NoKey(reason) | Self::Invalid(reason) => reason,
        }
    }
}

impl From<Refusal> for AuthError {
    fn from(refusal: Refusal) -> Self {
        let (error, message) = match refusal {
            Refusal::MissingHeader => return Self::MISSING,
            Refusal::MalformedHeader => ("invalid_request", "Invalid Authorization header"),
            Refusal::Expired => ("invalid_token", "Token expired"),
            Refusal::Audience => ("invalid_token", "Invalid token audience"),
            Refusal::Issuer => ("invalid_token", "Invalid token issuer"),
            Refusal::NoKey(_) => ("invalid_token", "Unable to fetch JWKS"),
            Refusal::Invalid(_) => ("invalid_token", "Invalid token"),
        };
        Self { error, message }
    }
}
