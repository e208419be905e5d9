//! The table against what is encoded, and against what is made from it: the
//! document, the dashboard, the alert rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    families::{ALL, Family, Type},
    *,
};

/// Metrics with a sample of each family.
fn sampled() -> Metrics {
    let metrics = Metrics::new();
    let second = Duration::from_secs(1);
    drop(metrics.active_request());
    metrics.request_answered("start_run", 200, second);
    metrics.call_answered("pdp", Some(503), second);
    metrics.attempt(NodeKind::Atomic, "succeeded");
    metrics.cancel_sent("again");
    metrics.webhook_deliveries("accepted", 1);
    metrics.commit("ok", second);
    metrics.caller_refused("invalid_token");
    metrics.limit_refused("requests");
    metrics.token_asked("ok");
    drop(metrics.follower());
    metrics.spans("exported", 1);
    metrics.committed(&Tally::of_everything());
    let counted: BTreeSet<String> = types(&metrics.encode().expect("text")).into_keys().collect();
    metrics.read_from(Box::new(move || {
        let read = ALL.iter().filter(|family| !counted.contains(family.name));
        read.map(|family| Reading::of(family, &vec!["x\"\n"; family.labels.len()], 0.5)).collect()
    }));
    metrics
}

/// The type of each metric, as the text says.
fn types(text: &str) -> BTreeMap<String, String> {
    let of_line = |line: &str| {
        let (name, type_) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), type_.to_owned()))
    };
    text.lines().filter_map(of_line).collect()
}

#[test]
fn encoded_metrics_are_those_of_the_table() {
    let text = sampled().encode().expect("text");
    let expected: BTreeMap<String, String> =
        ALL.iter().map(|family| (family.name.to_owned(), family.type_.as_str().to_owned())).collect();
    assert_eq!(expected.len(), ALL.len(), "no name is there twice");
    assert_eq!(types(&text), expected, "{text}");
    for family in ALL {
        let sample = text.lines().find(|line| line.starts_with(family.name));
        let sample = sample.unwrap_or_else(|| panic!("no sample of {}: {text}", family.name));
        let labels: Vec<&str> = match sample.split_once('{') {
            Some((_, labels)) => {
                labels.split("=\"").filter_map(|part| part.rsplit([',', '{', '"']).next()).collect()
            }
            None => Vec::new(),
        };
        for label in family.labels {
            assert!(labels.contains(label), "{label} of {sample}");
        }
    }
    // A value cannot break out of its line.
    assert!(text.contains(r#"check="x\"\n""#), "{text}");
}

#[test]
fn metrics_follow_the_naming_conventions() {
    for Family { name, type_, labels, help } in ALL {
        assert_eq!(*type_ == Type::Counter, name.ends_with("_total"), "{name}");
        assert!(*type_ != Type::Histogram || name.ends_with("_seconds"), "{name} has a unit");
        assert!(!help.ends_with('.') && !help.is_empty(), "{name}: {help}");
        for label in *labels {
            assert!(!label.ends_with("_id") && *label != "node_type", "{name} {label}: no ids");
        }
    }
}

#[test]
fn counts_add_up() {
    let metrics = Metrics::new();
    let first = metrics.active_request();
    let second = metrics.active_request();
    assert!(metrics.encode().expect("text").contains("http_server_active_requests 2\n"));
    drop((first, second));
    metrics.commit("ok", Duration::from_millis(3));
    metrics.commit("ok", Duration::from_secs(9));
    let text = metrics.encode().expect("text");
    for line in [
        "http_server_active_requests 0\n",
        "arp_journal_commits_total{result=\"ok\"} 2\n",
        "arp_journal_commit_duration_seconds_bucket{le=\"0.004\"} 1\n",
        "arp_journal_commit_duration_seconds_bucket{le=\"+Inf\"} 2\n",
        "arp_journal_commit_duration_seconds_count 2\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn document_has_the_table() {
    let mut text = String::from(
        "# Metrics\n\n`GET /metrics` of the operator API ([contract.md](contract.md#section-25)) has these, in the text \
         format of\nPrometheus. No label has an id or anything else that a caller chooses. Alert rules and a Grafana \
         dashboard are in\n`deploy/`: see [operations.md](operations.md#metrics).\n\n<!-- Made from \
         src/server/metrics/families.rs; a test compares. -->\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for Family { name, type_, labels, help } in ALL {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        text.push_str(&format!("| `{name}` | {} | {} | {help} |\n", type_.as_str(), labels.join(", ")));
    }
    expectorate::assert_contents("docs/metrics.md", &text);
}

/// The query and the title of a panel.
fn panel(family: &Family) -> (String, Value) {
    let Family { name, labels, .. } = family;
    let by = labels.join(", ");
    let legend = labels.iter().map(|label| format!("{{{{{label}}}}}")).collect::<Vec<_>>().join(" ");
    match family.type_ {
        Type::Counter if labels.is_empty() => (format!("sum(rate({name}[$__rate_interval]))"), json!(name)),
        Type::Counter => (format!("sum by ({by}) (rate({name}[$__rate_interval]))"), json!(legend)),
        Type::Gauge if name.ends_with("_timestamp_seconds") => (format!("time() - {name}"), json!("age")),
        Type::Gauge => (name.to_string(), json!(if legend.is_empty() { name.to_string() } else { legend })),
        Type::Histogram => {
            let by = std::iter::once("le").chain(labels.iter().copied()).collect::<Vec<_>>().join(", ");
            let query =
                format!("histogram_quantile(0.99, sum by ({by}) (rate({name}_bucket[$__rate_interval])))");
            (query, json!(format!("p99 {legend}").trim_end()))
        }
    }
}

#[test]
fn dashboard_is_made_from_the_table() {
    let datasource = json!({"type": "prometheus", "uid": "${datasource}"});
    let panels: Vec<Value> = ALL
        .iter()
        .enumerate()
        .map(|(number, family)| {
            let (query, legend) = panel(family);
            let seconds = family.name.contains("seconds");
            let unit = match family.type_ {
                Type::Counter if seconds => "percentunit",
                Type::Counter => "ops",
                Type::Gauge if family.name.ends_with("_bytes") => "bytes",
                Type::Gauge | Type::Histogram if seconds => "s",
                Type::Gauge | Type::Histogram => "short",
            };
            json!({
                "id": number + 1, "type": "timeseries", "title": family.name, "description": family.help,
                "datasource": datasource,
                "gridPos": {"h": 8, "w": 8, "x": number % 3 * 8, "y": number / 3 * 8},
                "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
                "targets": [{"refId": "A", "datasource": datasource, "expr": query, "legendFormat": legend}],
            })
        })
        .collect();
    let variable =
        json!({"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"});
    let dashboard = json!({
        "uid": "jarvis-run-coordinator", "title": "JARVIS Run Coordinator", "schemaVersion": 39, "version": 1,
        "editable": true, "refresh": "30s", "time": {"from": "now-6h", "to": "now"},
        "tags": ["arp", "jarvis"], "templating": {"list": [variable]}, "panels": panels,
    });
    let mut text = serde_json::to_string_pretty(&dashboard).expect("JSON");
    text.push('\n');
    expectorate::assert_contents("deploy/grafana/jarvis-run-coordinator.json", &text);
}

#[test]
fn alert_rules_name_metrics_that_exist() {
    let rules = std::fs::read_to_string("deploy/prometheus/alerts.yaml").expect("the rules");
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = rules.split(|character| !is_part(character));
    let named: BTreeSet<&str> = words
        .filter(|word| ["arp_", "http_", "process_"].iter().any(|start| word.starts_with(start)))
        .collect();
    let exists = |name: &str| {
        ALL.iter().any(|family| {
            let is_part =
                || ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{}{end}", family.name));
            if family.type_ == Type::Histogram { is_part() } else { name == family.name }
        })
    };
    // The label of a family is no metric.
    let labels: BTreeSet<&str> = ALL.iter().flat_map(|family| family.labels).copied().collect();
    for name in named.difference(&labels) {
        assert!(exists(name), "{name} is in no family");
    }
    assert!(named.len() >= 10, "the rules use metrics: {named:?}");
    let alerts = rules.matches("- alert: ").count();
    assert_eq!(alerts, rules.matches("summary: ").count(), "each alert says what it is about");
    assert_eq!(alerts, rules.matches("runbook: ").count(), "and what to do");
}
