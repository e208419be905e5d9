//! Stacks for tests: one complete stack per profile, which all tests share, and parts of
//! a test's own beside it.

use std::{
    cell::Cell,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    thread,
};

use jarvis_run_coordinator::{
    clients::{Peer, Service, node_registry},
    types::{NodeRunId, RunId},
};
use jarvis_stack::{Blueprint, Coordinator, Part, Profile, Stack, TESTER};
use tempfile::TempDir;
use xtask_support::{
    process::{self, Log},
    venv::{self, Venv},
    workspace,
};

use super::{Caller, soon};

/// The pinned version of the services and of their node types.
pub const VERSION: &str = "0.3.8";

/// The number of log lines of each shared part that a failed test prints.
const LAST_LINES: usize = 200;

/// The shared stack of a profile, with parts of the test's own.
pub struct TestStack {
    shared: &'static Stack,
    own: Option<Own>,
    /// A caller of our program.
    pub coordinator: Caller,
    /// A caller of the gateway, as users call it.
    pub gateway: Caller,
}

/// The parts of a test's own.
struct Own {
    stack: Stack,
    _folder: TempDir,
}

impl TestStack {
    /// The complete stack of a profile, for tests that do not disturb others.
    pub fn shared(profile: Profile) -> Self {
        Self::of(shared(profile), None)
    }

    /// The shared stack with these parts of the test's own, with a changed blueprint.
    pub fn beside(profile: Profile, own: &[Part], change: impl FnOnce(Blueprint) -> Blueprint) -> Self {
        let shared = shared(profile);
        let folder = tempfile::tempdir().expect("a folder");
        let blueprint = shared.blueprint.beside(own, folder.path().to_owned()).expect("free ports");
        let stack = Stack::start(change(blueprint)).expect("the stack starts");
        Self::of(shared, Some(Own { stack, _folder: folder }))
    }

    /// Our program with its journal alone: without stores and authentication, and with a
    /// policy that allows everything. Of the services it uses the Node Registry and the
    /// Atomic Executor.
    pub fn embedded() -> Self {
        Self::embedded_with(&[Part::Coordinator], |blueprint| blueprint)
    }

    /// [`TestStack::embedded`] with further parts of the test's own, with a changed
    /// blueprint.
    pub fn embedded_with(own: &[Part], change: impl FnOnce(Blueprint) -> Blueprint) -> Self {
        let without = [
            "JARVIS_RUN_STORE_URL",
            "JARVIS_EVENT_STREAM_URL",
            "JARVIS_ARTIFACT_STORE_URL",
            "JARVIS_COMPOSITE_EXECUTOR_URL",
            "JARVIS_PDP_URL",
            "JARVIS_SELECTION_URL",
            "ARP_AUTH_CLIENT_ID",
            "ARP_AUTH_CLIENT_SECRET",
        ];
        Self::beside(Profile::DevInsecure, own, |mut blueprint| {
            for name in without {
                blueprint = blueprint.with(Part::Coordinator, name, "");
            }
            change(blueprint.with(Part::Coordinator, "JARVIS_POLICY_PROFILE", "dev-allow"))
        })
    }

    fn of(shared: &'static Stack, own: Option<Own>) -> Self {
        let stack = own.as_ref().map_or(shared, |own| &own.stack);
        let (coordinator, gateway) = (caller(stack, Part::Coordinator), caller(stack, Part::Gateway));
        Self { shared, own, coordinator, gateway }
    }

    /// A caller of a part.
    pub fn caller(&self, part: Part) -> Caller {
        caller(self.stack(part), part)
    }

    /// A token for a part, if it requires one.
    pub fn token(&self, part: Part) -> Option<String> {
        self.stack(part).token(TESTER, part).expect("a token")
    }

    /// The stack that a part belongs to.
    fn stack(&self, part: Part) -> &Stack {
        match &self.own {
            Some(own) if own.stack.blueprint.own().contains(&part) => &own.stack,
            Some(_) | None => self.shared,
        }
    }

    fn own(&self, part: Part) -> &Stack {
        let own = self.own.as_ref().map(|own| &own.stack);
        let own = own.filter(|stack| stack.blueprint.own().contains(&part));
        own.unwrap_or_else(|| panic!("the {} is not this test's own", part.name()))
    }

    /// Kills a part with SIGKILL.
    pub fn stop(&self, part: Part) {
        self.own(part).stop(part);
    }

    /// Starts a part again, on the same port and with the same data.
    pub fn start(&self, part: Part) {
        self.own(part).start_parts(&[part]).expect("the part starts again");
    }

    /// Ends the coordinator, and starts our program in its place.
    pub fn replace_coordinator(&mut self) {
        let own = self.own.as_mut().expect("parts of its own");
        own.stack.blueprint.coordinator = ours();
        self.start(Part::Coordinator);
    }

    /// Sets a variable of a part for its next start.
    pub fn set(&mut self, part: Part, name: &str, value: &str) {
        let own = self.own.as_mut().expect("parts of its own");
        own.stack.blueprint = own.stack.blueprint.clone().with(part, name, value);
    }

    pub fn log(&self, part: Part) -> Arc<Log> {
        self.stack(part).log(part)
    }

    /// Runs the `arp-jarvis` command line with these arguments; returns its output.
    pub async fn cli(&self, args: &[&str]) -> String {
        let mut command = self.own.as_ref().map_or(self.shared, |own| &own.stack).blueprint.cli();
        command.args(args);
        let (printed, succeeded) = output_of("arp-jarvis", command).await;
        assert!(succeeded, "arp-jarvis {args:?} prints: {printed}");
        printed
    }

    /// A client of the registry, which needs no token.
    pub fn registry(&self) -> node_registry::Client {
        let url = self.stack(Part::NodeRegistry).url(Part::NodeRegistry);
        let peer = Peer::anonymous(Service::NodeRegistry);
        node_registry::Client::new_with_client(&url, reqwest::Client::new(), peer)
    }

    /// Waits until a part has logged `what` about a node.
    pub fn said(&self, part: Part, what: &str, node: &NodeRunId) {
        let find = |line: &str| (line.contains(what) && line.contains(node.as_str())).then_some(());
        self.log(part).line(what, find).expect("the log line");
    }

    /// Waits until the Atomic Executor has received a node.
    pub fn executor_has(&self, node: &NodeRunId) {
        self.said(Part::AtomicExecutor, "Atomic execute requested", node);
    }

    /// Waits until the Atomic Executor has received a node of this type of a run; returns
    /// its id.
    pub fn executes(&self, run: &RunId, node_type: &str) -> NodeRunId {
        let words = ["Atomic execute requested", run.as_str(), node_type];
        let find = |line: &str| {
            let (_, id) =
                line.split_once("node_run_id=").filter(|_| words.iter().all(|word| line.contains(word)))?;
            Some(NodeRunId::from(id.split(',').next()?))
        };
        self.log(Part::AtomicExecutor).line(node_type, find).expect("the execution")
    }

    /// Waits until the Atomic Executor has received a node `times` times; asserts that it
    /// was not more often.
    pub fn executed(&self, node: &NodeRunId, times: usize) {
        let words = ["Atomic execute requested", node.as_str()];
        let log = self.log(Part::AtomicExecutor);
        if times > 0 {
            let seen = Cell::new(0);
            let find = |line: &str| {
                seen.set(seen.get() + usize::from(words.iter().all(|word| line.contains(word))));
                (seen.get() == times).then_some(())
            };
            log.line(&format!("{times} executions of {node}"), find).expect("the execution");
        }
        assert_eq!(log.count(&words), times, "executions of {node}");
    }

    /// Waits until our program has logged a message.
    pub fn logged(&self, message: &str) {
        let find = |line: &str| line.contains(message).then_some(());
        self.log(Part::Coordinator).line(message, find).expect("the log line");
    }
}

impl Drop for TestStack {
    fn drop(&mut self) {
        if thread::panicking() {
            // Parts of the test's own print their whole logs when they end.
            for part in Part::ALL {
                if self.own.as_ref().is_none_or(|own| !own.stack.blueprint.own().contains(&part)) {
                    self.shared.log(part).print_last(LAST_LINES);
                }
            }
        }
    }
}

fn caller(stack: &Stack, part: Part) -> Caller {
    let token = stack.token(TESTER, part).expect("a token");
    Caller::new(&stack.blueprint.direct_url(part), token)
}

/// The shared stack of a profile, started by the first test that needs it. It ends with
/// this process: see `attended.py`.
fn shared(profile: Profile) -> &'static Stack {
    static DEV_INSECURE: OnceLock<(Stack, TempDir)> = OnceLock::new();
    static JWT: OnceLock<(Stack, TempDir)> = OnceLock::new();
    let of_profile = match profile {
        Profile::DevInsecure => &DEV_INSECURE,
        Profile::Jwt => &JWT,
    };
    let start = || {
        let folder = tempfile::tempdir().expect("a folder");
        let blueprint = Blueprint::new(venv().clone(), profile, ours(), folder.path().to_owned());
        (Stack::start(blueprint.expect("free ports")).expect("the stack starts"), folder)
    };
    &of_profile.get_or_init(start).0
}

/// Our program, built by the first test that asks for it.
fn ours() -> Coordinator {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || workspace::build_program(false).unwrap_or_else(|error| panic!("{error:#}"));
    Coordinator::Ours(PROGRAM.get_or_init(build).clone())
}

/// A command that runs a script of this folder with the Python of the environment.
pub fn python(script: &str) -> Command {
    let mut command = process::command(venv().python(), [("PYTHONDONTWRITEBYTECODE", "1")]);
    command.arg(venv().script(script));
    command
}

/// Runs a command to its end; returns its output and whether it succeeded. Its standard
/// error is printed.
pub async fn output_of(what: &str, command: Command) -> (String, bool) {
    let mut command = tokio::process::Command::from(command);
    let output = soon(what, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.unwrap_or_else(|error| panic!("start {what}: {error}"));
    print!("{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.success())
}

/// The Python environment, made by the first test that needs it. A failure fails all
/// tests.
pub(super) fn venv() -> &'static Venv {
    static VENV: OnceLock<Result<Venv, String>> = OnceLock::new();
    let venv = VENV.get_or_init(|| venv::ensure(&workspace::root()).map_err(|error| format!("{error:#}")));
    venv.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// The Python environment with the stores of 0.3.5.
pub fn old_stores() -> Venv {
    venv::ensure_old_stores(&workspace::root()).expect("an environment")
}
