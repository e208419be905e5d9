//! A task that fails again and again, for the same outage: the log has one line when it
//! begins, and one when it is over.

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Streak(u64);

impl Streak {
    /// Counts a failure. Returns whether it is the first.
    pub(super) fn failed(&mut self) -> bool {
        self.0 += 1;
        self.0 == 1
    }

    /// Ends the streak. Returns how many failures there were, if there were any.
    pub(super) fn succeeded(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.0)).filter(|failures| *failures > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streak_has_a_first_failure_and_an_end() {
        let mut streak = Streak::default();
        assert_eq!(streak.succeeded(), None);
        assert_eq!([streak.failed(), streak.failed(), streak.failed()], [true, false, false]);
        assert_eq!((streak.succeeded(), streak.succeeded()), (Some(3), None));
        assert!(streak.failed());
    }
}
