//! The checks of dispatch: one per executor, `work`, and `outbox` if the
//! JARVIS stores are not configured.
//!
//! ```text
//!   sweep ── set_executor, set_work ──▶ DispatchStatus ── checks ──▶ report
//! ```
//!
//! The sweep reports from time to time, and health repeats it: counting reads
//! much of the journal, and anyone may ask for health.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::{
    journal::{Counts, Load},
    time::Timestamp,
    types::{HealthCheck, JsonObject},
};

/// The cause of a wait that an operator wants.
const DISPATCH_OFF: &str = "dispatch_off";

/// The name of an open circuit breaker.
const BREAKER_OPEN: &str = "open";

/// The latest report of the sweep.
#[derive(Default)]
pub struct DispatchStatus {
    reported: Mutex<Reported>,
    /// A node that waits longer is trouble; `None`: never.
    wait_limit: Option<Duration>,
}

#[derive(Default)]
struct Reported {
    /// By name of the executor.
    executors: BTreeMap<&'static str, Vec<MemberReport>>,
    work: Option<Work>,
    /// The outbox has entries for JARVIS stores that are not configured.
    outbox_without_stores: bool,
}

/// The work in the journal, the part of it that is in memory, and that part by
/// executor.
pub(crate) struct Work {
    pub(crate) counts: Counts,
    pub(crate) in_hand: usize,
    pub(crate) loads: Vec<ExecutorLoad>,
    pub(crate) longest_wait: Option<LongestWait>,
}

/// The node that has waited the longest for its executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongestWait {
    pub(crate) executor: &'static str,
    /// The code of the cause, as `explain` has it.
    pub(crate) cause: &'static str,
    pub(crate) since: Timestamp,
}

/// One member of the pool of an executor.
#[derive(Clone, Debug)]
pub(crate) struct MemberReport {
    /// `None`: the executor is no pool.
    pub(crate) name: Option<String>,
    /// The state of its circuit breaker.
    pub(crate) breaker: &'static str,
    /// Its circuit breaker is or was open lately.
    pub(crate) troubled: bool,
    pub(crate) in_flight: usize,
    pub(crate) slots: usize,
    /// How often it was left alone.
    pub(crate) outages: u64,
    /// When its circuit breaker may admit a call again, unless it is closed.
    pub(crate) open_until: Option<Timestamp>,
    /// The last call that failed in a way that speaks against it, and when.
    pub(crate) last_error: Option<(Timestamp, String)>,
}

/// The nodes of one executor that are in memory, and how many more fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExecutorLoad {
    pub(crate) executor: &'static str,
    pub(crate) in_hand: usize,
    pub(crate) room: usize,
    /// Concurrent calls that are allowed and made.
    pub(crate) slots: usize,
    pub(crate) in_use: usize,
    /// Of those in memory: they wait for a slot.
    pub(crate) waiting: usize,
}

impl DispatchStatus {
    pub fn new(wait_limit: Option<Duration>) -> Self {
        Self { reported: Mutex::default(), wait_limit }
    }

    pub(crate) fn set_executor(&self, name: &'static str, members: Vec<MemberReport>) {
        self.reported().executors.insert(name, members);
    }

    pub(crate) fn set_work(&self, work: Work) {
        self.reported().work = Some(work);
    }

    /// Records that outbox entries are kept although no store is configured.
    pub fn set_outbox_without_stores(&self) {
        self.reported().outbox_without_stores = true;
    }

    /// Whether all circuit breakers of an executor are open, and whether no more of
    /// its nodes fit into memory, as the last sweep found.
    pub(crate) fn obstacles(&self, executor: &str) -> (bool, bool) {
        let reported = self.reported();
        let members = reported.executors.get(executor).map_or(&[][..], Vec::as_slice);
        let is_open = !members.is_empty() && members.iter().all(|member| member.breaker == BREAKER_OPEN);
        let loads = reported.work.as_ref().map_or(&[][..], |work| work.loads.as_slice());
        (is_open, loads.iter().any(|load| load.executor == executor && load.room == 0))
    }

    /// The latest counts of the journal; `None` before the first.
    pub fn counts(&self) -> Option<Counts> {
        self.reported().work.as_ref().map(|work| work.counts.clone())
    }

    /// The members of each executor, as last reported.
    pub(crate) fn members(&self) -> Vec<(&'static str, Vec<MemberReport>)> {
        self.reported().executors.iter().map(|(name, members)| (*name, members.clone())).collect()
    }

    /// The wake-ups in hand, and the load of each executor, as last reported.
    pub(crate) fn in_hand(&self) -> (usize, Vec<ExecutorLoad>) {
        let reported = self.reported();
        reported.work.as_ref().map(|work| (work.in_hand, work.loads.clone())).unwrap_or_default()
    }

    /// Since when the node waits that waits the longest.
    pub(crate) fn waiting_since(&self) -> Option<Timestamp> {
        Some(self.reported().work.as_ref()?.longest_wait?.since)
    }

    pub fn checks(&self, now: Timestamp) -> Vec<HealthCheck> {
        let reported = self.reported();
        let executors = reported.executors.iter().map(|(name, members)| executor_check(name, members));
        let work = reported.work.iter().map(|work| work.check(self.wait_limit, now));
        let outbox = reported.work.iter().filter(|_| reported.outbox_without_stores);
        executors.chain(work).chain(outbox.map(|work| kept_outbox_check(&work.counts))).collect()
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.reported.lock()
    }
}

impl Work {
    /// The check has numbers only; `journal check` names the records.
    fn check(&self, wait_limit: Option<Duration>, now: Timestamp) -> HealthCheck {
        let Self { counts, in_hand, loads, longest_wait } = self;
        let Counts { runs_live, nodes_live, wakes_due, parked, approvals, without_wake_up, .. } = *counts;
        let Load { waiting, executing, executing_since, waiting_first: _ } = &counts.load;
        let full = loads.iter().find(|load| load.room == 0);
        let trouble = match (without_wake_up, parked, full) {
            (0, 0, None) => self.waits_too_long(wait_limit, now),
            (0, 0, Some(full)) => {
                let ExecutorLoad { executor, in_hand, .. } = full;
                Some(format!(
                    "The queue of {executor} is full with {in_hand} nodes: further nodes stay in the journal"
                ))
            }
            (0, parked, _) => {
                Some(format!("{parked} wake-ups cannot be processed and are parked: see `journal check`"))
            }
            (stuck, ..) => Some(format!("{stuck} records have no wake-up: see `journal check`")),
        };
        let of_executors: BTreeMap<&str, Value> = loads
            .iter()
            .map(|ExecutorLoad { executor, in_hand, room, slots, in_use, waiting }| {
                let facts = json!({
                    "in_hand": in_hand, "room": room, "slots": slots, "slots_in_use": in_use,
                    "waiting_for_slot": waiting,
                });
                (*executor, facts)
            })
            .collect();
        let seconds = |since: Timestamp| now.since(since).as_secs();
        let waits = longest_wait.map(
            |wait| json!({"executor": wait.executor, "cause": wait.cause, "seconds": seconds(wait.since)}),
        );
        let details = json!({
            "waiting": waiting, "longest_wait": waits,
            "executing": executing, "longest_execution_seconds": executing_since.map(seconds),
            "runs_live": runs_live, "node_runs_live": nodes_live, "in_hand": in_hand, "due": wakes_due,
            "parked": parked, "approvals": approvals, "without_wake_up": without_wake_up, "executors": of_executors,
        });
        HealthCheck::new("work", trouble, Some(JsonObject::of(&details)))
    }

    fn waits_too_long(&self, limit: Option<Duration>, now: Timestamp) -> Option<String> {
        let LongestWait { executor, cause, since } = self.longest_wait?;
        let waited = now.since(since);
        // Switched off on purpose.
        let is_wanted = cause == DISPATCH_OFF;
        limit.filter(|limit| waited > *limit && !is_wanted)?;
        let waiting = self.counts.load.waiting;
        let slots = self.loads.iter().find(|load| load.executor == executor);
        let slots = slots
            .map_or_else(String::new, |load| format!(", {} of {} slots are in use", load.in_use, load.slots));
        let seconds = waited.as_secs();
        Some(format!("{waiting} node runs wait, the oldest for {seconds} s, at {executor}: {cause}{slots}"))
    }
}

/// The check of an executor: of a pool, each member is in the details.
fn executor_check(name: &str, members: &[MemberReport]) -> HealthCheck {
    let troubled = members.iter().filter(|member| member.troubled).count();
    let trouble = match troubled {
        0 => None,
        all if all == members.len() => Some("The circuit breaker is open: nodes are queued or fail".into()),
        some => {
            let all = members.len();
            Some(format!(
                "The circuit breaker of {some} of {all} members is open: the others take their nodes"
            ))
        }
    };
    let details: Vec<Value> = members
        .iter()
        .filter_map(|MemberReport { name, breaker, in_flight, slots, .. }| {
            let name = name.as_ref()?;
            Some(json!({"name": name, "breaker": breaker, "in_flight": in_flight, "slots": slots}))
        })
        .collect();
    let details = (!details.is_empty()).then(|| JsonObject::of(&json!({ "members": details })));
    HealthCheck::new(name, trouble, details)
}

/// Has the name of the outbox's own check, which exists only with stores.
fn kept_outbox_check(counts: &Counts) -> HealthCheck {
    let trouble = "The JARVIS stores are not configured: outbox entries are kept until they are";
    let details = json!({ "entries": counts.outbox });
    HealthCheck::new("outbox", Some(trouble.into()), Some(JsonObject::of(&details)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::HealthStatus;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn load_with(room: usize) -> ExecutorLoad {
        ExecutorLoad { executor: "atomic_executor", in_hand: 8, room, slots: 2, in_use: 2, waiting: 6 }
    }

    fn work(counts: Counts, loads: Vec<ExecutorLoad>) -> Work {
        Work { counts, in_hand: 1, loads, longest_wait: None }
    }

    fn member(name: Option<&str>, troubled: bool) -> MemberReport {
        MemberReport {
            name: name.map(str::to_owned),
            breaker: if troubled { "open" } else { "closed" },
            troubled,
            in_flight: 3,
            slots: 4,
            outages: 0,
            open_until: None,
            last_error: None,
        }
    }

    #[test]
    fn pool_degrades_with_the_number_of_troubled_members() {
        let single = executor_check("atomic_executor", &[member(None, true)]);
        assert_eq!((single.status, single.details), (HealthStatus::Degraded, None));
        let well = executor_check("atomic_executor", &[member(Some("a"), false), member(Some("b"), false)]);
        assert_eq!((well.status, well.message), (HealthStatus::Ok, None));
        let some = executor_check("atomic_executor", &[member(Some("a"), true), member(Some("b"), false)]);
        assert_eq!(some.status, HealthStatus::Degraded);
        let message = some.message.expect("a message");
        assert!(message.contains("of 1 of 2 members is open"), "{message}");
        let members = some.details.expect("details").value("members");
        assert_eq!(members[0], json!({"name": "a", "breaker": "open", "in_flight": 3, "slots": 4}));
        let all = executor_check("atomic_executor", &[member(Some("a"), true), member(Some("b"), true)]);
        let message = all.message.expect("a message");
        assert!(message.contains("nodes are queued or fail"), "{message}");
    }

    #[test]
    fn dispatch_status_repeats_the_last_report() {
        let status = DispatchStatus::default();
        assert_eq!(status.checks(at(0)), []);
        let summary = |status: &DispatchStatus| {
            let checks = status.checks(at(0));
            checks.into_iter().map(|check| (check.name, check.status, check.message)).collect::<Vec<_>>()
        };
        status.set_executor("atomic_executor", vec![member(None, false)]);
        status.set_work(work(Counts { runs_live: 2, ..Counts::default() }, vec![load_with(1)]));
        let well = [("atomic_executor", HealthStatus::Ok), ("work", HealthStatus::Ok)];
        assert_eq!(summary(&status), well.map(|(name, status)| (name.to_owned(), status, None)));
        let details = status.checks(at(0)).pop().and_then(|check| check.details).expect("details");
        assert_eq!((details.value("runs_live"), details.value("in_hand")), (json!(2), json!(1)));
        assert_eq!(
            details.value("executors"),
            json!({"atomic_executor": {"in_hand": 8, "room": 1, "slots": 2, "slots_in_use": 2, "waiting_for_slot": 6}})
        );
    }

    #[test]
    fn trouble_of_dispatch_degrades() {
        let status = DispatchStatus::default();
        let degraded = |status: &DispatchStatus| {
            status
                .checks(at(0))
                .into_iter()
                .map(|check| {
                    assert_eq!(check.status, HealthStatus::Degraded, "{check:?}");
                    check.message.expect("a message")
                })
                .collect::<Vec<_>>()
                .join("; ")
        };
        status.set_work(work(Counts::default(), vec![load_with(0)]));
        assert!(degraded(&status).contains("atomic_executor is full with 8 nodes"));
        status.set_work(work(Counts { without_wake_up: 1, ..Counts::default() }, Vec::new()));
        assert!(degraded(&status).contains("1 records have no wake-up"));
        status.set_executor("atomic_executor", vec![member(None, true)]);
        status.set_work(work(Counts { parked: 3, ..Counts::default() }, Vec::new()));
        let messages = degraded(&status);
        assert!(messages.contains("breaker is open") && messages.contains("3 wake-ups"), "{messages}");
        status.set_outbox_without_stores();
        assert!(degraded(&status).contains("stores are not configured"));
    }

    #[test]
    fn work_that_waits_too_long_degrades_and_says_where() {
        let status = DispatchStatus::new(Some(Duration::from_secs(300)));
        let load = Load { waiting: 200, executing: 2, executing_since: Some(at(0)), ..Load::default() };
        let counts = Counts { load, ..Counts::default() };
        let waits = |cause, since| Work {
            longest_wait: Some(LongestWait { executor: "atomic_executor", cause, since: at(since) }),
            ..work(counts.clone(), vec![load_with(5)])
        };
        let checked = |now| status.checks(at(now)).remove(0);
        status.set_work(waits("waiting_for_slot", 100));
        assert_eq!((checked(400).status, checked(400).message), (HealthStatus::Ok, None));
        let late = checked(401);
        assert_eq!(late.status, HealthStatus::Degraded);
        let says = "200 node runs wait, the oldest for 301 s, at atomic_executor: waiting_for_slot, \
                    2 of 2 slots are in use";
        assert_eq!(late.message.as_deref(), Some(says));
        let details = late.details.expect("details");
        let waits_as = json!({"executor": "atomic_executor", "cause": "waiting_for_slot", "seconds": 301});
        assert_eq!(details.value("longest_wait"), waits_as);
        assert_eq!(details.value("longest_execution_seconds"), json!(401));
        status.set_work(waits(DISPATCH_OFF, 0));
        assert_eq!(checked(10_000).status, HealthStatus::Ok, "an operator wants it");
        let patient = DispatchStatus::default();
        patient.set_work(waits("waiting_for_slot", 0));
        assert_eq!(patient.checks(at(1_000_000))[0].status, HealthStatus::Ok, "without a limit");
    }
}
