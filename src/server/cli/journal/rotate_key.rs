//! `journal rotate-key`: assignment tokens are signed with a new key.
//!
//! ```text
//!   the keys ──one transaction──▶ + a new key, which signs; the old ones verify until their
//!                                 last token has expired, or are deleted (--revoke-old)
//! ```

use std::{fmt, io::Write, path::Path};

use super::MaintenanceError;
use crate::{
    auth::{Keyring, OldKeys, Rotated},
    journal::{ASSIGNMENT_KEYS, LiveWork, SecretChange, sqlite},
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
    let rotate = |stored, live| rotation(stored, live, old_keys, now);
    let changed = sqlite::secret_change(journal, ASSIGNMENT_KEYS, rotate)?;
    print(&journal.display(), changed, out)
}

/// What is printed of a rotation: the keys, until when old ones are needed, what is live.
pub(super) type Rotation = (Rotated, Option<Timestamp>, LiveWork);

/// The keys as they are stored after a rotation.
pub(super) fn rotation(
    stored: Option<Vec<u8>>,
    live: LiveWork,
    old_keys: OldKeys,
    now: Timestamp,
) -> Result<SecretChange<Rotation>, MaintenanceError> {
    let mut keyring = Keyring::decode(&stored.ok_or(MaintenanceError::NoKey)?)?;
    let rotated = keyring.rotate(&RandomIds, now, live.last_deadline, old_keys)?;
    let operation = AuditedOperation::Other(OtherOperation::RotateKey);
    let audit = AuditRecord::applied(now, Actor::CommandLine, operation, AuditObject::default())
        .with_detail(Some(format!("key {}, {} revoked", rotated.kid, rotated.revoked)));
    let outcome = (rotated, keyring.needed_until(), live);
    Ok(SecretChange { value: keyring.encode(), audit, outcome })
}

pub(super) fn print(
    journal: &dyn fmt::Display,
    (rotated, needed_until, live): Rotation,
    out: &mut dyn Write,
) -> Result<bool, MaintenanceError> {
    let Rotated { kid, kept, revoked } = rotated;
    writeln!(out, "{journal}: new assignment tokens are signed with key {kid}")?;
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
