//! The causes of an error, for logs.

use std::error::Error;

/// An error with its causes. The message of reqwest alone leaves out what
/// matters: "connection refused".
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
