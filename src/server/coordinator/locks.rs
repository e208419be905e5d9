//! One lock a key, for as long as somebody holds or wants it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// KeyedLocks by key. An unused key costs nothing.
pub(super) struct KeyedLocks<K> {
    held: Mutex<HashMap<K, Arc<AsyncMutex<()>>>>,
}

/// A turn, waited for or had: until dropped.
pub(super) struct Held<'l, K: Hash + Eq> {
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
    /// Waits for its turn; turns come in the order of asking.
    pub(super) async fn lock(&self, key: &K) -> Held<'_, K> {
        // Made before waiting: one who gives up takes its entry along. (The
        // mutex it waits at is dropped before this is.)
        let mut turn = Held { locks: self, key: key.clone(), guard: None };
        let mutex = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(held.entry(key.clone()).or_default())
        };
        turn.guard = Some(mutex.lock_owned().await);
        turn
    }
}

impl<K: Hash + Eq> Drop for Held<'_, K> {
    fn drop(&mut self) {
        let mut held = self.locks.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.guard = None;
        // Whoever waits has cloned the mutex under the same outer lock.
        if held.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            held.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_held_by_one_and_forgotten_when_free() {
        let locks = KeyedLocks::default();
        let first = locks.lock(&"a").await;
        let _other = locks.lock(&"b").await;
        assert!(futures::poll!(std::pin::pin!(locks.lock(&"a"))).is_pending());
        drop(first);
        let _second = locks.lock(&"a").await;
        assert_eq!(locks.held.lock().expect("not poisoned").len(), 2);
        drop(_second);
        assert_eq!(locks.held.lock().expect("not poisoned").len(), 1);
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_leaves_no_entry_behind() {
        let locks = KeyedLocks::default();
        let entries = || locks.held.lock().expect("not poisoned").len();
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
