//! `cargo xtask check-spec`: does the program say of itself what its
//! specification says?
//!
//! The emitted document is dropshot's view of the code; the specification is
//! written by hand. They are compared by meaning ([`crate::openapi`]), and
//! every difference is a failure: there is no list of exceptions.

use std::{fmt::Write, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    openapi::{Comparison, Difference, Document, compare},
    workspace,
};

const SPEC: &str = "openapi/run-coordinator.yaml";
const PROGRAM: &str = "jarvis-run-coordinator";

/// Longer values are cut in the text; `--json` has all of them.
const VALUE_LIMIT: usize = 160;
/// Operations that are named per difference.
const PLACE_LIMIT: usize = 2;

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// The specification [default: openapi/run-coordinator.yaml]
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// A document to check instead of the one that the program emits.
    #[arg(long, value_name = "FILE")]
    pub emitted: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let spec = match &args.spec {
        Some(path) => Document::load(path)?,
        None => Document::parse(SPEC, &std::fs::read_to_string(workspace::root().join(SPEC)).context(SPEC)?)?,
    };
    let emitted = match &args.emitted {
        Some(path) => Document::load(path)?,
        None => emit()?,
    };
    let comparison = compare(&spec, &emitted)?;
    if args.json {
        println!("{:#}", as_json(&comparison));
    } else {
        print!("{}", as_text(&comparison));
    }
    let count = comparison.differences.len();
    ensure!(
        count == 0,
        "{count} {} between {} and {}: change the code, or the specification if the code is right",
        if count == 1 { "difference" } else { "differences" },
        spec.name(),
        emitted.name()
    );
    Ok(())
}

/// What the program says.
fn emit() -> Result<Document> {
    let name = format!("`{PROGRAM} openapi`");
    let output = workspace::cargo(["run", "--quiet", "--locked", "--package", PROGRAM, "--", "openapi"])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {name}"))?;
    ensure!(output.status.success(), "{name} failed: {}", output.status);
    let text = String::from_utf8(output.stdout)
        .with_context(|| format!("{name} printed something else than text"))?;
    if text.trim().is_empty() {
        bail!("{name} printed nothing: it should print the document");
    }
    Document::parse(&name, &text)
}

/// The result for people.
pub fn as_text(comparison: &Comparison) -> String {
    let mut out = String::new();
    for Difference { pointer, spec, emitted, places } in &comparison.differences {
        // Writing to a string cannot fail.
        _ = writeln!(out, "{pointer}\n    in {}", list(places));
        _ = writeln!(out, "    spec:    {}\n    emitted: {}", brief(spec.as_ref()), brief(emitted.as_ref()));
    }
    let differences = match comparison.differences.len() {
        0 => "no differences".into(),
        1 => "1 difference".into(),
        many => format!("{many} differences"),
    };
    let Comparison { operations, schemas, skipped, .. } = comparison;
    _ = writeln!(out, "check-spec: {operations} operations, {schemas} schemas, {differences}");
    if !skipped.is_empty() {
        _ = writeln!(out, "not compared, because only the specification has them: {}", skipped.join(", "));
    }
    out
}

fn list(places: &[String]) -> String {
    let named = places.iter().take(PLACE_LIMIT).cloned().collect::<Vec<_>>().join(", ");
    match places.len().saturating_sub(PLACE_LIMIT) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn brief(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let text = value.to_string();
    match text.char_indices().nth(VALUE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The result for machines.
pub fn as_json(comparison: &Comparison) -> Value {
    let differences: Vec<Value> = comparison
        .differences
        .iter()
        .map(|Difference { pointer, spec, emitted, places }| {
            // A member is left out where a document says nothing: null would
            // be something.
            let mut entry = json!({ "pointer": pointer, "places": places });
            for (side, value) in [("spec", spec), ("emitted", emitted)] {
                if let Some(value) = value {
                    entry[side] = value.clone();
                }
            }
            entry
        })
        .collect();
    json!({
        "operations": comparison.operations,
        "schemas": comparison.schemas,
        "skipped": comparison.skipped,
        "differences": differences,
    })
}
