//! The files of `deploy/` that start the program (a service of systemd, manifests for
//! Kubernetes) against the program: nothing is started, the files must agree with it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use clap::Parser;
use jarvis_run_coordinator::{
    cli::{Cli, Command},
    config::{Flags, JournalPlace, Settings, variables},
};
use serde::Deserialize;
use serde_json::Value;

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a file of Kubernetes.
fn manifests(name: &str) -> Vec<Value> {
    let text = file(&format!("kubernetes/{name}.yaml"));
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents.map(|document| Value::deserialize(document).expect("YAML")).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// How long a server takes to stop.
fn shutdown_timeout() -> Duration {
    let vars = BTreeMap::from([("ARP_AUTH_PROFILE".to_owned(), "dev-insecure".to_owned())]);
    Settings::from_vars(&vars, &Flags::default()).expect("usable").shutdown_timeout
}

#[test]
fn systemd_service_starts_the_server_and_waits_for_its_end() {
    let unit = file("systemd/jarvis-run-coordinator.service");
    let the = |key: &str| {
        let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    let started = the("ExecStart").replace("${STATE_DIRECTORY}", "/var/lib/it");
    let started: Vec<&str> = started.split(' ').collect();
    assert_eq!(started[0], "/usr/bin/jarvis-run-coordinator");
    let server = Cli::try_parse_from(&started).expect("understood");
    assert!(matches!(server.chosen(), Command::Serve { .. }), "{started:?}");
    assert_eq!(server.flags().journal.as_deref(), Some("/var/lib/it/run-coordinator.db"));
    assert_eq!(the("KillSignal"), "SIGTERM", "the program drains on it");
    // `service_manager` has what the program sends.
    assert_eq!((the("Type").as_str(), the("WatchdogSec").as_str()), ("notify", "60"));
    let grace = Duration::from_secs(the("TimeoutStopSec").parse().expect("seconds"));
    assert!(grace > shutdown_timeout(), "time to drain");
    // The names that the credentials are given by are variables of the program.
    for line in file("systemd/credentials.conf").lines() {
        let Some(setting) = line.strip_prefix("Environment=") else { continue };
        let (name, _) = setting.split_once('=').expect("a value");
        assert!(variables::is_known(name), "{name}");
    }
}

#[test]
fn kubernetes_configuration_is_accepted() {
    let configuration = manifests("configuration").remove(0);
    let mut vars: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in configuration["data"].as_object().expect("variables") {
        vars.insert(name.clone(), text(value));
    }
    let deployment = manifests("deployment").remove(0);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    for variable in container["env"].as_array().expect("variables") {
        vars.insert(text(&variable["name"]), text(&variable["value"]));
    }
    for name in vars.keys() {
        assert!(variables::is_known(name), "{name}");
    }
    // The secret is not here: any file will do.
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "a-secret").expect("written");
    vars.insert("ARP_AUTH_CLIENT_SECRET_FILE".into(), secret.path().display().to_string());
    let settings = Settings::from_vars(&vars, &Flags::default()).expect("accepted");
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let journal = match &settings.journal.place {
        JournalPlace::File(path) => path.parent().expect("in a folder").to_owned(),
        JournalPlace::Database(url) => panic!("{url} is no file"),
    };
    assert!(mounts.iter().any(|mount| Path::new(&text(&mount["mountPath"])) == journal), "{journal:?}");
}

#[test]
fn kubernetes_deployment_is_one_server_that_drains() {
    let deployment = manifests("deployment").remove(0);
    let spec = &deployment["spec"];
    // One process has a journal at a time.
    assert_eq!((spec["replicas"].as_u64(), spec["strategy"]["type"].as_str()), (Some(1), Some("Recreate")));
    let pod = &spec["template"]["spec"];
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().expect("seconds"));
    assert!(grace > shutdown_timeout(), "time to drain");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    let container = &pod["containers"][0];
    let arguments: Vec<String> = container["args"].as_array().expect("arguments").iter().map(text).collect();
    let flags = Cli::try_parse_from(&arguments).expect("understood").flags();
    let port = |name: &str| {
        let mut ports = container["ports"].as_array().expect("ports").iter();
        let port = ports.find(|port| port["name"] == name).unwrap_or_else(|| panic!("no port {name}"));
        port["containerPort"].as_u64()
    };
    assert_eq!(port("api"), flags.port.map(u64::from));
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!((get["path"].as_str(), get["port"].as_str()), (Some(path), Some("api")), "{probe}");
    }
    let operator = manifests("configuration")[0]["data"]["JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN"].clone();
    assert_eq!(text(&operator), format!("0.0.0.0:{}", port("operator").expect("a port")));

    let labels = &spec["template"]["metadata"]["labels"];
    for service in manifests("service") {
        for (key, value) in service["spec"]["selector"].as_object().expect("a selector") {
            assert_eq!(&labels[key], value, "{key}");
        }
        let target = text(&service["spec"]["ports"][0]["targetPort"]);
        assert_eq!(service["spec"]["ports"][0]["port"].as_u64(), port(&target));
    }
    let claim = &pod["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert_eq!(claim, &manifests("journal")[0]["metadata"]["name"]);
}

/// The documents of a file of compose.
fn compose(name: &str) -> Value {
    serde_yaml_ng::from_str(&file(name)).expect("YAML")
}

#[test]
fn replicas_share_a_database_and_are_replaced_one_by_one() {
    let deployment = manifests("replicas/deployment").remove(0);
    let spec = &deployment["spec"];
    assert_eq!(
        (spec["replicas"].as_u64(), spec["strategy"]["type"].as_str()),
        (Some(3), Some("RollingUpdate"))
    );
    let pod = &spec["template"]["spec"];
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().expect("seconds"));
    assert!(grace > shutdown_timeout(), "time to drain");
    let labels = &spec["template"]["metadata"]["labels"];
    let rarely_interrupted = &manifests("replicas/disruption")[0]["spec"];
    assert_eq!(rarely_interrupted["maxUnavailable"], 1);
    for (key, value) in rarely_interrupted["selector"]["matchLabels"].as_object().expect("a selector") {
        assert_eq!(&labels[key], value, "{key}");
    }
    let data = manifests("replicas/configuration").remove(0)["data"].clone();
    for name in data.as_object().expect("variables").keys() {
        assert!(variables::is_known(name), "{name}");
    }
    let place = JournalPlace::parse(&text(&data["JARVIS_RUN_COORDINATOR_JOURNAL"])).expect("a URL");
    assert!(matches!(place, JournalPlace::Database(_)), "{place}");
}

#[test]
fn compose_file_has_replicas_that_the_balancer_knows() {
    let services = compose("replicas/compose.yaml")["services"].clone();
    let balancer = file("replicas/haproxy.cfg");
    let replicas: Vec<&String> =
        services.as_object().expect("services").keys().filter(|name| name.starts_with("replica-")).collect();
    assert_eq!(replicas.len(), 3);
    for replica in replicas {
        assert!(balancer.contains(&format!("server {replica} {replica}:8081")), "{replica}");
        let environment = services[replica]["environment"].as_object().expect("variables");
        for name in environment.keys() {
            assert!(variables::is_known(name), "{name}");
        }
        let vars: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let settings = Settings::from_vars(&vars, &Flags::default()).expect("accepted");
        assert!(matches!(settings.journal.place, JournalPlace::Database(_)), "{}", settings.journal.place);
        let arguments: Vec<String> =
            services[replica]["command"].as_array().expect("arguments").iter().map(text).collect();
        assert_eq!(Cli::try_parse_from(&arguments).expect("understood").flags().port, Some(8081));
    }
}
