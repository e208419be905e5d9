//! The stores go away, refuse, or say nothing: runs go on, and in the end the
//! stores have all of it, once.

use jarvis_run_coordinator::types::{HealthStatus, Run, RunState};
use jarvis_stack::{Part, Profile};
use serde_json::json;

use crate::support::{Fault, Proxy, TestStack, echo_type, in_both_profiles, until};

in_both_profiles! {
    the_event_stream_is_stopped_in_the_middle_of_a_plan
    what_is_owed_to_a_stopped_event_stream_survives_a_crash
    the_run_store_fails_and_is_full
    the_run_store_does_what_it_is_told_but_never_says_so
}

async fn the_event_stream_is_stopped_in_the_middle_of_a_plan(profile: Profile) {
    let t = TestStack::beside(profile, &[Part::EventStream, Part::Coordinator], |same| same);
    let plan = t.coordinator.plan("echo one; sleep 0.5; echo three").await;
    t.executes(&plan.run_id, "jarvis.core.sleep");
    t.stop(Part::EventStream);

    succeeds(&t, &plan).await;
    // What begins without it is as good.
    let run = t.coordinator.run_start(&echo_type(), json!({"echo": "hello"})).await;
    succeeds(&t, &run).await;
    health_is(&t, HealthStatus::Degraded, "event_stream").await;

    t.start(Part::EventStream);
    for run in [&plan, &run] {
        t.copies_agree(&run.run_id).await;
    }
    health_is(&t, HealthStatus::Ok, "event_stream").await;
}

async fn what_is_owed_to_a_stopped_event_stream_survives_a_crash(profile: Profile) {
    let t = TestStack::beside(profile, &[Part::EventStream, Part::Coordinator], |same| same);
    let before = t.coordinator.run_start(&echo_type(), json!({"echo": "before"})).await;
    succeeds(&t, &before).await;
    t.stop(Part::EventStream);
    let run = t.coordinator.plan("echo one; echo two").await;
    succeeds(&t, &run).await;

    t.stop(Part::Coordinator);
    t.start(Part::EventStream);
    t.start(Part::Coordinator);
    for run in [&before, &run] {
        t.copies_agree(&run.run_id).await;
    }
}

async fn the_run_store_fails_and_is_full(profile: Profile) {
    let (t, proxy) = behind_a_proxy(profile);
    for status in [500, 507] {
        proxy.set(Fault::Status(status));
        let plan = t.coordinator.plan("echo one; echo two").await;
        succeeds(&t, &plan).await;
        // It is tried again.
        proxy.met(3);
        health_is(&t, HealthStatus::Degraded, "run_store").await;
        proxy.set(Fault::None);
        t.copies_agree(&plan.run_id).await;
    }
    health_is(&t, HealthStatus::Ok, "run_store").await;
}

async fn the_run_store_does_what_it_is_told_but_never_says_so(profile: Profile) {
    let (t, proxy) = behind_a_proxy(profile);
    proxy.set(Fault::Silence);
    let plan = t.coordinator.plan("echo one; echo two").await;
    succeeds(&t, &plan).await;
    // Given up, and sent again: what it has already.
    proxy.met(2);
    health_is(&t, HealthStatus::Degraded, "run_store").await;
    proxy.set(Fault::None);
    t.copies_agree(&plan.run_id).await;
    health_is(&t, HealthStatus::Ok, "run_store").await;
}

/// A coordinator that gets to its Run Store through a proxy only.
fn behind_a_proxy(profile: Profile) -> (TestStack, Proxy) {
    let mut proxy = None;
    let own = [Part::RunStore, Part::Coordinator];
    let t = TestStack::beside(profile, &own, |blueprint| {
        let proxy = proxy.insert(Proxy::before(&blueprint.direct_url(Part::RunStore)));
        let blueprint = blueprint.detour(Part::RunStore, &proxy.url);
        // Of a store that says nothing.
        blueprint.with(Part::Coordinator, "JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "1")
    });
    (t, proxy.expect("it was made"))
}

async fn succeeds(t: &TestStack, run: &Run) {
    let (run, ..) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
}

/// Waits until our health has this check in this status. Bad, it
/// makes the whole so.
async fn health_is(t: &TestStack, status: HealthStatus, check: &str) {
    until("the health", async || {
        let health = t.coordinator.client.health().await.expect("it answers").into_inner();
        let checks = health.checks.unwrap_or_default();
        let own = checks.iter().find(|known| known.name == check)?;
        (own.status == status && health.status >= status).then_some(())
    })
    .await;
}
