//! The table of behaviours: what an executor does with a node, and what it
//! answers.
//!
//! | name | work | answer |
//! |---|---|---|
//! | `echo` | done | its result, with the inputs as outputs |
//! | `slow` | done after a while | its result |
//! | `late` | the request arrives late, and is done | its result |
//! | `fail` | fails | a failed result with an error of its own |
//! | `hang` | goes on until released or canceled | its result |
//! | `deaf` | goes on until released, whatever happens | its result |
//! | `garbage` | done | 200 with something that is not JSON |
//! | `other` | done | the result of another node |
//! | `running` | done | a result whose state is not terminal |
//! | `full` | done | a result with every member of the standard, nulls, and unknown members |
//! | `busy` | not started | 503 with an error envelope |
//! | `busy-once` | not started the first time | the same with `Retry-After`, then `echo` |
//! | `throttled` | not started | 429 with an error envelope and `Retry-After` |
//! | `mesh` | done | 503 from an intermediary, without an envelope |
//! | `mesh-429` | done | 429 from an intermediary |
//! | `mesh-wait` | done | 503 from an intermediary with `Retry-After` the first time, then `echo` |
//! | `proxy` | done | 502 from an intermediary, with HTML |
//! | `refuse` | not started | the connection is refused |
//! | `break-before` | not started | the connection breaks off |
//! | `break-after` | done | the connection breaks off |
//! | `break` | done | breaks off in the middle of the answer |
//! | `break-once` | done | the same the first time, then `echo` |
//! | `accept` | a composite's plan begins | accepted |
//! | `reject` | not started | not accepted, with a reason |
//! | `silent` | not started | not accepted, without a reason |
//! | `lost` | a composite's plan begins | `break` the first time, then `accept` |
//!
//! `accept`, `reject`, `silent` and `lost` are for composites; `hang` accepts a
//! composite and never works on it; all that does not concern a result is the
//! same for both.

/// What an executor does with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    Echo,
    Slow,
    Late,
    Fail,
    Hang,
    Deaf,
    Garbage,
    Other,
    Running,
    Full,
    Busy,
    BusyOnce,
    Throttled,
    Mesh,
    Mesh429,
    MeshWait,
    Proxy,
    Refuse,
    BreakBefore,
    BreakAfter,
    Break,
    BreakOnce,
    Accept,
    Reject,
    Silent,
    Lost,
}

/// One call of an executor, independent of how it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub work: Work,
    pub answer: Answer,
}

/// What becomes of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    NotStarted,
    Done,
    /// The work takes a while; how long is up to the world.
    DoneAfterAWhile,
    /// The request takes a while to arrive; how long is up to the world.
    DoneOnceArrived,
    Fails,
    UntilCanceledOrReleased,
    UntilReleased,
}

/// What the coordinator gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The node's own result.
    Result,
    ResultOfAnotherNode,
    ResultNotTerminal,
    ResultWithEveryMember,
    NotJson,
    Accepted,
    Rejected {
        reason: Option<&'static str>,
    },
    /// An error envelope of the executor itself.
    Envelope {
        status: u16,
        retry_after: Option<u64>,
    },
    /// The words of something between coordinator and executor.
    Intermediary {
        status: u16,
        retry_after: Option<u64>,
    },
    ConnectionRefused,
    ConnectionBroken,
    /// The connection breaks in the middle of the answer.
    AnswerBroken,
}

impl Behaviour {
    pub const ALL: [Self; 26] = [
        Self::Echo,
        Self::Slow,
        Self::Late,
        Self::Fail,
        Self::Hang,
        Self::Deaf,
        Self::Garbage,
        Self::Other,
        Self::Running,
        Self::Full,
        Self::Busy,
        Self::BusyOnce,
        Self::Throttled,
        Self::Mesh,
        Self::Mesh429,
        Self::MeshWait,
        Self::Proxy,
        Self::Refuse,
        Self::BreakBefore,
        Self::BreakAfter,
        Self::Break,
        Self::BreakOnce,
        Self::Accept,
        Self::Reject,
        Self::Silent,
        Self::Lost,
    ];

    /// The one spelling, in node types, inputs and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Slow => "slow",
            Self::Late => "late",
            Self::Fail => "fail",
            Self::Hang => "hang",
            Self::Deaf => "deaf",
            Self::Garbage => "garbage",
            Self::Other => "other",
            Self::Running => "running",
            Self::Full => "full",
            Self::Busy => "busy",
            Self::BusyOnce => "busy-once",
            Self::Throttled => "throttled",
            Self::Mesh => "mesh",
            Self::Mesh429 => "mesh-429",
            Self::MeshWait => "mesh-wait",
            Self::Proxy => "proxy",
            Self::Refuse => "refuse",
            Self::BreakBefore => "break-before",
            Self::BreakAfter => "break-after",
            Self::Break => "break",
            Self::BreakOnce => "break-once",
            Self::Accept => "accept",
            Self::Reject => "reject",
            Self::Silent => "silent",
            Self::Lost => "lost",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behaviour| behaviour.name() == name)
    }

    /// What happens to the first call for a node, or to a later one.
    pub fn course(self, is_first: bool) -> Course {
        let course = |work, answer| Course { work, answer };
        let then = |first: Course, later: Self| if is_first { first } else { later.course(false) };
        match self {
            Self::Echo => course(Work::Done, Answer::Result),
            Self::Slow => course(Work::DoneAfterAWhile, Answer::Result),
            Self::Late => course(Work::DoneOnceArrived, Answer::Result),
            Self::Fail => course(Work::Fails, Answer::Result),
            Self::Hang => course(Work::UntilCanceledOrReleased, Answer::Result),
            Self::Deaf => course(Work::UntilReleased, Answer::Result),
            Self::Garbage => course(Work::Done, Answer::NotJson),
            Self::Other => course(Work::Done, Answer::ResultOfAnotherNode),
            Self::Running => course(Work::Done, Answer::ResultNotTerminal),
            Self::Full => course(Work::Done, Answer::ResultWithEveryMember),
            Self::Busy => course(Work::NotStarted, Answer::Envelope { status: 503, retry_after: None }),
            Self::BusyOnce => then(
                course(Work::NotStarted, Answer::Envelope { status: 503, retry_after: Some(1) }),
                Self::Echo,
            ),
            Self::Throttled => {
                course(Work::NotStarted, Answer::Envelope { status: 429, retry_after: Some(1) })
            }
            Self::Mesh => course(Work::Done, Answer::Intermediary { status: 503, retry_after: None }),
            Self::Mesh429 => course(Work::Done, Answer::Intermediary { status: 429, retry_after: None }),
            Self::MeshWait => then(
                course(Work::Done, Answer::Intermediary { status: 503, retry_after: Some(1) }),
                Self::Echo,
            ),
            Self::Proxy => course(Work::Done, Answer::Intermediary { status: 502, retry_after: None }),
            Self::Refuse => course(Work::NotStarted, Answer::ConnectionRefused),
            Self::BreakBefore => course(Work::NotStarted, Answer::ConnectionBroken),
            Self::BreakAfter => course(Work::Done, Answer::ConnectionBroken),
            Self::Break => course(Work::Done, Answer::AnswerBroken),
            Self::BreakOnce => then(Self::Break.course(true), Self::Echo),
            Self::Accept => course(Work::Done, Answer::Accepted),
            Self::Reject => course(Work::NotStarted, Answer::Rejected { reason: Some("no room") }),
            Self::Silent => course(Work::NotStarted, Answer::Rejected { reason: None }),
            Self::Lost => then(Self::Break.course(true), Self::Accept),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_behaviour_has_one_name_and_is_in_the_table() {
        let names: BTreeSet<&str> = Behaviour::ALL.iter().map(|behaviour| behaviour.name()).collect();
        assert_eq!(names.len(), Behaviour::ALL.len());
        let table = include_str!("behaviour.rs");
        for behaviour in Behaviour::ALL {
            assert_eq!(Behaviour::named(behaviour.name()), Some(behaviour));
            assert!(table.contains(&format!("//! | `{}` |", behaviour.name())), "{behaviour:?}");
        }
        assert_eq!(Behaviour::named("unheard-of"), None);
    }

    #[test]
    fn later_calls_differ_only_where_the_name_says_once() {
        for behaviour in Behaviour::ALL {
            let differs = behaviour.course(true) != behaviour.course(false);
            let once = ["busy-once", "mesh-wait", "break-once", "lost"].contains(&behaviour.name());
            assert_eq!(differs, once, "{behaviour:?}");
        }
    }
}
