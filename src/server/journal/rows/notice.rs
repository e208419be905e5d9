//! A notice for webhooks as a row.

use super::encoding::to_json;
use crate::{journal::JournalError, record::Notice};

/// A notice ready to be written.
pub(in crate::server::journal) struct NoticeRow {
    pub(in crate::server::journal) body: String,
}

impl NoticeRow {
    pub(in crate::server::journal) fn encode(notice: &Notice) -> Result<Self, JournalError> {
        Ok(Self { body: to_json(notice)? })
    }
}
