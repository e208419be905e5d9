//! What the registry has answered a moment ago. A request that names one type a hundred
//! times, and requests that name it at the same time, cost one question.
//!
//! | answer | counts |
//! |---|---|
//! | the type; there is no such type; the type is refused | for [`FRESH`], and for all that waited for it |
//! | it does not answer, or refuses the credentials | for those that waited for it only |
//!
//! A failure is not kept, because it may have passed: callers that do not retry would be
//! refused for it. But those that waited must not wait for the next time-out, and the next.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{Key, Known, NoFacts};
use crate::time::Timestamp;

/// How long an answer counts. A type that is published is found that much later.
pub(super) const FRESH: Duration = Duration::from_secs(2);

/// The most answers that are remembered. They are emptied when they are full.
const ANSWERS: usize = 1000;

type Answer = Result<Option<Arc<Known>>, NoFacts>;

/// A moment in the order of the answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked(u64);

#[derive(Default)]
pub(super) struct Answers {
    now: Asked,
    last: HashMap<Key, Answered>,
}

struct Answered {
    at: Timestamp,
    order: Asked,
    answer: Answer,
}

impl Answers {
    /// Now, for who begins to wait for an answer.
    pub(super) fn asked(&self) -> Asked {
        self.now
    }

    /// The answer about a type, if it counts for who waits for it since `asked`.
    pub(super) fn get(&self, key: &Key, asked: Asked, now: Timestamp) -> Option<Answer> {
        let Answered { at, order, answer } = self.last.get(key)?;
        let is_fresh = *at <= now && now < *at + FRESH;
        let counts = match answer {
            Ok(_) | Err(NoFacts::Refused(_)) => is_fresh || *order > asked,
            Err(NoFacts::Unavailable(_) | NoFacts::Forbidden(_)) => *order > asked,
        };
        counts.then(|| answer.clone())
    }

    pub(super) fn put(&mut self, key: Key, answer: Answer, at: Timestamp) {
        // Almost all of them are old then.
        if self.last.len() >= ANSWERS {
            self.last.clear();
        }
        self.now.0 += 1;
        self.last.insert(key, Answered { at, order: self.now, answer });
    }
}
