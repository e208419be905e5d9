//! The documents of the JARVIS stores: those that the real services of the pinned
//! version serve at `/openapi.json`. The services need not be started, because
//! FastAPI generates the document from the program.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use specification::openapi::Document;
use xtask_support::venv::Venv;

/// The services, and their Python packages.
pub const SERVICES: [(&str, &str); 3] = [
    ("run-store", "jarvis_run_store"),
    ("event-stream", "jarvis_event_stream"),
    ("artifact-store", "jarvis_artifact_store"),
];

/// Prints a document a line, for each package that is named.
const ASK: &str = "
import importlib, json, sys
for package in sys.argv[1:]:
    print(json.dumps(importlib.import_module(package + '.app').app.openapi()))
";

/// The documents of [`SERVICES`], in that order, from the installed packages.
pub fn ask(venv: &Venv) -> Result<Vec<Document>> {
    // The services create their databases in the working directory.
    let folder = tempfile::tempdir().context("make a folder for the services")?;
    let output = Command::new(venv.python())
        .args(["-c", ASK])
        .args(SERVICES.map(|(_, package)| package))
        .current_dir(folder.path())
        .env_clear()
        .env("ARP_AUTH_PROFILE", "dev-insecure")
        .env("LOG_LEVEL", "ERROR")
        .stdin(Stdio::null())
        .output()
        .context("read the documents of the services")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the services do not give their documents:\n{}", said.trim_end());
    let text = String::from_utf8(output.stdout).context("JSON is UTF-8")?;
    let documents: Vec<&str> = text.lines().collect();
    ensure!(documents.len() == SERVICES.len(), "a document a line was expected, and not:\n{text}");
    SERVICES.iter().zip(documents).map(|((service, _), text)| document(service, text)).collect()
}

/// The same from files, `<service>.json` each.
pub fn from_files(folder: &Path) -> Result<Vec<Document>> {
    let document = |(service, _): &(&str, &str)| {
        let file = folder.join(format!("{service}.json"));
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        document(service, &text)
    };
    SERVICES.iter().map(document).collect()
}

fn document(service: &str, text: &str) -> Result<Document> {
    let mut json: Value = serde_json::from_str(text).with_context(|| format!("{service}: not JSON"))?;
    name_operations(&mut json);
    let version = json["info"]["version"].as_str().unwrap_or("of no version");
    Document::new(&format!("{service} {version}"), json)
}

/// FastAPI makes an operation's id from its function's name, path and method; the
/// name alone was chosen by its author.
fn name_operations(document: &mut Value) {
    for (path, item) in document["paths"].as_object_mut().into_iter().flatten() {
        let path: String = path.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let id = operation["operationId"].as_str();
            let name = id.and_then(|id| id.strip_suffix(&format!("{path}_{method}"))).map(str::to_owned);
            if let Some(name) = name {
                operation["operationId"] = name.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_are_named_after_their_functions() {
        let mut document = json!({"paths": {"/v1/runs/{run_id}": {
            "get": {"operationId": "get_run_v1_runs__run_id__get"},
            "put": {"operationId": "chosen"},
        }}});
        name_operations(&mut document);
        let item = &document["paths"]["/v1/runs/{run_id}"];
        assert_eq!(
            (&item["get"]["operationId"], &item["put"]["operationId"]),
            (&json!("get_run"), &json!("chosen"))
        );
    }
}
