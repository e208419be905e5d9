//! Machines that lack what most have: root certificates, a service manager.

use std::{os::unix::net::UnixDatagram, time::Duration};

use crate::support::{
    Program,
    process::{PROMPT, Process},
};

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

/// A service manager that listens in the folder of the program.
struct Manager(UnixDatagram);

impl Manager {
    fn of(program: Program) -> (Self, Program) {
        let path = program.path("notify.socket");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PROMPT)).expect("a limit");
        (Self(socket), program.var("NOTIFY_SOCKET", &path.display().to_string()))
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("a message");
        String::from_utf8_lossy(&message[..length]).into_owned()
    }
}

#[tokio::test]
async fn service_manager_hears_of_start_life_and_stop() {
    let (manager, program) = Manager::of(Program::server());
    let watchdog = Duration::from_millis(100);
    let program = program.var("WATCHDOG_USEC", &watchdog.as_micros().to_string());
    let process: Process = program.start().await;
    let address = process.url().strip_prefix("http://").expect("a URL");
    assert_eq!(manager.next(), format!("READY=1\nSTATUS=listening on {address}\n"));
    for _ in 0..3 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    process.terminate().await;
    let last = std::iter::repeat_with(|| manager.next()).find(|message| message != "WATCHDOG=1\n");
    assert_eq!(last.as_deref(), Some("STOPPING=1\nSTATUS=work in progress may finish\n"));
}

#[tokio::test]
async fn no_signs_of_life_unless_they_are_wanted() {
    let (manager, program) = Manager::of(Program::server());
    program.start().await.terminate().await;
    let messages = [manager.next(), manager.next()];
    assert!(messages[0].starts_with("READY=1\n") && messages[1].starts_with("STOPPING=1\n"), "{messages:?}");
}

#[tokio::test]
async fn restart_with_another_program_is_no_stop() {
    let (manager, program) = Manager::of(Program::server());
    program.write(".env", "");
    let program = program.with_arguments(&["--port", "0", "--reload"]);
    let process = program.start().await;
    assert!(manager.next().starts_with("READY=1\n"));
    program.write(".env", "JARVIS_RUN_COORDINATOR_LOG_RUNS=false\n");
    let process = process.listening_again(2).await;
    assert!(manager.next().starts_with("READY=1\n"));
    process.terminate().await;
    assert!(manager.next().starts_with("STOPPING=1\n"));
}

#[tokio::test]
async fn service_manager_that_is_gone_stops_nothing() {
    let program = Program::server().var("NOTIFY_SOCKET", "/nowhere/notify.socket");
    let process = program.start().await;
    process.logged("could not notify the service manager", 1).await;
    process.terminate().await;
}
