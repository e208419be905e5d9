//! The Helm chart of `deploy/helm` as Helm has rendered it (`tests/output/helm.yaml`, made as
//! CONTRIBUTING.md says): with its defaults it is what `deploy/kubernetes` has, which `deploy`
//! compares with the program. Helm itself is not there in CI, so the file says from which
//! chart it was rendered.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The labels that only a chart has.
const OF_THE_RELEASE: [&str; 4] = [
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    documents.map(|document| Value::deserialize(document).expect("YAML")).collect()
}

/// What a document is: its kind and its name.
fn name(document: &Value) -> (&str, &str) {
    let text = |value: &'static str| document.pointer(value).and_then(Value::as_str);
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    kind.zip(name).unwrap_or_else(|| panic!("{document}"))
}

/// Without what a chart adds: labels of the release, and annotations.
fn without_release(mut document: Value) -> Value {
    for at in ["/metadata", "/spec/template/metadata"] {
        if let Some(metadata) = document.pointer_mut(at).and_then(Value::as_object_mut) {
            metadata.remove("annotations");
        }
    }
    for at in
        ["/metadata/labels", "/spec/selector", "/spec/selector/matchLabels", "/spec/template/metadata/labels"]
    {
        let Some(labels) = document.pointer_mut(at).and_then(Value::as_object_mut) else { continue };
        labels.retain(|label, _| !OF_THE_RELEASE.contains(&label.as_str()));
    }
    document
}

#[test]
fn chart_renders_what_the_manifests_have() {
    let mut plain = Vec::new();
    for file in ["configuration", "journal", "service", "deployment"] {
        plain.extend(documents(&read(&format!("deploy/kubernetes/{file}.yaml"))));
    }
    let rendered: Vec<Value> =
        documents(&read("tests/output/helm.yaml")).into_iter().map(without_release).collect();
    assert_eq!(rendered.len(), plain.len());
    for document in plain {
        let same = rendered.iter().find(|other| name(other) == name(&document));
        assert_eq!(same, Some(&without_release(document)));
    }
}

#[test]
fn journal_outlives_the_release_and_settings_restart_the_pod() {
    let rendered = documents(&read("tests/output/helm.yaml"));
    let the = |kind: &str| rendered.iter().find(|document| name(document).0 == kind).expect("a document");
    let claim = &the("PersistentVolumeClaim")["metadata"]["annotations"];
    assert_eq!(claim["helm.sh/resource-policy"], "keep");
    let pod = &the("Deployment")["spec"]["template"]["metadata"];
    assert!(pod["annotations"]["checksum/settings"].as_str().is_some_and(|sum| sum.len() == 64), "{pod}");
    // The selectors find the pods, of this release alone.
    let services = rendered.iter().filter(|document| name(document).0 == "Service");
    for selector in services.map(|service| &service["spec"]["selector"]) {
        assert_eq!(selector["app.kubernetes.io/instance"], "run-coordinator");
        for (label, value) in selector.as_object().expect("labels") {
            assert_eq!(&pod["labels"][label], value);
        }
    }
}

#[test]
fn rendered_chart_is_the_present_one() {
    let chart = |file: &str| read(&format!("deploy/helm/jarvis-run-coordinator/{file}"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/helm/jarvis-run-coordinator/templates");
    let entries = fs::read_dir(folder).expect("the templates");
    let mut templates: Vec<String> =
        entries.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    templates.retain(|file| file.ends_with(".yaml"));
    templates.sort();
    let mut all = chart("Chart.yaml") + &chart("values.yaml") + &chart("templates/_helpers.tpl");
    for file in templates {
        all += &chart(&format!("templates/{file}"));
    }
    let sum: String = Sha256::digest(&all).iter().map(|byte| format!("{byte:02x}")).collect();
    let rendered = read("tests/output/helm.yaml");
    assert_eq!(rendered.lines().last(), Some(format!("# of {sum}").as_str()), "render it again");

    let about = &documents(&chart("Chart.yaml"))[0];
    for version in ["version", "appVersion"] {
        assert_eq!(about[version], env!("CARGO_PKG_VERSION"));
    }
}
