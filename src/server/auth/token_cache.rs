//! The cache of verified tokens: the next request with the same token costs a
//! hash and a lookup.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::{keys::VerifyingKey, principal::Principal};
use crate::time::Timestamp;

/// The key of a token in the cache. The token itself is a secret and is not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }
}

pub(super) struct CachedToken {
    pub(super) principal: Principal,
    pub(super) key: Arc<VerifyingKey>,
    /// `exp` plus the clock skew, by the wall clock: the token is invalid from then
    /// on.
    pub(super) expires: Timestamp,
}

pub(super) struct TokenCache {
    capacity: usize,
    tokens: Mutex<Tokens>,
}

/// Both maps hold the same tokens.
#[derive(Default)]
struct Tokens {
    by_hash: HashMap<TokenHash, CachedToken>,
    by_expiry: BTreeSet<(Timestamp, TokenHash)>,
}

impl TokenCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, tokens: Mutex::default() }
    }

    /// The principal of a token, unless it has expired or its key was withdrawn.
    pub(super) fn get(&self, hash: &TokenHash, now: Timestamp) -> Option<Principal> {
        let mut tokens = self.tokens.lock();
        let found = tokens.by_hash.get(hash)?;
        if now < found.expires && !found.key.is_withdrawn() {
            return Some(found.principal.clone());
        }
        tokens.remove(hash);
        None
    }

    /// Adds a token. A full cache drops the token that expires first: an expired
    /// one, or the one that saves the least.
    pub(super) fn insert(&self, hash: TokenHash, token: CachedToken) {
        let mut tokens = self.tokens.lock();
        tokens.remove(&hash);
        while tokens.by_hash.len() >= self.capacity {
            let Some((_, first)) = tokens.by_expiry.pop_first() else { return };
            tokens.by_hash.remove(&first);
        }
        tokens.by_expiry.insert((token.expires, hash));
        tokens.by_hash.insert(hash, token);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let tokens = self.tokens.lock();
        assert_eq!(tokens.by_hash.len(), tokens.by_expiry.len());
        tokens.by_hash.len()
    }
}

impl Tokens {
    fn remove(&mut self, hash: &TokenHash) {
        if let Some(token) = self.by_hash.remove(hash) {
            self.by_expiry.remove(&(token.expires, *hash));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::{keys::KeySet, test_support::EC};

    #[test]
    fn full_cache_drops_the_first_token_to_expire() {
        let set = KeySet::parse(json!({"keys": [EC.jwk("k")]}).to_string().as_bytes()).expect("a key");
        let key = set.get("k").expect("a key");
        let at = Timestamp::from_micros;
        let hash = |n: i64| TokenHash::of(&n.to_string());
        let cache = TokenCache::new(3);
        // Expiring at 50, 40, ..., 10, and the first of them a second time.
        for n in [5, 4, 3, 2, 1, 5] {
            let principal = Principal::for_test(&n.to_string());
            cache.insert(hash(n), CachedToken { principal, key: Arc::clone(&key), expires: at(n * 10) });
            assert!(cache.len() <= 3);
        }
        let known = |n: i64, now: i64| cache.get(&hash(n), at(now)).map(|who| who.subject().to_owned());
        assert_eq!(cache.len(), 3);
        assert_eq!(known(5, 49).as_deref(), Some("5"));
        assert_eq!(known(3, 0), None, "dropped");
        assert_eq!(known(5, 50), None, "expired");
        assert_eq!(cache.len(), 2, "and dropped");
        assert_eq!(known(4, 0).as_deref(), Some("4"));
        drop(
            KeySet::parse(json!({"keys": [EC.jwk("other")]}).to_string().as_bytes())
                .expect("a key")
                .replacing(&set),
        );
        assert_eq!(known(4, 0), None, "its key is gone");
    }
}
