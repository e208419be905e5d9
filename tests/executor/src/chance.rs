//! Chance from a seed: the same seed makes the same draws.

use std::time::Duration;

/// SplitMix64: short, and good enough to choose what happens.
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The chance of one of several parties with the same seed: each draws the
    /// same, however their threads take turns.
    pub fn of_party(seed: u64, name: &str) -> Self {
        // FNV-1a: names that differ a little give unrelated sequences.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::new(seed ^ hash)
    }

    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit`, exclusive.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.draw() % limit.max(1)
    }

    pub fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// From `from` milliseconds to `to`, exclusive.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64) as usize;
        &from[at]
    }

    /// One of these, each with its weight.
    pub fn pick_weighted<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let mut drawn = self.below(of.iter().map(|(weight, _)| weight).sum());
        let mut chosen = of[0].1;
        for (weight, item) in of {
            chosen = *item;
            match drawn.checked_sub(*weight) {
                Some(rest) => drawn = rest,
                None => break,
            }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_seed_and_party_only() {
        let draw = |seed, name| {
            let mut chance = Chance::of_party(seed, name);
            (0..20).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "a"), draw(7, "a"));
        assert_ne!(draw(7, "a"), draw(7, "b"));
        assert_ne!(draw(7, "a"), draw(8, "a"));
    }

    #[test]
    fn items_are_picked_by_their_weight() {
        let mut chance = Chance::new(1);
        let picks: Vec<char> =
            (0..1000).map(|_| chance.pick_weighted(&[(1, 'a'), (0, 'b'), (9, 'c')])).collect();
        let count = |wanted| picks.iter().filter(|pick| **pick == wanted).count();
        assert!(count('a') > 50 && count('a') < 200, "{}", count('a'));
        assert_eq!((count('b'), count('a') + count('c')), (0, 1000));
    }
}
