//! Who is calling (contract §19).

pub mod settings;
pub use settings::{AuthMode, AuthSettings};

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
