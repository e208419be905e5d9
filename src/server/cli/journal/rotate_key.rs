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
        Ok::<_, MaintenanceError>((keyring.encode(), (rotated, keyring.needed_until(), live)))
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
