//! The members of a pool: their slots and breakers, and the choice among them.
//! Pure: callers pass `now`.

use std::collections::HashMap;

use crate::{
    resilience::{Breaker, CallHealth},
    time::Timestamp,
    types::RunId,
};

/// The maximum length of the error of a member, in bytes.
const ERROR_BYTES: usize = 500;

/// A member of a pool, by its place in the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::server::dispatch) struct MemberNumber(pub(in crate::server::dispatch) usize);

/// Where a node may go, and where it would rather not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server::dispatch) struct Wish {
    /// To this member only.
    pub(in crate::server::dispatch) only: Option<MemberNumber>,
    /// To this member only if no other has a slot.
    pub(in crate::server::dispatch) avoid: Option<MemberNumber>,
}

/// The load and the breaker of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server::dispatch) struct MemberLoad {
    pub(in crate::server::dispatch) in_flight: usize,
    pub(in crate::server::dispatch) breaker: Breaker,
    /// The last call that failed in a way that speaks against the member, and when.
    pub(in crate::server::dispatch) last_error: Option<(Timestamp, String)>,
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server::dispatch) struct Grant {
    pub(super) member: MemberNumber,
    /// Its call is the trial of a half-open breaker.
    trial: bool,
}

/// What a job gets now, if it need not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Grant(MemberNumber),
    Refuse { until: Timestamp },
}

pub(super) struct Members {
    members: Vec<Member>,
    slots_each: usize,
    /// Of equally loaded members, the next in turn.
    next: usize,
}

#[derive(Default)]
struct Member {
    in_flight: usize,
    held: HashMap<RunId, usize>,
    breaker: Breaker,
    last_error: Option<(Timestamp, String)>,
}

impl Member {
    fn admits(&self, now: Timestamp) -> bool {
        self.breaker.open_until().is_none_or(|until| until <= now)
    }
}

impl Members {
    pub(super) fn new(members: usize, slots_each: usize) -> Self {
        let members = std::iter::repeat_with(Member::default).take(members).collect();
        Self { members, slots_each, next: 0 }
    }

    /// Decides about a job of this run: a slot of the least loaded member that
    /// admits calls, those to be avoided last, and the next in rotation of equally
    /// loaded ones. `None`: it has to wait.
    pub(super) fn judge(&self, run: &RunId, wish: Wish, now: Timestamp) -> Option<Verdict> {
        let count = self.members.len();
        let wished = || self.numbered().filter(|(number, _)| wish.only.is_none_or(|only| only == *number));
        let has_room = |member: &Member| self.has_room(member, run);
        let best = wished().filter(|(_, member)| has_room(member) && member.admits(now)).min_by_key(
            |(number, member)| {
                let turn = (number.0 + count - self.next) % count;
                (wish.avoid == Some(*number), member.in_flight, turn)
            },
        );
        if let Some((number, _)) = best {
            return Some(Verdict::Grant(number));
        }
        let waits_for_a_healthy_member = wished().any(|(_, member)| member.admits(now));
        if waits_for_a_healthy_member || !wished().any(|(_, member)| has_room(member)) {
            return None;
        }
        let reopens = wished().filter_map(|(_, member)| member.breaker.open_until()).min();
        reopens.map(|until| Verdict::Refuse { until })
    }

    /// Whether any waiter might get a turn: spares a look at each.
    pub(super) fn may_serve(&self, now: Timestamp) -> bool {
        let free = |member: &Member| member.in_flight < self.slots_each;
        let none_admits = || !self.members.iter().any(|member| member.admits(now));
        self.members.iter().any(|member| free(member) && member.admits(now))
            || (none_admits() && self.members.iter().any(free))
    }

    /// Takes the slot of a verdict.
    pub(super) fn grant(&mut self, number: MemberNumber, run: &RunId, now: Timestamp) -> Grant {
        self.next = (number.0 + 1) % self.members.len().max(1);
        let Some(member) = self.members.get_mut(number.0) else {
            return Grant { member: number, trial: false };
        };
        member.in_flight += 1;
        *member.held.entry(run.clone()).or_default() += 1;
        // It admits the call: that is what the verdict says.
        let _admitted = member.breaker.admit(now);
        Grant { member: number, trial: member.breaker.open_until().is_some() }
    }

    pub(super) fn release(&mut self, run: &RunId, grant: &Grant, reported: bool, now: Timestamp) {
        let Some(member) = self.members.get_mut(grant.member.0) else { return };
        member.in_flight -= 1;
        if let Some(held) = member.held.get_mut(run) {
            *held -= 1;
            if *held == 0 {
                member.held.remove(run);
            }
        }
        if grant.trial && !reported {
            member.breaker.dropped(now);
        }
    }

    pub(super) fn report(&mut self, number: MemberNumber, health: CallHealth, now: Timestamp) {
        if let Some(member) = self.members.get_mut(number.0) {
            member.breaker.report(health, now);
        }
    }

    /// Keeps the error of a failed call, cut to a bounded length.
    pub(super) fn failed(&mut self, number: MemberNumber, mut error: String, now: Timestamp) {
        let end = (0..=ERROR_BYTES.min(error.len())).rev().find(|end| error.is_char_boundary(*end));
        error.truncate(end.unwrap_or(0));
        if let Some(member) = self.members.get_mut(number.0) {
            member.last_error = Some((now, error));
        }
    }

    pub(super) fn slots_each(&self) -> usize {
        self.slots_each
    }

    pub(super) fn loads(&self) -> Vec<MemberLoad> {
        let load = |member: &Member| MemberLoad {
            in_flight: member.in_flight,
            breaker: member.breaker,
            last_error: member.last_error.clone(),
        };
        self.members.iter().map(load).collect()
    }

    /// The number of runs that hold slots, of all members.
    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        self.members.iter().map(|member| member.held.len()).sum()
    }

    fn has_room(&self, member: &Member, run: &RunId) -> bool {
        let per_run = (self.slots_each - self.slots_each / 4).max(1);
        let held = member.held.get(run).copied().unwrap_or_default();
        member.in_flight < self.slots_each && held < per_run
    }

    fn numbered(&self) -> impl Iterator<Item = (MemberNumber, &Member)> {
        self.members.iter().enumerate().map(|(number, member)| (MemberNumber(number), member))
    }
}
