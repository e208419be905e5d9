//! `journal rotate-key`: assignment tokens are signed with a new key.
//!
//! ```text
//!   the keys ──one transaction──▶ + a new key, which signs; the old ones verify until their
//!                                 last token has expired, or are deleted (--revoke-old)
//! ```

use std::{io::Write, path::Path};

use super::MaintenanceError;
use crate::{
    auth::{Keyring, OldKeys, Rotated},
    journal::{ASSIGNMENT_KEYS, sqlite},
    record::{Actor, AuditObject, AuditRecord, AuditedOperation, OtherOperation},
    time::Timestamp,
    types::RandomIds,
};

pub(super) fn rotate_key(
    journal: &Path,
    old_keys: OldKeys,
    now: Timestamp,
    out: &mut dyn Write,
) -> Result<bool, MaintenanceError> {
    let rotate = |stored: Option<Vec<u8>>, live: sqlite::LiveWork| {
        let mut keyring = Keyring::decode(&stored.ok_or(MaintenanceError::NoKey)?)?;
        let rotated = keyring.rotate(&RandomIds, now, live.last_deadline, old_keys)?;
        let operation = AuditedOperation::Other(OtherOperation::RotateKey);
        let audit = AuditRecord::applied(now, Actor::CommandLine, operation, AuditObject::default())
            .with_detail(Some(format!("key {}, {} revoked", rotated.kid, rotated.revoked)));
        let outcome = (rotated, keyring.needed_until(), live);
        Ok::<_, MaintenanceError>(sqlite::SecretChange { value: keyring.encode(), audit, outcome })
    };
    let (rotated, needed_until, live) = sqlite::secret_change(journal, ASSIGNMENT_KEYS, rotate)?;
    let Rotated { kid, kept, revoked } = rotated;
    writeln!(out, "{}: new assignment tokens are signed with key {kid}", journal.display())?;
    if let Some(until) = needed_until {
        writeln!(out, "old keys that stay valid until their last token has expired, at {until}: {kept}")?;
    }
    if revoked > 0 {
        writeln!(out, "old keys deleted: {revoked}")?;
        writeln!(
            out,
            "running composites whose tokens are invalid now, so that they fail at their silence limit or deadline: {}",
            live.composites
        )?;
    }
    Ok(true)
}
