//! A record of the audit trail as a row.

use super::encoding::to_json;
use crate::{journal::JournalError, record::AuditRecord, types::RunId};

/// A record ready to be written.
pub(in crate::server::journal) struct AuditRow {
    pub(in crate::server::journal) at: i64,
    pub(in crate::server::journal) run_id: Option<RunId>,
    pub(in crate::server::journal) body: String,
}

impl AuditRow {
    pub(in crate::server::journal) fn encode(record: &AuditRecord) -> Result<Self, JournalError> {
        Ok(Self { at: record.at.as_micros(), run_id: record.object.run_id.clone(), body: to_json(record)? })
    }
}
