//! Nodes that are tried now, and cancels with a reason.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{ROOT, RUN, World, call_failed, child};
use crate::{
    engine::{self, CancelNotification, Work},
    record::{AttemptOutcome, Job, Operation},
    types::{NodeRunId, RunId},
};

impl World {
    /// Whether the node waits for a time, and is due now.
    fn wake(&mut self, node: &str, parked: bool) -> bool {
        let head = self.node(node).head();
        self.wait(Duration::from_millis(1));
        self.apply(engine::node_wake(head, parked, "try it", self.cx_of_caller(Operation::WakeNodeRun)))
    }
}

/// A composite with a child that waits for a retry.
fn backing_off() -> World {
    let mut world = World::with_child(&Value::Null);
    world.begin("a");
    world.finish("a", 1, call_failed(Work::NotStarted));
    world
}

#[test]
fn node_that_backs_off_is_due_now_and_gets_nothing_else() {
    let mut world = backing_off();
    let before = world.node("a").clone();
    assert!(before.wake.as_ref().is_some_and(|wake| wake.at > world.now));
    assert!(world.wake("a", false));
    let mut woken = world.node("a").clone();
    let wake = woken.wake.clone().expect("a wake-up");
    assert_eq!((wake.job, wake.at, wake.claimed_by), (Job::Dispatch, world.now, None));
    assert_eq!(wake.tries, before.wake.as_ref().map_or(0, |wake| wake.tries));
    (woken.wake, woken.version) = (before.wake.clone(), before.version);
    assert_eq!(woken, before, "nothing else changes");
    let record = world.audit.last().expect("a record");
    assert_eq!((record.operation.as_str(), record.detail()), ("wake_node_run", Some("try it")));
    assert_eq!(record.object.node_run_id, Some(NodeRunId::new("a")));
    let audited = world.audit.len();
    assert!(!world.wake("a", false), "it is due");
    assert_eq!(world.audit.len(), audited);
}

#[test]
fn node_is_woken_by_what_it_waits_for() {
    let mut world = World::with_gate();
    world.begin("a");
    world.create(ROOT, &[child("b"), child("c")]).expect("children");
    world.begin("b");
    world.set_aside("c");
    for (node, job) in [("a", Job::Approval), ("b", Job::Deadline), ("c", Job::SetAside)] {
        world
            .nodes
            .get_mut(&NodeRunId::new(node))
            .and_then(|node| node.wake.as_mut())
            .expect("a wake-up")
            .claimed_by = None;
        assert_eq!(world.job(node), Some(job));
        assert!(!world.wake(node, false), "{node}: {job:?} is no time to wait for");
        assert!(world.wake(node, true), "{node}: it is parked");
    }
    // Its executor is to be notified of its end again.
    world.cancel(RUN);
    world.notify("b", Some(Duration::from_secs(60)));
    assert_eq!(world.job("b"), Some(Job::CancelExecutor));
    assert!(world.wake("b", false));
    // What a worker has is under way.
    let mut world = backing_off();
    let wake = world.nodes.get_mut(&NodeRunId::new("a")).and_then(|node| node.wake.as_mut());
    wake.expect("a wake-up").claimed_by = Some("worker".into());
    assert!(!world.wake("a", true));
}

#[test]
fn cancel_notes_its_reason_and_given_up_executor() {
    let mut world = World::with_child(&Value::Null);
    world.begin("a");
    let run = world.runs[&RunId::new(RUN)].clone();
    world.wait(Duration::from_millis(1));
    let live = world.live(run.id(), None);
    let cx = world.cx_of_caller(Operation::CancelRunWithReport);
    let decision = engine::run_cancel(run, live, Some("wrong customer"), cx);
    let canceled = world.apply(decision);
    let shown = canceled.extensions.as_ref().and_then(|extensions| extensions.get(engine::CANCELED));
    let by = json!({"kind": "caller", "subject": "caller"});
    assert_eq!(shown, Some(json!({"by": by, "reason": "wrong customer", "at": world.now})));
    let detail = world.audit.last().and_then(|record| record.detail().map(str::to_owned));
    assert_eq!(detail.as_deref(), Some("live node runs: 2: wrong customer"));
    world.notified("a", CancelNotification::Abandoned("é".repeat(400)));
    let fenced = world.attempts.last().expect("an attempt");
    assert_eq!(fenced.outcome, AttemptOutcome::Fenced);
    assert_eq!(fenced.because.as_deref(), Some(&*"é".repeat(250)), "it is cut");
}
