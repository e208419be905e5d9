//! Starts a run at a coordinator, prints its events as they happen, and then its
//! outputs. Fails if the run fails, with the run's error.
//!
//! ```sh
//! cargo run -- demo --keep    # a coordinator with small executors, in another terminal
//! cargo run --example start_and_follow -- http://127.0.0.1:8081 atomic.nap '{"seconds": 2}'
//! ```
//!
//! The variable `JARVIS_RUN_COORDINATOR_TOKEN` may hold a bearer token.

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use jarvis_run_coordinator::{
    clients::{self, RunEvents},
    time::SystemClock,
    types::{JsonObject, NodeTypeRef, RunStartRequest, RunState},
};

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let token = env::var("JARVIS_RUN_COORDINATOR_TOKEN").ok();
    let [url, node_type, input] = words.as_slice() else {
        eprintln!("usage: start_and_follow <url> <node type> <input, a JSON object>");
        return ExitCode::from(2);
    };
    match run(url, token.as_deref(), node_type, input, &mut io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

pub async fn run(
    url: &str,
    token: Option<&str>,
    node_type: &str,
    input: &str,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let client = clients::coordinator(url, token)?;
    let input: JsonObject = serde_json::from_str(input)?;
    let root_node_type_ref =
        NodeTypeRef { node_type_id: node_type.into(), version: "1.0.0".into(), extensions: None };
    let request = RunStartRequest {
        run_id: None,
        root_node_type_ref,
        input,
        run_context: None,
        constraints: None,
        metadata: None,
        extensions: None,
    };
    let run = client.call(client.start_run(&request)).await?;
    writeln!(out, "{} is {}", run.run_id, run.state)?;

    // Follows the run to its end. A broken stream is resumed after the last event.
    let mut events = RunEvents::follow(client.clone(), run.run_id.clone(), Arc::new(SystemClock));
    while let Some(event) = events.next().await? {
        let node = event.node_run_id.as_ref().map_or("", |node| node.as_str());
        writeln!(out, "{:>4} {:<24} {node}", event.seq, event.type_.to_string())?;
    }

    let run = client.call(client.get_run(&run.run_id)).await?;
    if run.state != RunState::Succeeded {
        // What a failed run has failed with: code, message, and the node run at fault.
        let error = run.extensions.and_then(|extensions| extensions.get("jarvis.error")).unwrap_or_default();
        return Err(format!("{} has {}: {error}", run.run_id, run.state).into());
    }
    let root = client.call(client.get_node_run(&run.root_node_run_id)).await?;
    let outputs = serde_json::to_string(&root.outputs.unwrap_or_default())?;
    writeln!(out, "{} has {}: {outputs}", run.run_id, run.state)?;
    Ok(())
}
