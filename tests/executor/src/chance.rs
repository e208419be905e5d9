//! Chance, from a seed. Each part of the chaos has dice of its own, so that it
//! draws the same for the same seed, however the threads take turns.

use std::time::Duration;

pub(super) struct Dice {
    state: u64,
}

impl Dice {
    /// The dice of whoever bears this name.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        // FNV-1a: names that differ a little give other sequences altogether.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self { state: seed ^ hash }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0, 1, … `count - 1`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// So many milliseconds, or anything in between.
    pub(super) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most.saturating_sub(least) + 1))
    }

    /// One of these; each has its share of the chance.
    pub(super) fn pick<T: Copy>(&mut self, of: &[(u64, T)]) -> T {
        let mut drawn = self.below(of.iter().map(|(share, _)| share).sum());
        let mut chosen = of[0].1;
        for (share, item) in of {
            chosen = *item;
            match drawn.checked_sub(*share) {
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
    fn the_same_seed_and_name_draw_the_same_and_others_do_not() {
        let draw = |seed, name| {
            let mut dice = Dice::new(seed, name);
            (0..20).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "a"), draw(7, "a"));
        assert_ne!(draw(7, "a"), draw(7, "b"));
        assert_ne!(draw(7, "a"), draw(8, "a"));
    }

    #[test]
    fn everything_with_a_share_is_picked_and_nothing_else() {
        let mut dice = Dice::new(1, "picks");
        let picks: Vec<char> = (0..1000).map(|_| dice.pick(&[(1, 'a'), (0, 'b'), (9, 'c')])).collect();
        let count = |wanted| picks.iter().filter(|pick| **pick == wanted).count();
        assert!(count('a') > 50 && count('a') < 200, "{}", count('a'));
        assert_eq!((count('b'), count('a') + count('c')), (0, 1000));
    }
}
