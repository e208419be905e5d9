//! The contract, section by section: the suite of `cargo xtask conformance`, which
//! plays the executors itself.

use std::net::SocketAddr;

use conformance::{
    Executors, Outcome, Report, Selection, Setup, all, executors,
    report::{DOCUMENT, line},
    staged::setup_in,
    suite,
};
use jarvis_stack::{Part, Profile};
use xtask_support::{process::PATIENCE, workspace};

use crate::support::TestStack;

#[tokio::test(flavor = "multi_thread")]
async fn contract_suite_passes_among_the_jarvis_services() {
    let executors = listening();
    let t = TestStack::beside(Profile::Jwt, &[Part::Coordinator], |blueprint| {
        let blueprint = blueprint.detour(Part::AtomicExecutor, executors.url());
        blueprint.detour(Part::CompositeExecutor, executors.url())
    });
    let setup = setup_in(t.coordinator.url.clone(), t.token(Part::Coordinator), PATIENCE);
    let report = Report { name: "ours".into(), outcomes: made(setup, executors) };
    // The policy of the stack allows only registered types.
    assert_eq!(skipped(&report.outcomes), ["core/9.1/unknown-kind"]);
    let document = std::fs::read_to_string(workspace::root().join(DOCUMENT)).expect("the document");
    for row in report.rows() {
        assert!(document.contains(&format!("\n{row}")), "{DOCUMENT} does not say {row:?}");
    }
}

/// Without stores, policy and authentication; the registry has none of the suite's
/// types.
#[tokio::test(flavor = "multi_thread")]
async fn contract_suite_passes_on_the_journal_alone() {
    let executors = listening();
    let t = TestStack::embedded_with(&[Part::Coordinator], |blueprint| {
        let blueprint = blueprint.with(Part::Coordinator, "JARVIS_COMPOSITE_EXECUTOR_URL", executors.url());
        blueprint.with(Part::Coordinator, "JARVIS_ATOMIC_EXECUTOR_URL", executors.url())
    });
    let setup = Setup {
        url: t.coordinator.url.clone(),
        token: None,
        atomic_type: None,
        composite_type: None,
        denied_type: None,
        denied_tenant: None,
        patience: PATIENCE,
    };
    let outcomes = made(setup, executors);
    let lacks = ["core/9.4/", "core/10/denied", "core/19/"];
    for id in skipped(&outcomes) {
        assert!(lacks.iter().any(|part| id.starts_with(part)), "{id} is skipped");
    }
}

fn listening() -> Executors {
    executors::listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("they listen")
}

/// Runs all checks; asserts that none fails.
fn made(setup: Setup, executors: Executors) -> Vec<Outcome> {
    let checks = Selection::default().of(all()).expect("there are checks");
    let outcomes = tokio::task::block_in_place(|| suite::run(&checks, setup, Some(executors), |_| {}));
    let failed: String = outcomes.iter().filter(|outcome| outcome.failed()).map(line).collect();
    assert_eq!(failed, "");
    outcomes
}

fn skipped(outcomes: &[Outcome]) -> Vec<&str> {
    let neither = outcomes.iter().filter(|outcome| outcome.verdict.is_err());
    neither.map(|outcome| outcome.check.id).collect()
}
