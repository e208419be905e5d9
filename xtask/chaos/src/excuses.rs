//! What no database can prevent among replicas: a process that stood still between the
//! commit of an attempt and its call sends that call when it goes on, also if another
//! replica has ended the node meanwhile. And one that lives hears of that after half a
//! second, if the database serves.

use std::time::{Duration, Instant};

use crate::coordinator::Life;

/// How long a call may be under way after another replica has ended its node.
const UNHEARD: Duration = Duration::from_secs(2);
/// How long the connections need after the database serves again.
const AGAIN: Duration = Duration::from_secs(6);

pub(super) struct Excuses {
    /// From when to when the database did not serve.
    pub(super) disturbed: Vec<[Instant; 2]>,
}

impl Excuses {
    /// Whether a process may have sent a call so late after a cancel was answered.
    pub(super) fn cover(&self, life: &Life, canceled: Instant, arrived: Instant) -> bool {
        let meets = |[from, to]: &[Instant; 2], after: Duration| *from <= arrived && *to + after >= canceled;
        let end = life.ended.map(|(at, _)| at);
        let stood_still = life.frozen.iter().any(|[from, to]| {
            // Of one that was killed when it was frozen, only the beginning is known.
            let to = if from == to { end.unwrap_or(*to) } else { *to };
            meets(&[*from, to], UNHEARD)
        });
        arrived.saturating_duration_since(canceled) <= UNHEARD
            || stood_still
            || self.disturbed.iter().any(|disturbed| meets(disturbed, AGAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_call_needs_a_process_or_a_database_that_stood_still() {
        let zero = Instant::now();
        let at = |seconds: u64| zero + Duration::from_secs(seconds);
        let mut life = Life::new(0, zero);
        let mut excuses = Excuses { disturbed: vec![[at(100), at(103)]] };
        assert!(excuses.cover(&life, at(10), at(11)), "the news are not there yet");
        assert!(!excuses.cover(&life, at(10), at(20)));
        life.frozen.push([at(9), at(19)]);
        assert!(excuses.cover(&life, at(10), at(20)));
        assert!(!excuses.cover(&life, at(30), at(35)));
        assert!(excuses.cover(&life, at(99), at(104)));
        excuses.disturbed.clear();
        assert!(!excuses.cover(&life, at(99), at(104)));
    }
}
