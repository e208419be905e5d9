//! Outages of the stores: they are down, refuse, or do not answer. Runs continue, and in
//! the end the stores have every change once.

use jarvis_run_coordinator::types::{HealthStatus, Run, RunState};
use jarvis_stack::{Part, Profile};
use serde_json::json;

use crate::support::{Fault, Proxy, TestStack, echo_type, in_both_profiles, until};

in_both_profiles! {
    event_stream_outage_during_a_plan_loses_no_event
    outbox_for_a_stopped_event_stream_survives_a_crash
    failing_and_full_run_store_catches_up
    run_store_that_never_answers_gets_each_change_once
}

async fn event_stream_outage_during_a_plan_loses_no_event(profile: Profile) {
    let t = TestStack::beside(profile, &[Part::EventStream, Part::Coordinator], |same| same);
    let plan = t.coordinator.plan("echo one; sleep 0.5; echo three").await;
    t.executes(&plan.run_id, "jarvis.core.sleep");
    t.stop(Part::EventStream);

    succeeds(&t, &plan).await;
    // A run that starts during the outage succeeds, too.
    let run = t.coordinator.run_start(&echo_type(), json!({"echo": "hello"})).await;
    succeeds(&t, &run).await;
    health_is(&t, HealthStatus::Degraded, "event_stream").await;

    t.start(Part::EventStream);
    for run in [&plan, &run] {
        t.copies_agree(&run.run_id).await;
    }
    health_is(&t, HealthStatus::Ok, "event_stream").await;
}

async fn outbox_for_a_stopped_event_stream_survives_a_crash(profile: Profile) {
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

async fn failing_and_full_run_store_catches_up(profile: Profile) {
    let (t, proxy) = behind_a_proxy(profile);
    for status in [500, 507] {
        proxy.set(Fault::Status(status));
        let plan = t.coordinator.plan("echo one; echo two").await;
        succeeds(&t, &plan).await;
        // The refused call is retried.
        proxy.met(3);
        health_is(&t, HealthStatus::Degraded, "run_store").await;
        proxy.set(Fault::None);
        t.copies_agree(&plan.run_id).await;
    }
    health_is(&t, HealthStatus::Ok, "run_store").await;
}

async fn run_store_that_never_answers_gets_each_change_once(profile: Profile) {
    let (t, proxy) = behind_a_proxy(profile);
    proxy.set(Fault::Silence);
    let plan = t.coordinator.plan("echo one; echo two").await;
    succeeds(&t, &plan).await;
    // The call is given up and sent again, although the store has it already.
    proxy.met(2);
    health_is(&t, HealthStatus::Degraded, "run_store").await;
    proxy.set(Fault::None);
    t.copies_agree(&plan.run_id).await;
    health_is(&t, HealthStatus::Ok, "run_store").await;
}

/// A stack whose coordinator reaches its Run Store through a proxy.
fn behind_a_proxy(profile: Profile) -> (TestStack, Proxy) {
    let mut proxy = None;
    let own = [Part::RunStore, Part::Coordinator];
    let t = TestStack::beside(profile, &own, |blueprint| {
        let proxy = proxy.insert(Proxy::before(&blueprint.direct_url(Part::RunStore)));
        let blueprint = blueprint.detour(Part::RunStore, &proxy.url);
        // The time limit of calls to a silent store.
        blueprint.with(Part::Coordinator, "JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", "1")
    });
    (t, proxy.expect("the proxy"))
}

async fn succeeds(t: &TestStack, run: &Run) {
    let (run, ..) = t.coordinator.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
}

/// Waits until a health check has this status. A degraded check degrades the whole.
async fn health_is(t: &TestStack, status: HealthStatus, check: &str) {
    until("the health check", async || {
        let health = t.coordinator.client.health().await.expect("it answers").into_inner();
        let checks = health.checks.unwrap_or_default();
        let own = checks.iter().find(|known| known.name == check)?;
        (own.status == status && health.status >= status).then_some(())
    })
    .await;
}
