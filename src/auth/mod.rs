//! Who is calling (contract §19).

/// The verified caller. Only authentication makes one, and every call of the
/// coordinator asks for one: what is not authenticated cannot be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    subject: String,
}

impl Principal {
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

/// Placeholder while authentication is being written: the signatures are
/// final.
pub struct Authenticator;

/// What authentication finds out about a request.
pub enum Admission {
    /// The path is open to everybody.
    Exempt,
    Caller(Principal),
}

/// Why a request is refused with 401.
pub struct AuthError {
    pub error: &'static str,
    pub message: &'static str,
}

impl Authenticator {
    #[expect(clippy::unused_async, clippy::todo, reason = "placeholder")]
    pub async fn authenticate(&self, path: &str, headers: &http::HeaderMap) -> Result<Admission, AuthError> {
        let _ = (path, headers);
        todo!()
    }
}

#[cfg(test)]
impl Principal {
    pub(crate) fn for_test(subject: &str) -> Self {
        Self { subject: subject.into() }
    }
}
