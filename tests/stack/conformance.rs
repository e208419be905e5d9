//! The official conformance checker. It has no further tiers for Run Coordinators.

use serde_json::Value;

use crate::support::{TestStack, output_of, python};

#[tokio::test]
async fn official_checker_passes_tier_smoke() {
    let t = TestStack::embedded();
    // The tier checks health and version.
    check(&t, "smoke", 2).await;
}

#[tokio::test]
async fn official_checker_passes_tier_surface() {
    let t = TestStack::embedded();
    // The tier checks what smoke does, and each of the nine required endpoints once.
    check(&t, "surface", 11).await;
}

/// Asserts that all checks of the tier pass: none fails, warns or is skipped.
async fn check(t: &TestStack, tier: &str, checks: usize) {
    let mut checker = python("conformance.py");
    checker.args([
        "check",
        "run-coordinator",
        "--url",
        &t.coordinator.url,
        "--tier",
        tier,
        "--strict",
        "--format",
        "json",
    ]);
    let (printed, succeeded) = output_of("the conformance checker", checker).await;
    let report: Value = serde_json::from_str(&printed).expect("a report");
    println!("arp-conformance, tier {tier} of {}: {}", report["spec_ref"], report["counts"]);
    let results = report["results"].as_array().expect("results");
    for result in results {
        println!("  {} {} {}: {}", result["status"], result["check_id"], result["name"], result["message"]);
        for error in result["errors"].as_array().into_iter().flatten() {
            println!("      {error}");
        }
    }
    let passed = results.iter().filter(|result| result["status"] == "PASS").count();
    assert_eq!((passed, results.len()), (checks, checks), "passed, made");
    assert!(succeeded, "the checker reports failure");
}
