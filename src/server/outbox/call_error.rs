//! What a failed call to a store says about the store and about the entry.

use crate::clients::CallError;

/// The store is well and rejects this content, or the call could not even be
/// encoded: other entries need not wait.
pub(super) fn is_about_content(error: &CallError) -> bool {
    matches!(error.status, Some(400 | 409 | 413 | 422)) || error.never_sent && !error.retryable
}

/// The call may still take effect: it may have reached the store, or a proxy
/// before it.
pub(super) fn may_take_effect(error: &CallError) -> bool {
    !error.never_sent && matches!(error.status, None | Some(502 | 504))
}

/// The store's message, in a line that contains no address.
pub(super) fn reason(error: &CallError) -> String {
    let message = error.details.text("error").unwrap_or_else(|| error.message.clone());
    match error.status {
        Some(status) => format!("{message} ({status})"),
        None => message,
    }
}
