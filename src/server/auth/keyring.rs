//! The signing keys of assignment tokens, as the journal keeps them (contract §9.4).
//!
//! ```text
//!   made ──▶ signs ──rotated──▶ verifies only ──its last token has expired──▶ deleted
//!                         └─────revoked──────────────────────────────────────▶ deleted
//! ```
//!
//! As one secret of the journal, so that a rotation is one change of one value. The
//! first key of older programs is the 32 bytes of the key alone: it has no id, and
//! neither have the tokens that it signed.
//!
//! **Invariants.** The newest key signs; there is always one. A key is deleted no
//! earlier than the last token that it signed expires, unless it is revoked. The
//! number of keys is bounded.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{time::Timestamp, types::IdSource};

/// The length of the hash, as RFC 7518 requires.
pub(super) const KEY_BYTES: usize = 32;

/// The maximum number of keys. A day of rotating each hour, with a day's deadlines.
const KEYS_MAX: usize = 32;

/// How long a key verifies after its retirement, at least: an executor that has
/// missed the answer to its completion asks again when its node has ended.
const KEPT_MIN: Duration = Duration::from_secs(600);

/// The keys, oldest first.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyring {
    older: Vec<RetiredKey>,
    signing: Key,
}

/// A key. Not `Debug`: it must not get into a log.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Goes into the header of each token. `None`: the first key of an older program.
    pub(super) kid: Option<String>,
    pub(super) bytes: [u8; KEY_BYTES],
    created_at: Option<Timestamp>,
}

/// A key that signs no more.
#[derive(Clone, PartialEq, Eq)]
struct RetiredKey {
    key: Key,
    retired_at: Timestamp,
    /// When the last token that it signed expires.
    needed_until: Timestamp,
}

/// What becomes of the keys before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldKeys {
    /// They verify until their last token has expired.
    Keep,
    /// They are deleted: their tokens are invalid at once.
    Revoke,
}

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The id of the new key.
    pub kid: String,
    /// The number of older keys that still verify.
    pub kept: usize,
    /// The number of keys that were revoked.
    pub revoked: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    #[error("the keys of assignment tokens cannot be read")]
    Unreadable,
    #[error(
        "{KEYS_MAX} keys are in use: rotate again when the server has deleted some that have expired, or revoke them"
    )]
    TooMany,
}

/// The stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    needed_until: Option<Timestamp>,
}

impl Keyring {
    /// A random key, the first of its journal.
    pub fn fresh(ids: &dyn IdSource, now: Timestamp) -> Self {
        Self { older: Vec::new(), signing: Key::fresh(ids, now) }
    }

    pub fn decode(stored: &[u8]) -> Result<Self, KeyringError> {
        if let Ok(bytes) = <[u8; KEY_BYTES]>::try_from(stored) {
            return Ok(Self { older: Vec::new(), signing: Key { kid: None, bytes, created_at: None } });
        }
        let unreadable = KeyringError::Unreadable;
        let mut stored: Vec<StoredKey> = serde_json::from_slice(stored).map_err(|_| unreadable)?;
        let signing = stored.pop().ok_or(unreadable)?;
        if stored.len() >= KEYS_MAX {
            return Err(unreadable);
        }
        let older: Option<Vec<RetiredKey>> = stored.into_iter().map(StoredKey::retired).collect();
        Ok(Self { older: older.ok_or(unreadable)?, signing: signing.key().ok_or(unreadable)? })
    }

    pub fn encode(&self) -> Vec<u8> {
        let older = self.older.iter().map(|RetiredKey { key, retired_at, needed_until }| StoredKey {
            retired_at: Some(*retired_at),
            needed_until: Some(*needed_until),
            ..StoredKey::of(key)
        });
        let stored: Vec<StoredKey> = older.chain([StoredKey::of(&self.signing)]).collect();
        // Texts and times: this cannot fail.
        serde_json::to_vec(&stored).unwrap_or_default()
    }

    /// The key that signs, and that verifies what it signed.
    pub(super) fn signing(&self) -> &Key {
        &self.signing
    }

    /// All keys that verify.
    pub(super) fn verifying(&self) -> impl Iterator<Item = &Key> {
        self.older.iter().map(|old| &old.key).chain([&self.signing])
    }

    /// Signs with a new key from now on. `last_deadline`: that of the last node run
    /// that may have a token by now, if there is any.
    pub fn rotate(
        &mut self,
        ids: &dyn IdSource,
        now: Timestamp,
        last_deadline: Option<Timestamp>,
        old_keys: OldKeys,
    ) -> Result<Rotated, KeyringError> {
        let (older, revoked) = match old_keys {
            OldKeys::Revoke => (Vec::new(), self.older.len() + 1),
            OldKeys::Keep => {
                let retired = RetiredKey {
                    key: self.signing.clone(),
                    retired_at: now,
                    needed_until: last_deadline.map_or(now, expiry_of).max(now + KEPT_MIN),
                };
                let older: Vec<RetiredKey> = self.older.iter().cloned().chain([retired]).collect();
                if older.len() >= KEYS_MAX {
                    return Err(KeyringError::TooMany);
                }
                (older, 0)
            }
        };
        let signing = Key::fresh(ids, now);
        let kid = signing.kid.clone().unwrap_or_default();
        *self = Self { older, signing };
        Ok(Rotated { kid, kept: self.older.len(), revoked })
    }

    /// When the last of the older keys is not needed any more.
    pub fn needed_until(&self) -> Option<Timestamp> {
        self.older.iter().map(|old| old.needed_until).max()
    }

    /// Deletes the keys whose tokens have all expired. Returns how many.
    pub fn expire(&mut self, now: Timestamp, skew: Duration) -> usize {
        let before = self.older.len();
        self.older.retain(|old| !old.is_over(now, skew));
        before - self.older.len()
    }
}

/// When a token for a node with this deadline expires: its time is in whole
/// seconds, rounded up.
fn expiry_of(deadline: Timestamp) -> Timestamp {
    deadline + Duration::from_secs(1)
}

impl RetiredKey {
    fn is_over(&self, now: Timestamp, skew: Duration) -> bool {
        self.needed_until + skew < now
    }
}

impl Key {
    /// Random: two random ids have 244 random bits.
    fn fresh(ids: &dyn IdSource, now: Timestamp) -> Self {
        let bytes = Sha256::digest([ids.fresh(), ids.fresh()].concat()).into();
        Self { kid: Some(ids.fresh()), bytes, created_at: Some(now) }
    }
}

impl StoredKey {
    fn of(key: &Key) -> Self {
        let Key { kid, bytes, created_at } = key;
        Self {
            kid: kid.clone(),
            key: BASE64_STANDARD.encode(bytes),
            created_at: *created_at,
            retired_at: None,
            needed_until: None,
        }
    }

    fn key(self) -> Option<Key> {
        let bytes = BASE64_STANDARD.decode(self.key).ok()?;
        Some(Key { kid: self.kid, bytes: bytes.try_into().ok()?, created_at: self.created_at })
    }

    fn retired(self) -> Option<RetiredKey> {
        let (retired_at, needed_until) = (self.retired_at?, self.needed_until?);
        Some(RetiredKey { key: self.key()?, retired_at, needed_until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::RandomIds;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn kids(keyring: &Keyring) -> Vec<Option<String>> {
        keyring.verifying().map(|key| key.kid.clone()).collect()
    }

    #[test]
    fn fresh_keys_differ() {
        let (one, other) = (Keyring::fresh(&RandomIds, NOW), Keyring::fresh(&RandomIds, NOW));
        assert_ne!(one.signing.bytes, other.signing.bytes);
        assert_ne!(one.signing.kid, other.signing.kid);
    }

    #[test]
    fn keyring_is_read_as_it_was_stored() {
        let mut keyring = Keyring::decode(&[7; KEY_BYTES]).expect("the key of an older program");
        assert_eq!(kids(&keyring), [None]);
        for hours in 0..3 {
            let read = Keyring::decode(&keyring.encode()).expect("readable");
            assert!(read == keyring, "{hours}");
            keyring
                .rotate(&RandomIds, NOW + HOUR * hours, Some(NOW + HOUR * 9), OldKeys::Keep)
                .expect("room");
        }
        assert_eq!(keyring.older.len(), 3);
    }

    #[test]
    fn damaged_keyring_is_not_read() {
        let keyring = String::from_utf8(Keyring::fresh(&RandomIds, NOW).encode()).expect("text");
        let twice = format!("[{0},{0}]", keyring.trim_matches(['[', ']']));
        let many = format!("[{}]", vec!["{\"key\":\"\"}"; 1000].join(","));
        for damaged in ["", "[]", "{}", "[{}]", "[{\"key\":\"AAAA\"}]", &twice, &many, &keyring[1..]] {
            assert!(Keyring::decode(damaged.as_bytes()) == Err(KeyringError::Unreadable), "{damaged}");
        }
    }

    #[test]
    fn retired_key_is_kept_until_its_tokens_expire() {
        let mut keyring = Keyring::decode(&[7; KEY_BYTES]).expect("a key");
        let rotated = keyring.rotate(&RandomIds, NOW, Some(NOW + HOUR), OldKeys::Keep).expect("room");
        assert_eq!((rotated.kept, rotated.revoked), (1, 0));
        assert_eq!(kids(&keyring), [None, Some(rotated.kid)]);
        assert_eq!(keyring.needed_until(), Some(NOW + HOUR + Duration::from_secs(1)));
        let skew = Duration::from_secs(60);
        assert_eq!(keyring.expire(NOW + HOUR + Duration::from_secs(61), skew), 0);
        assert_eq!(keyring.expire(NOW + HOUR + Duration::from_secs(62), skew), 1);
        assert_eq!((kids(&keyring).len(), keyring.needed_until()), (1, None));
    }

    #[test]
    fn revoked_keys_are_deleted_at_once() {
        let mut keyring = Keyring::fresh(&RandomIds, NOW);
        keyring.rotate(&RandomIds, NOW, Some(NOW + HOUR), OldKeys::Keep).expect("room");
        let rotated = keyring.rotate(&RandomIds, NOW, Some(NOW + HOUR), OldKeys::Revoke).expect("room");
        assert_eq!((rotated.kept, rotated.revoked), (0, 2));
        assert_eq!(kids(&keyring), [Some(rotated.kid)]);
    }

    #[test]
    fn number_of_keys_is_bounded() {
        let mut keyring = Keyring::fresh(&RandomIds, NOW);
        let mut rotate = |now, old_keys| {
            let rotated = keyring.rotate(&RandomIds, now, Some(NOW + HOUR), old_keys);
            let length = Keyring::decode(&keyring.encode()).expect("readable").older.len();
            (rotated.map(|rotated| rotated.kept), length)
        };
        for kept in 1..KEYS_MAX {
            assert_eq!(rotate(NOW, OldKeys::Keep), (Ok(kept), kept));
        }
        // Nothing is lost by a rotation that is refused.
        assert_eq!(rotate(NOW, OldKeys::Keep), (Err(KeyringError::TooMany), KEYS_MAX - 1));
        assert_eq!(rotate(NOW, OldKeys::Keep), (Err(KeyringError::TooMany), KEYS_MAX - 1));
        assert_eq!(rotate(NOW, OldKeys::Revoke), (Ok(0), 0));
        assert_eq!(rotate(NOW, OldKeys::Keep), (Ok(1), 1));
    }
}
