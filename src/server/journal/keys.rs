//! A secret that is replaced with the record of it, for the command `journal
//! rotate-key`.

use crate::{record::AuditRecord, time::Timestamp};

/// What is live while a secret is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveWork {
    /// The last deadline of the runs that are live, and so of all of their node runs.
    pub last_deadline: Option<Timestamp>,
    /// Composite node runs that are at their executor.
    pub composites: u64,
}

/// A secret that changes.
pub struct SecretChange<T> {
    pub value: Vec<u8>,
    /// The record of it.
    pub audit: AuditRecord,
    pub outcome: T,
}
