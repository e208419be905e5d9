//! `send-request`: sends the requests in a file, and fetches a node run.
//!
//! The file is the body of `POST /v1/node-runs`, which needs a run and a parent.
//! A member `run`, the body of `POST /v1/runs`, starts a run first, and the node
//! runs become children of its root.
//!
//! ```text
//!   {"run": {…}, "node_runs": […]}                                start, create, fetch
//!   {"run": {…}}                                                  start, fetch the root
//!   {"run_id": …, "parent_node_run_id": …, "node_runs": […]}      create, fetch
//! ```
//!
//! The content is not checked here: people send requests to see the server's
//! answers. If what was fetched has failed by then, so has the command.

use std::{fs, path::Path};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    remote::{Remote, RemoteError, pretty},
    table::printable,
};
use crate::clients::{path::encode_path, verbatim};

/// What came of the requests in a file.
pub struct Sent {
    /// All answers as JSON.
    pub answers: String,
    /// Why the node run that was fetched has failed, if it has.
    pub failure: Option<String>,
}

/// The answers to the requests in a file.
#[derive(Debug, Serialize)]
struct Answers {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Value>,
    fetched: Value,
}

/// The requests in a file.
#[derive(Debug, PartialEq)]
struct Requests {
    /// The body of `POST /v1/runs`.
    run: Option<Value>,
    /// The body of `POST /v1/node-runs`, which may lack the run and the parent.
    create: Option<Map<String, Value>>,
}

impl From<Answers> for Sent {
    fn from(answers: Answers) -> Self {
        Self { answers: pretty(&answers), failure: failure(&answers.fetched) }
    }
}

/// Why a node run has failed (contract §12); `None` if it has not.
fn failure(node: &Value) -> Option<String> {
    if node["state"] != "failed" {
        return None;
    }
    let text = |value: &Value| value.as_str().map(|text| printable(text).into_owned());
    let id = text(&node["node_run_id"]).unwrap_or_default();
    let extensions = &node["extensions"];
    let error = ["completion_error", "jarvis.completion_error"].map(|key| &extensions[key]);
    let error = error.into_iter().find_map(|error| Some((text(&error["code"])?, text(&error["message"])?)));
    let why = error.map(|(code, message)| format!(": {code}: {message}")).unwrap_or_default();
    Some(format!("node run {id} failed{why}"))
}

/// Sends the requests in a file.
pub async fn send_request(remote: &Remote, file: &Path) -> Result<Sent, RemoteError> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| RemoteError::File(format!("cannot read {name}: {error}")))?;
    let Requests { run, create } =
        parse(&text).map_err(|reason| RemoteError::File(format!("{name}: {reason}")))?;
    let Some(start) = run else {
        let (created, fetched) = remote.create_and_fetch(create.unwrap_or_default()).await?;
        return Ok(Answers { run: None, created: Some(created), fetched }.into());
    };
    let run = remote.post("/v1/runs", "start_run", &start).await?;
    let then = async {
        let (id, root) = (member(&run, "run_id")?, member(&run, "root_node_run_id")?);
        let Some(mut create) = create else { return Ok((None, remote.node_run(root).await?)) };
        for (name, value) in [("run_id", id), ("parent_node_run_id", root)] {
            create.entry(name).or_insert_with(|| value.into());
        }
        let (created, fetched) = remote.create_and_fetch(create).await?;
        Ok((Some(created), fetched))
    };
    match then.await {
        Ok((created, fetched)) => Ok(Answers { run: Some(run), created, fetched }.into()),
        Err(error) => {
            let run = run["run_id"].as_str().unwrap_or_default().to_owned();
            Err(RemoteError::AfterStart { run, error: Box::new(error) })
        }
    }
}

/// Parses the text of a file.
fn parse(text: &str) -> Result<Requests, String> {
    let json: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    let Value::Object(mut members) = json else { return Err("not a JSON object".into()) };
    let run = members.remove("run");
    if run.is_none() && !members.contains_key("node_runs") {
        return Err("it has neither `node_runs` (the body of POST /v1/node-runs) nor `run` (the body of POST /v1/runs)"
            .into());
    }
    Ok(Requests { run, create: (!members.is_empty()).then_some(members) })
}

impl Remote {
    async fn create_and_fetch(&self, create: Map<String, Value>) -> Result<(Value, Value), RemoteError> {
        let created = self.post("/v1/node-runs", "create_node_runs", &Value::Object(create)).await?;
        let node = member(&created["node_runs"][0], "node_run_id")?;
        let fetched = self.node_run(node).await?;
        Ok((created, fetched))
    }

    async fn post(&self, path: &str, operation: &'static str, json: &Value) -> Result<Value, RemoteError> {
        let asked = format!("POST {path}");
        self.answer(&asked, verbatim::post(&self.client, path, operation, json)).await
    }

    async fn node_run(&self, id: &str) -> Result<Value, RemoteError> {
        let path = format!("/v1/node-runs/{}", encode_path(id));
        self.answer(&format!("GET {path}"), verbatim::get(&self.client, &path, "get_node_run")).await
    }
}

fn member<'a>(answer: &'a Value, name: &str) -> Result<&'a str, RemoteError> {
    let text = answer[name].as_str();
    text.ok_or_else(|| RemoteError::Setup(format!("unexpected answer without {name}: {answer}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: &Value) -> Option<Map<String, Value>> {
        json.as_object().cloned()
    }

    #[test]
    fn file_starts_a_run_or_creates_node_runs_or_both() {
        let children = json!({"run_id": "r", "parent_node_run_id": "p", "node_runs": []});
        for (file, run, create) in [
            (children.clone(), None, object(&children)),
            (json!({"run": {"a": 1}}), Some(json!({"a": 1})), None),
            (json!({"run": {}, "node_runs": 1}), Some(json!({})), object(&json!({"node_runs": 1}))),
            // Sent as it is: the server reports what is wrong.
            (json!({"run": 1, "nodes": 1}), Some(json!(1)), object(&json!({"nodes": 1}))),
        ] {
            assert_eq!(parse(&file.to_string()), Ok(Requests { run, create }), "{file}");
        }
    }

    #[test]
    fn failed_node_run_is_a_failure_with_its_error() {
        let node = |state: &str, extensions: Value| {
            failure(&json!({"node_run_id": "n", "state": state, "extensions": extensions}))
        };
        let error = json!({"code": "timeout", "message": "too\nlate"});
        for key in ["completion_error", "jarvis.completion_error"] {
            let failed = node("failed", json!({key: error}));
            assert_eq!(failed.as_deref(), Some("node run n failed: timeout: too\\nlate"));
        }
        assert_eq!(node("failed", json!({})).as_deref(), Some("node run n failed"));
        for state in ["queued", "running", "succeeded", "canceled"] {
            assert_eq!(node(state, json!({"completion_error": error})), None);
        }
    }

    #[test]
    fn file_without_requests_is_refused() {
        for (text, reason) in [
            ("", "not JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "not a JSON object"),
            ("{\"root_node_type_ref\": {}}", "it has neither `node_runs` "),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
