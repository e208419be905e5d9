//! `Dockerfile`, `.dockerignore` and `compose.jarvis.yaml` against the program. No
//! container is started; the files must agree with the program and with each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command as Process,
    time::Duration,
};

use clap::Parser;
use jarvis_run_coordinator::{
    cli::{Cli, Command},
    config::{Flags, Settings, variables},
};
use serde_json::Value;

use crate::support::Program;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name)
}

/// The instructions of the Dockerfile: the keyword, and the rest on one line.
fn instructions() -> Vec<(String, String)> {
    let text = file("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let parts = lines.map(|line| line.split_once(' ').unwrap_or_else(|| panic!("{line}")));
    parts.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

/// The rest of the only instruction with this keyword.
fn the(word: &str) -> String {
    let mut all: Vec<String> =
        instructions().into_iter().filter(|(other, _)| other == word).map(|(_, rest)| rest).collect();
    assert_eq!(all.len(), 1, "{word}");
    all.remove(0)
}

/// The arguments of an instruction that starts a program without a shell, so that signals
/// reach the program.
fn words(instruction: &str) -> Vec<String> {
    serde_json::from_str(instruction).unwrap_or_else(|error| panic!("{instruction}: {error}"))
}

#[test]
fn container_commands_start_the_server_and_check_health() {
    let started = words(&the("CMD"));
    assert_eq!(started[0], "arp-jarvis-run-coordinator", "as in the Python image");
    let server = Cli::try_parse_from(&started).expect("understood");
    assert!(matches!(server.chosen(), Command::Serve { .. }), "{started:?}");
    let flags = server.flags();
    assert_eq!(flags.host.as_deref(), Some("0.0.0.0"));
    let port = flags.port.expect("a port");
    assert_eq!(the("EXPOSE"), port.to_string());

    let check = the("HEALTHCHECK");
    let (_, check) = check.split_once(" CMD ").expect("a command");
    let asker = Cli::try_parse_from(words(check)).expect("understood");
    let Command::Health { target } = asker.chosen() else { panic!("{check}") };
    assert_eq!(
        target.url(&std::collections::BTreeMap::new(), &asker.flags()),
        format!("http://127.0.0.1:{port}")
    );

    // The program drains on SIGTERM.
    assert_eq!(the("STOPSIGNAL"), "SIGTERM");
    let user = the("USER");
    assert!(!user.starts_with("0") && !user.starts_with("root"), "{user}");
}

#[test]
fn container_journal_lies_in_the_volume() {
    let volume = words(&the("VOLUME")).remove(0);
    let variable = the("ENV");
    let (name, journal) = variable.split_once('=').expect("a value");
    assert_eq!(name, variables::JOURNAL.name);
    assert_eq!(Path::new(journal).parent(), Some(Path::new(&volume)));

    let compose: Value = serde_yaml_ng::from_str(&file("compose.jarvis.yaml")).expect("YAML");
    let services = compose["services"].as_object().expect("services");
    assert_eq!(services.keys().collect::<Vec<_>>(), ["run-coordinator"], "no other service is changed");
    let service = &services["run-coordinator"];
    let mounted = service["volumes"][0].as_str().expect("a volume");
    let (name, place) = mounted.split_once(':').expect("a place");
    assert_eq!(place, volume);
    assert!(compose["volumes"].as_object().expect("volumes").contains_key(name), "{name}");

    let grace = service["stop_grace_period"].as_str().and_then(|text| text.strip_suffix('s'));
    let grace = Duration::from_secs(grace.expect("seconds").parse().expect("a number"));
    let vars = BTreeMap::from([("ARP_AUTH_PROFILE".to_owned(), "dev-insecure".to_owned())]);
    let settings = Settings::from_vars(&vars, &Flags::default());
    assert!(grace > settings.expect("usable").shutdown_timeout, "time to drain");
}

#[test]
fn copied_paths_exist_and_are_not_ignored() {
    let ignored = file(".dockerignore");
    let let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignored.lines().any(|line| line == "*"), "everything else is ignored");
    let mut copied = BTreeSet::new();
    for (word, rest) in instructions() {
        if word != "COPY" || rest.starts_with("--from") {
            continue;
        }
        let mut paths: Vec<&str> = rest.split_whitespace().collect();
        paths.pop().expect("where to");
        copied.extend(paths.into_iter().map(str::to_owned));
    }
    assert_eq!(copied, let_in.iter().map(|&path| path.to_owned()).collect());
    for path in &copied {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(), "{path}");
    }
}

/// Cargo refuses to build the dependencies if the manifest of a package is
/// missing, or the file of a target that a manifest names.
#[test]
fn dockerfile_has_a_stub_for_every_manifest_and_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Process::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let relative = |path: &Value| {
        let path = Path::new(path.as_str().expect("a path"));
        path.strip_prefix(root).expect("in the workspace").to_owned()
    };
    let manifests: BTreeSet<PathBuf> =
        packages.iter().map(|package| relative(&package["manifest_path"])).collect();
    let copied: BTreeSet<PathBuf> = instructions()
        .iter()
        .filter(|(word, _)| word == "COPY")
        .flat_map(|(_, rest)| rest.split_whitespace())
        .filter(|path| path.ends_with("Cargo.toml"))
        .map(PathBuf::from)
        .collect();
    assert_eq!(copied, manifests);

    let named: BTreeSet<PathBuf> = packages
        .iter()
        .filter(|package| !relative(&package["manifest_path"]).starts_with("xtask"))
        .flat_map(|package| package["targets"].as_array().expect("targets"))
        // An example that needs a feature is named; the others are found.
        .filter(|target| target["kind"][0] != "example" || target["required-features"].is_array())
        .map(|target| relative(&target["src_path"]))
        .map(|path| path.components().filter(|part| part.as_os_str() != "..").collect::<PathBuf>())
        .filter(|path| !path.ends_with("src/lib.rs"))
        .map(|path| path.to_str().expect("UTF-8").replace("tests/stack/vectors", "tests/vectors").into())
        .collect();
    let first_build =
        instructions().into_iter().find(|(word, rest)| word == "RUN" && rest.contains("cargo build"));
    let (_, first_build) = first_build.expect("the dependencies are built");
    let empty: BTreeSet<PathBuf> =
        first_build.split([' ', ';']).filter(|word| word.ends_with(".rs")).map(PathBuf::from).collect();
    assert_eq!(empty, named);
    // The loop over packages makes the libraries.
    for package in ["tests/executor", "xtask/*"] {
        assert!(first_build.contains(package), "{package}");
    }
}

/// The variables that the compose file of the JARVIS release sets, and the configuration
/// that results.
#[tokio::test]
async fn jarvis_stack_environment_is_accepted() {
    const SERVICE: [(&str, &str); 21] = [
        ("ARP_AUTH_SERVICE_ID", "arp-run-coordinator"),
        ("ARP_AUTH_CLIENT_ID", "arp-run-coordinator"),
        ("ARP_AUTH_CLIENT_SECRET", "arp-run-coordinator-secret"),
        ("JARVIS_RUN_STORE_URL", "http://run-store:8091"),
        ("JARVIS_EVENT_STREAM_URL", "http://event-stream:8093"),
        ("JARVIS_ARTIFACT_STORE_URL", "http://artifact-store:8092"),
        ("JARVIS_RUN_STORE_AUDIENCE", "arp-jarvis-runstore"),
        ("JARVIS_EVENT_STREAM_AUDIENCE", "arp-jarvis-eventstream"),
        ("JARVIS_ARTIFACT_STORE_AUDIENCE", "arp-jarvis-artifactstore"),
        ("JARVIS_ATOMIC_EXECUTOR_URL", "http://atomic-executor:8082"),
        ("JARVIS_COMPOSITE_EXECUTOR_URL", "http://composite-executor:8083"),
        ("JARVIS_NODE_REGISTRY_URL", "http://node-registry:8084"),
        ("JARVIS_SELECTION_URL", "http://selection-service:8085"),
        ("JARVIS_PDP_URL", "http://pdp:8086"),
        ("JARVIS_ATOMIC_EXECUTOR_AUDIENCE", "arp-atomic-executor"),
        ("JARVIS_COMPOSITE_EXECUTOR_AUDIENCE", "arp-composite-executor"),
        ("JARVIS_NODE_REGISTRY_AUDIENCE", "arp-node-registry"),
        ("JARVIS_SELECTION_AUDIENCE", "arp-selection"),
        ("JARVIS_PDP_AUDIENCE", "arp-pdp"),
        ("JARVIS_RUN_COORDINATOR_URL", "http://run-coordinator:8081"),
        ("JARVIS_POLICY_PROFILE", "dev-allow"),
    ];
    const KEYCLOAK: [(&str, &str); 3] = [
        ("ARP_AUTH_ISSUER", "http://localhost:8080/realms/arp-dev"),
        (
            "ARP_AUTH_OIDC_DISCOVERY_URL",
            "http://keycloak:8080/realms/arp-dev/.well-known/openid-configuration",
        ),
        ("ARP_AUTH_TOKEN_ENDPOINT", "http://keycloak:8080/realms/arp-dev/protocol/openid-connect/token"),
    ];
    const PROFILES: [(&[(&str, &str)], &str); 2] = [
        (&[("ARP_AUTH_PROFILE", "dev-secure-keycloak")], "required"),
        (&[("ARP_AUTH_PROFILE", "dev-insecure"), ("ARP_AUTH_MODE", "disabled")], "disabled"),
    ];
    for (profile, inbound) in PROFILES {
        let given: Vec<(&str, &str)> = [&SERVICE[..], &KEYCLOAK, profile].concat();
        let mut program = Program::bare(&["check-config"]);
        for (name, value) in &given {
            program = program.var(name, value);
        }
        let ended = program.run().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{}", ended.stdout);
        for (name, value) in &given {
            let value = if name.ends_with("_SECRET") { "***" } else { value };
            let lines =
                [format!(" = {value}   (source: env)"), format!(" = {value}   (source: env, as {name})")];
            assert!(
                ended.stdout.contains(&format!("\n{name}{}", lines[0])) || ended.stdout.contains(&lines[1]),
                "{name} in\n{}",
                ended.stdout
            );
        }
        let summary = format!(
            "configuration ok: JARVIS stores; policy by the PDP; inbound authentication {inbound}; outbound calls \
             with tokens"
        );
        assert_eq!(ended.stdout.lines().last(), Some(summary.as_str()));
    }
}
