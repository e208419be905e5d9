//! The checks of dispatch: one per executor, `work`, and `outbox` if the
//! JARVIS stores are not configured.
//!
//! ```text
//!   sweep ── set_executor, set_work ──▶ DispatchStatus ── checks ──▶ report
//! ```
//!
//! The sweep reports from time to time, and health repeats it: counting reads
//! much of the journal, and anyone may ask for health.

use std::collections::BTreeMap;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use crate::{
    journal::Counts,
    time::Timestamp,
    types::{HealthCheck, JsonObject},
};

/// The name of an open circuit breaker.
const BREAKER_OPEN: &str = "open";

/// The latest report of the sweep.
#[derive(Default)]
pub struct DispatchStatus(Mutex<Reported>);

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
struct Work {
    counts: Counts,
    in_hand: usize,
    loads: Vec<ExecutorLoad>,
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
    /// Of these: they wait for a slot.
    pub(crate) waiting: usize,
}

impl DispatchStatus {
    pub(crate) fn set_executor(&self, name: &'static str, members: Vec<MemberReport>) {
        self.reported().executors.insert(name, members);
    }

    pub(crate) fn set_work(&self, counts: Counts, in_hand: usize, loads: Vec<ExecutorLoad>) {
        self.reported().work = Some(Work { counts, in_hand, loads });
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
        self.reported().work.as_ref().map(|work| work.counts)
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

    pub fn checks(&self) -> Vec<HealthCheck> {
        let reported = self.reported();
        let executors = reported.executors.iter().map(|(name, members)| executor_check(name, members));
        let work = reported.work.iter().map(Work::check);
        let outbox = reported.work.iter().filter(|_| reported.outbox_without_stores);
        executors.chain(work).chain(outbox.map(|work| kept_outbox_check(&work.counts))).collect()
    }

    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.0.lock()
    }
}

impl Work {
    /// The check has numbers only; `journal check` names the records.
    fn check(&self) -> HealthCheck {
        let Self { counts, in_hand, loads } = self;
        let Counts { runs_live, nodes_live, wakes_due, parked, approvals, without_wake_up, .. } = *counts;
        let full = loads.iter().find(|load| load.room == 0);
        let trouble = match (without_wake_up, parked, full) {
            (0, 0, None) => None,
            (0, 0, Some(full)) => {
                let ExecutorLoad { executor, in_hand, room: _, waiting: _ } = full;
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
            .map(|ExecutorLoad { executor, in_hand, room, waiting: _ }| {
                (*executor, json!({"in_hand": in_hand, "room": room}))
            })
            .collect();
        let details = json!({
            "runs_live": runs_live, "node_runs_live": nodes_live, "in_hand": in_hand, "due": wakes_due,
            "parked": parked, "approvals": approvals, "without_wake_up": without_wake_up, "executors": of_executors,
        });
        HealthCheck::new("work", trouble, Some(JsonObject::of(&details)))
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

    fn member(name: Option<&str>, troubled: bool) -> MemberReport {
        let breaker = if troubled { "open" } else { "closed" };
        let name = name.map(str::to_owned);
        MemberReport { name, breaker, troubled, in_flight: 3, slots: 4, open_until: None, last_error: None }
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
        assert_eq!(status.checks(), []);
        let summary = |status: &DispatchStatus| {
            let checks = status.checks();
            checks.into_iter().map(|check| (check.name, check.status, check.message)).collect::<Vec<_>>()
        };
        status.set_executor("atomic_executor", vec![member(None, false)]);
        let load = |room| ExecutorLoad { executor: "atomic_executor", in_hand: 8, room, waiting: 0 };
        status.set_work(Counts { runs_live: 2, ..Counts::default() }, 1, vec![load(1)]);
        let well = [("atomic_executor", HealthStatus::Ok), ("work", HealthStatus::Ok)];
        assert_eq!(summary(&status), well.map(|(name, status)| (name.to_owned(), status, None)));
        let details = status.checks().pop().and_then(|check| check.details).expect("details");
        assert_eq!((details.value("runs_live"), details.value("in_hand")), (json!(2), json!(1)));
        assert_eq!(details.value("executors"), json!({"atomic_executor": {"in_hand": 8, "room": 1}}));
    }

    #[test]
    fn trouble_of_dispatch_degrades() {
        let status = DispatchStatus::default();
        let load = ExecutorLoad { executor: "atomic_executor", in_hand: 8, room: 0, waiting: 0 };
        let degraded = |status: &DispatchStatus| {
            status
                .checks()
                .into_iter()
                .map(|check| {
                    assert_eq!(check.status, HealthStatus::Degraded, "{check:?}");
                    check.message.expect("a message")
                })
                .collect::<Vec<_>>()
                .join("; ")
        };
        status.set_work(Counts::default(), 8, vec![load]);
        assert!(degraded(&status).contains("atomic_executor is full with 8 nodes"));
        status.set_work(Counts { without_wake_up: 1, ..Counts::default() }, 0, Vec::new());
        assert!(degraded(&status).contains("1 records have no wake-up"));
        status.set_executor("atomic_executor", vec![member(None, true)]);
        status.set_work(Counts { parked: 3, ..Counts::default() }, 0, Vec::new());
        let messages = degraded(&status);
        assert!(messages.contains("breaker is open") && messages.contains("3 wake-ups"), "{messages}");
        status.set_outbox_without_stores();
        assert!(degraded(&status).contains("stores are not configured"));
    }
}
