//! Stacks for tests: one whole stack a profile, which all tests share, and
//! beside it what a test is going to break, of its own.

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
use jarvis_stack::{Blueprint, Coordinator, Part, Profile, Stack};
use tempfile::TempDir;
use xtask_support::{
    process::{self, Log},
    venv::{self, Venv},
    workspace,
};

use super::{Caller, soon};

/// Of the services and of the node types that they bring, as pinned.
pub const VERSION: &str = "0.3.8";

/// How many of the last lines of a part that is shared a failed test prints.
const LAST_LINES: usize = 200;

pub struct TestStack {
    shared: &'static Stack,
    own: Option<Own>,
    /// Calls our program directly.
    pub coordinator: Caller,
    /// Calls it as users do.
    pub gateway: Caller,
}

/// What a test has of its own.
struct Own {
    stack: Stack,
    _folder: TempDir,
}

impl TestStack {
    /// The whole stack that all tests of a profile share: for those who disturb
    /// nobody.
    pub fn shared(profile: Profile) -> Self {
        Self::of(shared(profile), None)
    }

    /// The shared stack, but with these parts of its own, changed like this.
    pub fn beside(profile: Profile, own: &[Part], change: impl FnOnce(Blueprint) -> Blueprint) -> Self {
        let shared = shared(profile);
        let folder = tempfile::tempdir().expect("a folder");
        let blueprint = shared.blueprint.beside(own, folder.path().to_owned()).expect("free ports");
        let stack = Stack::start(change(blueprint)).expect("it starts");
        Self::of(shared, Some(Own { stack, _folder: folder }))
    }

    /// Our program on its journal alone: without stores, without authentication,
    /// allowing everything; of the services it knows the Node Registry and the
    /// Atomic Executor.
    pub fn embedded() -> Self {
        Self::embedded_with(&[Part::Coordinator], |blueprint| blueprint)
    }

    /// The same with further parts of its own, changed like this.
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

    /// One who calls a part directly.
    pub fn caller(&self, part: Part) -> Caller {
        caller(self.stack(part), part)
    }

    /// A token for calling a part, if it demands any.
    pub fn token(&self, part: Part) -> Option<String> {
        self.stack(part).token("a-test", part).expect("a token")
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

    /// kill -9.
    pub fn stop(&self, part: Part) {
        self.own(part).stop(part);
    }

    /// Starts a part again, where it was and with its data.
    pub fn start(&self, part: Part) {
        self.own(part).start_parts(&[part]).expect("it starts again");
    }

    /// Ends the coordinator and starts our program in its place.
    pub fn replace_coordinator(&mut self) {
        let own = self.own.as_mut().expect("parts of its own");
        own.stack.blueprint.coordinator = ours();
        self.start(Part::Coordinator);
    }

    /// For when it is started again.
    pub fn set(&mut self, part: Part, name: &str, value: &str) {
        let own = self.own.as_mut().expect("parts of its own");
        own.stack.blueprint = own.stack.blueprint.clone().with(part, name, value);
    }

    pub fn log(&self, part: Part) -> Arc<Log> {
        self.stack(part).log(part)
    }

    /// The `arp-jarvis` command line with these arguments: what it prints.
    pub async fn cli(&self, args: &[&str]) -> String {
        let mut command = self.own.as_ref().map_or(self.shared, |own| &own.stack).blueprint.cli();
        command.args(args);
        let (printed, succeeded) = output_of("arp-jarvis", command).await;
        assert!(succeeded, "arp-jarvis {args:?} prints: {printed}");
        printed
    }

    /// A client of the registry, which lets in whoever comes without a token.
    pub fn registry(&self) -> node_registry::Client {
        let url = self.stack(Part::NodeRegistry).url(Part::NodeRegistry);
        let peer = Peer::anonymous(Service::NodeRegistry);
        node_registry::Client::new_with_client(&url, reqwest::Client::new(), peer)
    }

    /// Waits until a part says this about a node.
    pub fn said(&self, part: Part, what: &str, node: &NodeRunId) {
        let find = |line: &str| (line.contains(what) && line.contains(node.as_str())).then_some(());
        self.log(part).line(what, find).expect("it says so");
    }

    /// Waits until the Atomic Executor has begun a node.
    pub fn executor_has(&self, node: &NodeRunId) {
        self.said(Part::AtomicExecutor, "Atomic execute requested", node);
    }

    /// Waits until the Atomic Executor has begun a node of this type for a run.
    pub fn executes(&self, run: &RunId, node_type: &str) -> NodeRunId {
        let words = ["Atomic execute requested", run.as_str(), node_type];
        let find = |line: &str| {
            let (_, id) =
                line.split_once("node_run_id=").filter(|_| words.iter().all(|word| line.contains(word)))?;
            Some(NodeRunId::from(id.split(',').next()?))
        };
        self.log(Part::AtomicExecutor).line(node_type, find).expect("it begins it")
    }

    /// It has begun a node so often, and no more. Waits until it says so.
    pub fn executed(&self, node: &NodeRunId, times: usize) {
        let words = ["Atomic execute requested", node.as_str()];
        let log = self.log(Part::AtomicExecutor);
        if times > 0 {
            let seen = Cell::new(0);
            let find = |line: &str| {
                seen.set(seen.get() + usize::from(words.iter().all(|word| line.contains(word))));
                (seen.get() == times).then_some(())
            };
            log.line(&format!("{times} executions of {node}"), find).expect("it begins it");
        }
        assert_eq!(log.count(&words), times, "executions of {node}");
    }

    /// Waits until our program has logged this.
    pub fn logged(&self, message: &str) {
        let find = |line: &str| line.contains(message).then_some(());
        self.log(Part::Coordinator).line(message, find).expect("it logs that");
    }
}

impl Drop for TestStack {
    fn drop(&mut self) {
        if thread::panicking() {
            // Each part of its own prints everything when it ends.
            for part in Part::ALL {
                if self.own.as_ref().is_none_or(|own| !own.stack.blueprint.own().contains(&part)) {
                    self.shared.log(part).print_last(LAST_LINES);
                }
            }
        }
    }
}

fn caller(stack: &Stack, part: Part) -> Caller {
    let token = stack.token("a-test", part).expect("a token");
    Caller::new(&stack.blueprint.direct_url(part), token)
}

/// Started by the first who asks. It ends with this process: see `attended.py`.
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
        (Stack::start(blueprint.expect("free ports")).expect("it starts"), folder)
    };
    &of_profile.get_or_init(start).0
}

/// Our program, built by the first test that asks for it.
fn ours() -> Coordinator {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let build = || workspace::build_program(false).unwrap_or_else(|error| panic!("{error:#}"));
    Coordinator::Ours(PROGRAM.get_or_init(build).clone())
}

/// The venv's python with a script of this folder.
pub fn python(script: &str) -> Command {
    let mut command = process::command(venv().python(), [("PYTHONDONTWRITEBYTECODE", "1")]);
    command.arg(venv().script(script));
    command
}

/// Runs a command to its end: its output, and whether it succeeded. What it
/// writes to stderr is printed.
pub async fn output_of(what: &str, command: Command) -> (String, bool) {
    let mut command = tokio::process::Command::from(command);
    let output = soon(what, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.unwrap_or_else(|error| panic!("start {what}: {error}"));
    print!("{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.success())
}

/// Made by the first who asks; what was wrong then is wrong for all.
pub(super) fn venv() -> &'static Venv {
    static VENV: OnceLock<Result<Venv, String>> = OnceLock::new();
    let venv = VENV.get_or_init(|| venv::ensure(&workspace::root()).map_err(|error| format!("{error:#}")));
    venv.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// With the stores of 0.3.5.
pub fn old_stores() -> Venv {
    venv::ensure_old_stores(&workspace::root()).expect("an environment")
}
