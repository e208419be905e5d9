//! The contract, section by section: the suite of `cargo xtask conformance`,
//! which needs to be the executors itself.

use std::net::SocketAddr;

use conformance::{
    Executors, Outcome, Report, Selection, Setup, all, executors, report::line, staged::setup_in, suite,
};
use jarvis_stack::{Part, Profile};
use xtask_support::process::PATIENCE;

use crate::support::TestStack;

#[tokio::test(flavor = "multi_thread")]
async fn ours_does_what_the_contract_says_among_the_jarvis_services() {
    let executors = listening();
    let t = TestStack::beside(Profile::Jwt, &[Part::Coordinator], |blueprint| {
        let blueprint = blueprint.detour(Part::AtomicExecutor, executors.url());
        blueprint.detour(Part::CompositeExecutor, executors.url())
    });
    let setup = setup_in(t.coordinator.url.clone(), t.token(Part::Coordinator), PATIENCE);
    let report = Report { name: "ours".into(), outcomes: made(setup, executors) };
    // The policy of the stack knows no type that is not registered.
    assert_eq!(skipped(&report.outcomes), ["core/9.1/unknown-kind"]);
    let readme = std::fs::read_to_string("README.md").expect("the README");
    for row in report.rows() {
        assert!(readme.contains(&format!("\n{row}")), "the README does not say {row:?}");
    }
}

/// Alone, with nothing but executors and a registry that knows none of the
/// suite's types.
#[tokio::test(flavor = "multi_thread")]
async fn ours_does_what_the_contract_says_on_its_journal_alone() {
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

/// All checks, none of which fails.
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
