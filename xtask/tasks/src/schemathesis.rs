//! `cargo xtask schemathesis`: schemathesis sends our server requests that its own
//! document allows, and many that it does not; each answer must conform to the
//! document.
//!
//! ```text
//!   jarvis-run-coordinator openapi ───┐
//!   tests/schemathesis/overlay.yaml ──┴───▶ document ─┐
//!   STS, coordinator ─────────────────────▶ address ──┼─▶ schemathesis ─▶ report ─▶ figures
//!   tests/schemathesis/{schemathesis.toml, hooks.py} ─┘
//! ```
//!
//! There are two halves: without tokens, and with tokens required. The server has a
//! journal and no other service, and leaves nodes queued, so runs live until a
//! request ends them.
//!
//! A seed repeats the same requests, except for the order in which scenarios follow
//! links, which schemathesis does not make reproducible.

use std::{
    fmt,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use jarvis_stack::{Blueprint, Coordinator, Part, Profile, Stack};
use serde_json::Value;
use xtask_support::{
    process,
    venv::{self, Venv},
    workspace,
};

const FOLDER: &str = "tests/schemathesis";
const SPEC: &str = "openapi/run-coordinator.yaml";
/// The seed of `cargo xtask ci`.
const SEED: u64 = 1;
/// The maximum number of minutes: a token of the STS is valid for an hour, and each
/// half has one.
const LONGEST: u64 = 110;

/// Settings of a coordinator without other services.
const ALONE: [(&str, &str); 11] = [
    ("JARVIS_RUN_STORE_URL", ""),
    ("JARVIS_EVENT_STREAM_URL", ""),
    ("JARVIS_ARTIFACT_STORE_URL", ""),
    ("JARVIS_ATOMIC_EXECUTOR_URL", ""),
    ("JARVIS_COMPOSITE_EXECUTOR_URL", ""),
    ("JARVIS_NODE_REGISTRY_URL", ""),
    ("JARVIS_PDP_URL", ""),
    ("JARVIS_SELECTION_URL", ""),
    ("JARVIS_RUN_COORDINATOR_PUBLIC_URL", ""),
    ("JARVIS_POLICY_PROFILE", "dev-allow"),
    ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off"),
];

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Run for this time [default: once through, about a minute]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    minutes: Option<u64>,
    /// The seed of the requests [default: a fixed one; random with --minutes]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

pub fn run(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| match args.minutes {
        Some(_) => RandomState::new().hash_one(args.minutes) % 1_000_000_000,
        None => SEED,
    });
    let venv = venv::ensure(&workspace::root())?;
    let program = workspace::build_program(false)?;
    let temporary =
        tempfile::Builder::new().prefix("jarvis-schemathesis-").tempdir().context("make a folder")?;
    let mut figures = Vec::new();
    for profile in [Profile::DevInsecure, Profile::Jwt] {
        let half = Half { profile, seed, minutes: args.minutes, venv: &venv, program: &program };
        figures.push((profile, half.run(&temporary.path().join(profile.name()))?));
    }
    println!();
    for (profile, figures) in &figures {
        println!("schemathesis: {}, seed {seed}: {figures}", profile.name());
    }
    if figures.iter().any(|(_, figures)| !figures.is_good()) {
        let kept = temporary.keep();
        bail!(
            "some answers do not conform; the commands to repeat them are above, logs in {}",
            kept.display()
        );
    }
    Ok(())
}

/// One of the two halves.
struct Half<'a> {
    profile: Profile,
    seed: u64,
    minutes: Option<u64>,
    venv: &'a Venv,
    program: &'a Path,
}

impl Half<'_> {
    fn run(&self, folder: &Path) -> Result<Figures> {
        let stack = self.start(folder)?;
        let token = stack.token("a-user", Part::Coordinator)?;
        let document = folder.join("document.json");
        let document_text = format!("{:#}", document_for(self.program, self.profile)?);
        fs::write(&document, document_text).context("write the document")?;
        let report = folder.join("report.json");

        println!("\n--- schemathesis, {}", self.profile.name());
        let mut schemathesis = self.schemathesis(folder, token);
        schemathesis.arg("run").arg(&document).args(["--url", &stack.url(Part::Coordinator)]);
        schemathesis.args(["--seed", &self.seed.to_string()]);
        if let Some(minutes) = self.minutes {
            // Each half gets half of the time.
            schemathesis.args(["--max-time", &(minutes * 30).to_string()]);
        }
        schemathesis.args(["--report", "json", "--report-json-path"]).arg(&report);
        // The commands to repeat; their token is of an STS that has ended.
        schemathesis.args(["--output-sanitize", "false"]);
        let status = schemathesis.status().context("run schemathesis")?;

        stack.check()?;
        let report = File::open(&report).with_context(|| format!("schemathesis has no report: {status}"))?;
        let report: Value = serde_json::from_reader(BufReader::new(report)).context("read the report")?;
        let mut figures = Figures::of(&report)?;
        figures.passed &= status.success();
        // Panics that no check noticed.
        figures.server_errors = stack.log(Part::Coordinator).count(&["request failed"]);
        Ok(figures)
    }

    fn start(&self, folder: &Path) -> Result<Stack> {
        let ours = Coordinator::Ours(self.program.to_owned());
        let blueprint = Blueprint::new(self.venv.clone(), self.profile, ours, folder.to_owned())?;
        let blueprint = ALONE
            .iter()
            .fold(blueprint, |blueprint, (name, value)| blueprint.with(Part::Coordinator, name, value));
        let stack = Stack::at_rest(blueprint)?;
        stack.start_parts(&[Part::Sts])?;
        stack.start_parts(&[Part::Coordinator])?;
        Ok(stack)
    }

    fn schemathesis(&self, folder: &Path, token: Option<String>) -> Command {
        let own = own_folder();
        let vars = [
            ("SCHEMATHESIS_HOOKS", own.join("hooks.py").into_os_string()),
            ("FUZZ_TOKEN", token.unwrap_or_default().into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ];
        let mut command = process::command(self.venv.program("schemathesis"), vars);
        // schemathesis keeps its own files there.
        command.current_dir(folder).stdin(Stdio::null());
        command.arg("--config-file").arg(own.join("schemathesis.toml"));
        command
    }
}

fn own_folder() -> PathBuf {
    workspace::root().join(FOLDER)
}

/// The document of the program, with the overlay.
fn document_for(program: &Path, profile: Profile) -> Result<Value> {
    let output = Command::new(program).arg("openapi").output().context("run `openapi`")?;
    ensure!(output.status.success(), "`openapi`: {}", output.status);
    let mut document: Value = serde_json::from_slice(&output.stdout).context("read the emitted document")?;
    let schemas = |document: &mut Value| document["components"]["schemas"].take();
    // Schemas that no operation names, such as the lines of a stream.
    let mut all = schemas(&mut yaml(&workspace::root().join(SPEC))?);
    overwrite(&mut all, schemas(&mut document));
    document["components"]["schemas"] = all;
    add(&mut document, yaml(&own_folder().join("overlay.yaml"))?, "")?;
    match profile {
        // The document describes a server that demands tokens.
        Profile::DevInsecure => _ = document.as_object_mut().and_then(|all| all.remove("security")),
        Profile::Jwt => {}
    }
    Ok(document)
}

fn yaml(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_yaml_ng::from_str(&text).with_context(|| path.display().to_string())
}

fn overwrite(all: &mut Value, these: Value) {
    if let (Value::Object(all), Value::Object(these)) = (all, these) {
        all.extend(these);
    }
}

/// Adds the overlay's members and list items to those of the document. The objects
/// that it extends must exist: anything else is a mistake in the overlay.
fn add(document: &mut Value, overlay: Value, place: &str) -> Result<()> {
    match (document, overlay) {
        (Value::Object(all), Value::Object(members)) => {
            for (name, value) in members {
                let place = format!("{place}/{name}");
                match all.get_mut(&name) {
                    Some(member) => add(member, value, &place)?,
                    None => {
                        let new = name == "links" || !value.is_object();
                        ensure!(new, "{FOLDER}/overlay.yaml: the document has no {place}");
                        all.insert(name, value);
                    }
                }
            }
        }
        (Value::Array(all), Value::Array(items)) => all.extend(items),
        _ => bail!("{FOLDER}/overlay.yaml: the document has something else at {place}"),
    }
    Ok(())
}

/// The figures of one half.
#[derive(Debug, PartialEq)]
struct Figures {
    operations: u64,
    cases: u64,
    failures: u64,
    /// The operations that never got another answer than 404.
    unreached: Vec<String>,
    /// The number of panics in the server's log.
    server_errors: usize,
    passed: bool,
}

impl Figures {
    fn of(report: &Value) -> Result<Self> {
        let number = |pointer: &str| {
            let value = report.pointer(pointer).and_then(Value::as_u64);
            value.with_context(|| format!("the report of schemathesis has no {pointer}"))
        };
        let unreached = report.pointer("/warnings/missing_test_data").and_then(Value::as_array);
        let unreached = unreached.context("the report of schemathesis has no warnings")?;
        let errors = report["errors"].as_array().map_or(0, Vec::len);
        Ok(Self {
            operations: number("/operations/tested")?,
            cases: number("/test_cases/generated")?,
            failures: number("/test_cases/unique_failures")?,
            unreached: unreached.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
            server_errors: 0,
            passed: errors == 0
                && report["complete"] == true
                && number("/operations/tested")? == number("/operations/total")?,
        })
    }

    fn is_good(&self) -> bool {
        self.passed && self.failures == 0 && self.server_errors == 0 && self.unreached.is_empty()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, cases, failures, unreached, server_errors, passed } = self;
        write!(f, "{operations} operations, {cases} cases, {failures} failures")?;
        if *server_errors > 0 {
            write!(f, ", {server_errors} errors in the server's log")?;
        }
        if !unreached.is_empty() {
            write!(f, ", never more than 404 from {}", unreached.join(", "))?;
        }
        if !passed && *failures == 0 {
            write!(f, ", but not completed")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn overlay_extends_existing_objects_only() {
        let mut document = json!({"paths": {"/a": {"get": {"x": [1], "responses": {"200": {"x": 1}}}}}});
        let links = json!({"Again": {"operationId": "a"}});
        let to = |path: &str| json!({"paths": {path: {"get": {"responses": {"200": {"links": links}}}}}});
        add(&mut document, to("/a"), "").unwrap();
        assert_eq!(document["paths"]["/a"]["get"]["responses"]["200"], json!({"x": 1, "links": links}));
        let lists = json!({"paths": {"/a": {"get": {"x": [2], "y": 3}}}});
        add(&mut document, lists, "").unwrap();
        assert_eq!(
            (&document["paths"]["/a"]["get"]["x"], &document["paths"]["/a"]["get"]["y"]),
            (&json!([1, 2]), &json!(3))
        );
        for (overlay, end) in [
            (to("/b"), "the document has no /paths//b"),
            (json!({"paths": {"/a": {"get": {"x": 2}}}}), "something else at /paths//a/get/x"),
        ] {
            let error = add(&mut document, overlay, "").unwrap_err().to_string();
            assert!(error.ends_with(end), "{error}");
        }
    }

    #[test]
    fn complete_runs_without_failures_are_good() {
        let report = |generated: u64, unique: u64, tested: u64, unreached: &[&str]| {
            json!({
                "operations": {"total": 11, "tested": tested}, "complete": true, "errors": [],
                "test_cases": {"generated": generated, "unique_failures": unique},
                "warnings": {"missing_test_data": unreached},
            })
        };
        let figures = Figures::of(&report(100, 0, 11, &[])).unwrap();
        assert!(figures.is_good());
        assert_eq!(figures.to_string(), "11 operations, 100 cases, 0 failures");
        for (bad, words) in [
            (report(100, 2, 11, &[]), "11 operations, 100 cases, 2 failures"),
            (report(100, 0, 10, &[]), "10 operations, 100 cases, 0 failures, but not completed"),
            (
                report(100, 0, 11, &["GET /a"]),
                "11 operations, 100 cases, 0 failures, never more than 404 from GET /a",
            ),
        ] {
            let figures = Figures::of(&bad).unwrap();
            assert!(!figures.is_good(), "{figures}");
            assert_eq!(figures.to_string(), words);
        }
        assert!(Figures::of(&json!({})).is_err());
    }
}
