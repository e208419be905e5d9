//! What a failed call to a store says about the store and about the entry.

use crate::clients::{CallError, Failure, NotSent};

/// The store is well and rejects this content, or the call could not even be
/// encoded: other entries need not wait.
pub(super) fn is_about_content(error: &CallError) -> bool {
    matches!(error.status(), Some(400 | 409 | 413 | 422))
        || matches!(error.failure, Failure::NotSent(NotSent::Invalid { .. }))
}

/// The call may still take effect: it may have reached the store, or a proxy
/// before it.
pub(super) fn may_take_effect(error: &CallError) -> bool {
    matches!(error.failure, Failure::NoResponse { .. }) || matches!(error.status(), Some(502 | 504))
}

/// The store's message, in a line that contains no address.
pub(super) fn reason(error: &CallError) -> String {
    match error.status() {
        Some(status) => format!("{} ({status})", error.reason()),
        None => error.reason().into_owned(),
    }
}
