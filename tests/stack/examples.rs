//! The other examples of `docs/examples.md` that are in Python, together: the agent, the
//! policy decision point that it is judged by, and the load. The agent in Rust has its
//! test among the integration tests.

use std::net::TcpListener;

use jarvis_run_coordinator::types::{NodeRunState, Run, RunState};
use jarvis_stack::Part;
use reqwest::Method;
use serde_json::{Value, json};
use xtask_support::process::Process;

use crate::{
    example_executor::serve,
    support::{TestStack, completion_error, output_of, python, until},
};

/// Our program with the agent and the policy of the examples.
struct World {
    t: TestStack,
    operators: String,
    agent: Process,
    _pdp: Process,
}

impl World {
    fn start() -> Self {
        let (agent, agent_url) = serve("agent.py", &[]);
        let (pdp, pdp_url) = serve("pdp.py", &["--rules", "examples/policy.json"]);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let operators = format!("127.0.0.1:{}", port.expect("a port").port());
        let vars = [
            ("JARVIS_ATOMIC_EXECUTOR_URL", agent_url.as_str()),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", &agent_url),
            ("JARVIS_PDP_URL", &pdp_url),
            ("JARVIS_RUN_COORDINATOR_APPROVALS", "park"),
            ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", &operators),
        ];
        let t = TestStack::embedded_with(&[Part::Coordinator], |blueprint| {
            vars.iter()
                .fold(blueprint, |blueprint, (name, value)| blueprint.with(Part::Coordinator, name, value))
        });
        Self { t, operators: format!("http://{operators}"), agent, _pdp: pdp }
    }

    /// Starts the agent: it may take five steps, and spend what two of its tools cost
    /// and half of what a third one does.
    async fn run(&self) -> Run {
        let agent = json!({"node_type_id": "composite.agent", "version": "1.0.0"});
        let input = json!({"cities": ["Zurich", "Lugano", "Basel", "Bern"], "send_to": "ada@example.com"});
        let budgets = json!({"max_steps": 5, "max_cost": 0.05});
        let constraints = json!({"constraints": {"budgets": budgets}});
        self.t.coordinator.run_start_with(&agent, input, constraints).await
    }

    /// Waits until the letter of a run waits for an approval, and decides it. Returns what
    /// the list said of it.
    async fn decide(&self, run: &Run, verb: &str) -> Value {
        let caller = self.t.coordinator.at(&self.operators);
        let path = format!("/x/approvals?run_id={}", run.run_id);
        let approval = until("an approval that waits", async || {
            let page: Value = caller.request(Method::GET, &path).send().await.ok()?.json().await.ok()?;
            page["items"].get(0).cloned()
        })
        .await;
        let id = approval["approval_id"].as_str().expect("an id");
        let path = format!("/x/approvals/{id}:{verb}");
        let (status, decided) = caller.post(&path, &json!({"reason": "it was read"})).await;
        assert_eq!(status.as_u16(), 200, "{decided}");
        approval
    }
}

#[tokio::test]
async fn agent_keeps_its_budget_and_waits_for_an_approval() {
    let world = World::start();
    let run = world.run().await;
    let approval = world.decide(&run, "approve").await;
    assert_eq!(approval["node_type_ref"]["node_type_id"], "atomic.send_letter");
    assert_eq!(approval["reason_code"], "letters_are_read_first", "policy and plan demand the same one");
    assert_eq!(world.agent.log().count(&["letter to"]), 0);

    let (run, root, events) = world.t.coordinator.run_ended(&run.run_id).await;
    assert_eq!((run.state, root.state), (RunState::Succeeded, NodeRunState::Succeeded));
    let outputs = serde_json::to_value(&root.outputs).expect("JSON");
    assert_eq!(outputs["sent"], true);
    // One city was too much for the steps, and one of the others for the money.
    assert_eq!(outputs["unknown"].as_array().map(Vec::len), Some(2), "{outputs}");
    let text = outputs["text"].as_str().expect("a text");
    let sent =
        world.agent.log().line("the letter", |line| line.strip_prefix("letter to ").map(str::to_owned));
    assert_eq!(sent.expect("it was sent"), format!("ada@example.com: {text}"));
    assert_eq!(world.agent.log().count(&["letter to"]), 1);
    let budget = run.extensions.expect("extensions").value("jarvis.budget");
    assert_eq!((&budget["used"]["cost"], &budget["used"]["steps"]), (&json!(0.04), &json!(5)), "{budget}");
    let evidence = events.iter().filter_map(|event| event.data.as_ref()?.text("policy_version"));
    assert_eq!(evidence.collect::<Vec<_>>().first().map(String::as_str), Some("1"));

    // Without the approval there is a report all the same, and no letter.
    let run = world.run().await;
    world.decide(&run, "deny").await;
    let (run, root, _) = world.t.coordinator.run_ended(&run.run_id).await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(serde_json::to_value(&root.outputs).expect("JSON")["sent"], false);
    assert_eq!(world.agent.log().count(&["letter to"]), 1);

    // The policy denies what its first rule fits.
    let bern = json!({"city": "Bern"});
    let suspended = json!({"run_context": {"tenant_id": "suspended"}});
    let run = world.t.coordinator.run_start_with(&look_up(), bern, suspended).await;
    let root = world.t.coordinator.node(&run.root_node_run_id).await;
    assert_eq!((run.state, &completion_error(&root)["code"]), (RunState::Failed, &json!("policy_denied")));

    let url = &world.t.coordinator.url;
    let load = |city: &str| {
        let mut command = python("../../examples/load.py");
        command.args(["--url", url, "--runs", "30", "--clients", "3", "--node-type", "atomic.look_up"]);
        command.args(["--input", &json!({"city": city}).to_string()]);
        output_of("the load", command)
    };
    let (printed, succeeded) = load("Bern").await;
    let lines: Vec<&str> = printed.lines().collect();
    assert!(succeeded && lines.len() == 2, "{printed}");
    assert!(lines[0].starts_with("30 runs in ") && lines[0].ends_with(" runs/s"), "{printed}");
    assert!(lines[1].starts_with("p50 ") && lines[1].contains(" ms, p99 "), "{printed}");
    let (printed, succeeded) = load("Paris").await;
    assert!(!succeeded && printed.ends_with("failed: 30 times: the run is failed\n"), "{printed}");
}

#[tokio::test]
async fn policy_that_is_not_understood_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rules.json");
    for (rule, refused) in [
        (json!({"if": {"tenant": "a"}, "decision": "deny", "reason": "r"}), "this rule is not understood"),
        (json!({"if": {}, "decision": "maybe", "reason": "r"}), "this rule is not understood"),
        (json!({"decision": "deny", "reason": "r"}), "KeyError"),
    ] {
        let content = json!({"version": "1", "rules": [rule]});
        std::fs::write(&rules, content.to_string()).expect("written");
        let mut command = python("../../examples/pdp.py");
        let output = command.arg("--rules").arg(&rules).output().expect("it starts");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(refused), "{error}");
    }
}

fn look_up() -> Value {
    json!({"node_type_id": "atomic.look_up", "version": "1.0.0"})
}
