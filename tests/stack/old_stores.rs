//! The Run Store, Event Stream and Artifact Store of 0.3.5: the same API, with older
//! models of its content.

use jarvis_run_coordinator::types::RunState;
use jarvis_stack::{Part, Profile};
use serde_json::json;

use crate::support::{TestStack, completion_error, echo_type, in_both_profiles, old_stores};

in_both_profiles! {
    stores_of_0_3_5_receive_every_change
}

async fn stores_of_0_3_5_receive_every_change(profile: Profile) {
    let own = [Part::RunStore, Part::EventStream, Part::ArtifactStore, Part::Coordinator];
    let t = TestStack::beside(profile, &own, |blueprint| blueprint.with_stores(old_stores()));
    for part in [Part::RunStore, Part::EventStream, Part::ArtifactStore] {
        let version = t.caller(part).client.version().await.expect("its version").into_inner();
        assert_eq!(version.service_version, "0.3.5", "{part:?}");
    }
    let plan = t.coordinator.plan("echo one; echo two").await;
    let echo = t.coordinator.run_start(&echo_type(), json!({"echo": "hello"})).await;
    // A failed run has its error in the extensions of its node.
    let failing = t.coordinator.run_start(&echo_type(), json!({"echo": 5})).await;
    for (run, state) in
        [(&plan, RunState::Succeeded), (&echo, RunState::Succeeded), (&failing, RunState::Failed)]
    {
        let (run, root, _) = t.coordinator.run_ended(&run.run_id).await;
        assert_eq!(run.state, state, "{}", completion_error(&root));
        t.copies_agree(&run.run_id).await;
    }
}
