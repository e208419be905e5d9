//! What each principal uses: its rate, its requests in progress, its open
//! streams.
//!
//! ```text
//!   principal ──keyed hash──▶ key ──┬──▶ in use: one entry while something is   (bounded by the global limits)
//!                                   └──▶ rates: the last 65,536 that called     (bounded by its capacity)
//! ```
//!
//! **Invariants.** Memory is bounded whatever the number of principals. A rate
//! that is forgotten begins with its whole burst; what is in use is never
//! forgotten. Without limits nothing is counted, and a principal is not even
//! hashed.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quick_cache::unsync::Cache;

use super::rate::{Bucket, Pace};
use crate::{
    auth::Principal,
    config::{PerPrincipal, Rate},
    http_server::treatment::Class,
};

/// The number of principals whose rates are known: some 5 MiB.
const RATES_KEPT: usize = 65_536;

/// A principal, by a hash with a key of this process: of constant size whatever
/// the token says, and no subject can be chosen to share another's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64);

/// The limits of each principal, and what is in use of them.
pub(super) struct Principals {
    limits: PerPrincipal,
    rates: Option<Rates>,
    keys: RandomState,
    in_use: Mutex<HashMap<Key, InUse>>,
}

#[derive(Default)]
struct InUse {
    requests: [usize; 3],
    streams: usize,
}

struct Rates {
    ordinary: Pace,
    reserve: Pace,
    /// The beginning of the buckets' clock.
    epoch: Instant,
    buckets: Mutex<Cache<Key, [Bucket; 3]>>,
}

/// Where a request is counted: the limit itself, or the reserve of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Account {
    Ordinary = 0,
    Reads = 1,
    Ends = 2,
}

/// What is counted as long as a [`Share`] lives.
#[derive(Clone, Copy)]
enum Counted {
    Request(Account),
    Stream,
}

/// A principal's part of the server, until dropped.
pub(in crate::server::http_server) struct Share {
    principals: Arc<Principals>,
    key: Key,
    counted: Counted,
}

/// The limit of a principal that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    Rate { limit: Rate, wait: Duration },
    Requests(usize),
    Streams(usize),
}

impl Account {
    /// The reserve of a class, if it has one.
    fn reserve_of(class: Class) -> Option<Self> {
        match class {
            Class::Read => Some(Self::Reads),
            Class::End => Some(Self::Ends),
            Class::Work | Class::Public | Class::Page | Class::Probe => None,
        }
    }
}

impl Principals {
    pub(super) fn new(limits: PerPrincipal) -> Arc<Self> {
        let rates = limits.rate.map(|rate| Rates {
            ordinary: Pace::of(rate),
            reserve: Pace::quarter_of(rate),
            epoch: Instant::now(),
            buckets: Mutex::new(Cache::new(RATES_KEPT)),
        });
        Arc::new(Self { limits, rates, keys: RandomState::new(), in_use: Mutex::default() })
    }

    /// Admits a request; `None` if principals have no limits.
    pub(super) fn request(
        self: &Arc<Self>,
        caller: &Principal,
        class: Class,
        now: Instant,
    ) -> Result<Option<Share>, Reached> {
        if self.limits.requests.is_none() && self.rates.is_none() {
            return Ok(None);
        }
        let key = self.key(caller);
        let share = self.limits.requests.map(|limit| self.count_request(key, class, limit)).transpose()?;
        if let (Some(rates), Some(limit)) = (&self.rates, self.limits.rate) {
            rates.admit(key, class, now).map_err(|wait| Reached::Rate { limit, wait })?;
        }
        Ok(share)
    }

    /// Admits an event stream; `None` if principals have no limit.
    pub(super) fn stream(self: &Arc<Self>, caller: &Principal) -> Result<Option<Share>, Reached> {
        let Some(limit) = self.limits.streams else { return Ok(None) };
        let key = self.key(caller);
        let mut in_use = self.in_use.lock();
        let streams = &mut in_use.entry(key).or_default().streams;
        if *streams >= limit {
            return Err(Reached::Streams(limit));
        }
        *streams += 1;
        Ok(Some(self.share(key, Counted::Stream)))
    }

    fn count_request(self: &Arc<Self>, key: Key, class: Class, limit: usize) -> Result<Share, Reached> {
        let mut in_use = self.in_use.lock();
        let requests = &mut in_use.entry(key).or_default().requests;
        let has_room = |account: &Account| {
            requests[*account as usize]
                < if *account == Account::Ordinary { limit } else { limit.div_ceil(4) }
        };
        let accounts = [Some(Account::Ordinary), Account::reserve_of(class)];
        let account = accounts.into_iter().flatten().find(has_room).ok_or(Reached::Requests(limit))?;
        requests[account as usize] += 1;
        Ok(self.share(key, Counted::Request(account)))
    }

    fn share(self: &Arc<Self>, key: Key, counted: Counted) -> Share {
        Share { principals: Arc::clone(self), key, counted }
    }

    /// An assignment token's subject is its NodeRun. All callers without a token
    /// are one principal.
    fn key(&self, caller: &Principal) -> Key {
        Key(self.keys.hash_one((caller.issuer(), caller.subject(), caller.client_id())))
    }

    #[cfg(test)]
    fn known(&self) -> (usize, usize) {
        let rates = self.rates.as_ref().map_or(0, |rates| rates.buckets.lock().len());
        (self.in_use.lock().len(), rates)
    }
}

impl Rates {
    fn admit(&self, key: Key, class: Class, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.epoch).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let mut cache = self.buckets.lock();
        let mut buckets = cache.get(&key).copied().unwrap_or_default();
        let ordinary = self.ordinary.admit(&mut buckets[Account::Ordinary as usize], now);
        let admitted = ordinary.or_else(|wait| match Account::reserve_of(class) {
            None => Err(wait),
            Some(reserve) => {
                let in_reserve = self.reserve.admit(&mut buckets[reserve as usize], now);
                in_reserve.map_err(|other| wait.min(other))
            }
        });
        if admitted.is_ok() {
            cache.insert(key, buckets);
        }
        admitted
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.principals.in_use.lock();
        let Some(in_use) = all.get_mut(&self.key) else { return };
        let counted = match self.counted {
            Counted::Request(account) => &mut in_use.requests[account as usize],
            Counted::Stream => &mut in_use.streams,
        };
        *counted = counted.saturating_sub(1);
        if in_use.streams == 0 && in_use.requests == [0; 3] {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principals(
        rate: Option<(u32, u32)>,
        requests: Option<usize>,
        streams: Option<usize>,
    ) -> Arc<Principals> {
        let rate = rate.map(|(per_second, burst)| Rate { per_second, burst });
        Principals::new(PerPrincipal { rate, requests, streams })
    }

    #[test]
    fn principal_at_its_limit_does_not_limit_others() {
        let principals = principals(None, Some(4), Some(1));
        let (busy, other) = (Principal::for_test("busy"), Principal::for_test("other"));
        let now = Instant::now();
        let mut held: Vec<_> = (0..4)
            .map(|_| principals.request(&busy, Class::Work, now).expect("room").expect("a share"))
            .collect();
        assert_eq!(principals.request(&busy, Class::Work, now).err(), Some(Reached::Requests(4)));
        assert!(principals.request(&other, Class::Work, now).is_ok());
        // Reads and what ends work have a quarter of their own each.
        for class in [Class::Read, Class::End] {
            held.push(principals.request(&busy, class, now).expect("a reserve").expect("a share"));
            assert_eq!(principals.request(&busy, class, now).err(), Some(Reached::Requests(4)));
        }
        let stream = principals.stream(&busy).expect("room");
        assert_eq!(principals.stream(&busy).err(), Some(Reached::Streams(1)));
        assert!(principals.stream(&other).is_ok());
        drop((held, stream));
        assert_eq!(principals.known(), (0, 0), "what is not in use is forgotten");
        assert!(principals.request(&busy, Class::Work, now).is_ok());
    }

    #[test]
    fn principal_at_its_rate_can_still_read_and_cancel() {
        let principals = principals(Some((4, 4)), None, None);
        let (busy, other, now) = (Principal::for_test("busy"), Principal::for_test("other"), Instant::now());
        let admitted = |class, now| principals.request(&busy, class, now).is_ok();
        assert_eq!((0..40).filter(|_| admitted(Class::Work, now)).count(), 4);
        for class in [Class::Read, Class::End] {
            assert_eq!((0..40).filter(|_| admitted(class, now)).count(), 1, "{class:?}");
        }
        let refused = principals.request(&busy, Class::Work, now).err().expect("a refusal");
        let Reached::Rate { limit, wait } = refused else { panic!("{refused:?}") };
        assert_eq!((limit.per_second, wait), (4, Duration::from_millis(250)));
        assert!(admitted(Class::Work, now + wait));
        assert!(principals.request(&other, Class::Work, now).is_ok());
    }

    #[test]
    fn any_number_of_principals_costs_bounded_memory() {
        let principals = principals(Some((1, 1)), Some(1), Some(1));
        let now = Instant::now();
        for number in 0..RATES_KEPT * 2 {
            let caller = Principal::for_test(&number.to_string());
            drop(principals.request(&caller, Class::Work, now).expect("its first request"));
        }
        let (in_use, rates) = principals.known();
        assert!(in_use == 0 && rates <= RATES_KEPT, "{in_use}, {rates}");
    }

    #[test]
    fn principals_without_limits_are_not_counted() {
        let (principals, caller) = (principals(None, None, None), Principal::for_test("me"));
        assert!(principals.request(&caller, Class::Work, Instant::now()).expect("no limit").is_none());
        assert!(principals.stream(&caller).expect("no limit").is_none());
        assert_eq!(principals.known(), (0, 0));
    }
}
