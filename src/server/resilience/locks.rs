//! One lock per key. A key that is neither held nor waited for costs nothing.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Locks by key, granted in the order of the calls.
pub struct KeyedLocks<K> {
    held: Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
}

/// A lock that is held or waited for, until dropped.
pub struct Held<'l, K: Hash + Eq> {
    locks: &'l KeyedLocks<K>,
    key: K,
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone> KeyedLocks<K> {
    /// Waits for the lock of this key.
    pub async fn lock(&self, key: &K) -> Held<'_, K> {
        // Made before waiting, so that a cancelled waiter removes its entry. (The
        // mutex that it waits for is dropped before this.)
        let mut turn = Held { locks: self, key: key.clone(), guard: None };
        let mutex = {
            let mut held = self.held.lock();
            Arc::clone(held.entry(key.clone()).or_default())
        };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }
}

impl<K: Hash + Eq> Drop for Held<'_, K> {
    fn drop(&mut self) {
        let mut held = self.locks.held.lock();
        self.guard = None;
        // Every waiter has cloned the mutex under the same outer lock.
        if held.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            held.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn key_has_a_single_holder_and_is_forgotten_when_free() {
        let locks = KeyedLocks::default();
        let first = locks.lock(&"a").await;
        let _other = locks.lock(&"b").await;
        assert!(futures::poll!(std::pin::pin!(locks.lock(&"a"))).is_pending());
        drop(first);
        let _second = locks.lock(&"a").await;
        assert_eq!(locks.held.lock().len(), 2);
        drop(_second);
        assert_eq!(locks.held.lock().len(), 1);
    }

    #[tokio::test]
    async fn cancelled_waiter_leaves_no_entry_behind() {
        let locks = KeyedLocks::default();
        let entries = || locks.held.lock().len();
        for holder_goes_first in [true, false] {
            let holder = locks.lock(&"a").await;
            let mut waiter = Box::pin(locks.lock(&"a"));
            assert!(futures::poll!(waiter.as_mut()).is_pending());
            if holder_goes_first {
                drop(holder);
                drop(waiter);
            } else {
                drop(waiter);
                assert_eq!(entries(), 1, "the key is held");
                drop(holder);
            }
            assert_eq!(entries(), 0, "the holder goes first: {holder_goes_first}");
        }
    }
}
