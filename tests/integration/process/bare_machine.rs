//! Machines that lack what most have: root certificates.

use crate::support::Program;

/// A program that finds no root certificate.
fn without_roots() -> Program {
    let program = Program::server();
    program.write("empty.pem", "");
    let empty = program.path("empty.pem").display().to_string();
    program.var("SSL_CERT_FILE", &empty)
}

#[tokio::test]
async fn roots_are_needed_only_for_urls_of_https() {
    let plain = ("JARVIS_ATOMIC_EXECUTOR_URL", "http://127.0.0.1:1");
    without_roots().var(plain.0, plain.1).start().await.terminate().await;

    let program = without_roots().var(plain.0, plain.1).var("JARVIS_PDP_URL", "https://pdp.example");
    let ended = program.run().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!program.journal().exists(), "it is not touched");
    expectorate::assert_contents("tests/output/no-roots.txt", &ended.stderr);

    // A bundle of one's own is enough.
    let bundle = crate::support::Authority::new("of the service").pem();
    program.write("bundle.pem", bundle);
    let bundle = program.path("bundle.pem").display().to_string();
    program.var("JARVIS_RUN_COORDINATOR_CA_BUNDLE", &bundle).start().await.terminate().await;
}

#[tokio::test]
async fn command_names_the_missing_roots() {
    let program = without_roots();
    let ended = program.command(&["health", "--url", "https://coordinator.example"]).await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("cannot load the system's root certificates"), "{ended:?}");
}
