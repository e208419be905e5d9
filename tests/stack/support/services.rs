//! The real Node Registry, Atomic Executor and Policy Decision Point.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use jarvis_run_coordinator::{
    clients::{Peer, Service as Kind, node_registry},
    ids::NodeRunId,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use xtask::venv::{self, Venv};

use super::{
    openid::Provider,
    process::{self, Process},
};

const REGISTRY: &str = "arp-jarvis-node-registry";
const EXECUTOR: &str = "arp-jarvis-atomic-executor";
const PDP: &str = "arp-jarvis-pdp";

/// Of the services and of the node types that they bring, as pinned.
pub const VERSION: &str = "0.3.8";

/// One of each, for all tests. They end with this process: see `attended.py`.
pub struct Services {
    pub registry: Service,
    pub executor: Service,
}

pub struct Service {
    process: Process,
    pub url: String,
    pub port: u16,
}

impl Services {
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Services> = OnceCell::const_new();
        let start = async || {
            let (registry, executor) = tokio::join!(Service::registry(0, true), Service::executor());
            Self { registry, executor }
        };
        SHARED.get_or_init(start).await
    }
}

impl Service {
    /// A Node Registry on this port (0: a free one), with the types of the node
    /// pack or without any.
    pub async fn registry(port: u16, seed: bool) -> Self {
        let seed = if seed { "true" } else { "false" };
        let vars =
            [("JARVIS_NODE_REGISTRY_DB_URL", "sqlite:///:memory:"), ("JARVIS_NODE_REGISTRY_SEED", seed)];
        Self::start(REGISTRY, port, &vars).await
    }

    /// A Policy Decision Point on this port (0: a free one). Without a profile
    /// it denies everything.
    pub async fn pdp(port: u16, profile: &str) -> Self {
        Self::start(PDP, port, &[("JARVIS_POLICY_PROFILE", profile)]).await
    }

    /// A Policy Decision Point that decides by the policy in this file, and
    /// asks this Node Registry about types, with tokens of this provider: it
    /// takes them along where nobody needs any.
    pub async fn pdp_with_policy(policy: &Path, registry: &str, provider: &Provider) -> Self {
        let policy = policy.display().to_string();
        let of_provider = provider.variables("arp-pdp");
        let mut vars: Vec<_> = of_provider.iter().map(|(name, value)| (*name, value.as_str())).collect();
        vars.extend([
            ("ARP_AUTH_PROFILE", "dev-insecure"),
            ("JARVIS_POLICY_PATH", &policy),
            ("JARVIS_NODE_REGISTRY_URL", registry),
        ]);
        Self::start(PDP, 0, &vars).await
    }

    async fn executor() -> Self {
        Self::start(EXECUTOR, 0, &[]).await
    }

    /// An Atomic Executor on this port (0: a free one) that demands tokens, as
    /// these variables say.
    pub async fn guarded_executor(port: u16, vars: &[(&str, String)]) -> Self {
        let vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self::start(EXECUTOR, port, &vars).await
    }

    async fn start(program: &str, port: u16, vars: &[(&str, &str)]) -> Self {
        let mut all = vec![("ARP_AUTH_PROFILE", "dev-insecure"), ("PYTHONUNBUFFERED", "1")];
        all.extend(vars);
        let mut command = attended(&venv().program(program), &all);
        command.args(["--port", &port.to_string()]).current_dir(env::temp_dir());
        let process = Process::start(program, command);
        let url = process
            .line("its address", |line| {
                let (_, rest) = line.split_once("Uvicorn running on ")?;
                Some(rest.split_whitespace().next()?.to_owned())
            })
            .await;
        let health = reqwest::get(format!("{url}/v1/health")).await.expect("it answers");
        let health: Value = health.json().await.expect("JSON");
        assert_eq!(health["status"], "ok", "{program}");
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { process, url, port }
    }

    /// A client of a registry.
    pub fn as_registry(&self) -> node_registry::Client {
        let peer = Peer::anonymous(Kind::NodeRegistry);
        node_registry::Client::new_with_client(&self.url, reqwest::Client::new(), peer)
    }

    /// Waits until an executor says this about a node.
    pub async fn said(&self, what: &str, node: &NodeRunId) {
        self.process
            .line(what, |line| (line.contains(what) && line.contains(node.as_str())).then_some(()))
            .await;
    }

    /// How often an executor has begun a node.
    pub fn executions(&self, node: &NodeRunId) -> usize {
        self.process.count(&["Atomic execute requested", node.as_str()])
    }

    pub fn print_output(&self) {
        self.process.print_output();
    }
}

/// The venv's python with a script of this folder.
pub fn python(script: &str) -> Command {
    let mut command = process::command(venv().python(), &[]);
    command.arg(root().join("tests/stack").join(script));
    command
}

/// A program that does not outlive us, in an environment of these variables.
pub fn attended(program: &Path, vars: &[(&str, &str)]) -> Command {
    let mut command = process::command(venv().python(), vars);
    // Isolated and without packages: it starts quickly.
    command.args(["-I", "-S"]).arg(root().join("tests/stack/attended.py")).arg(program);
    command
}

pub fn echo_type() -> Value {
    json!({"node_type_id": "jarvis.core.echo", "version": VERSION})
}

pub fn sleep_type() -> Value {
    json!({"node_type_id": "jarvis.core.sleep", "version": VERSION})
}

/// Made by the first who asks; what was wrong then is wrong for all.
fn venv() -> &'static Venv {
    static VENV: OnceLock<Result<Venv, String>> = OnceLock::new();
    let venv = VENV.get_or_init(|| venv::ensure(&root()).map_err(|error| format!("{error:#}")));
    venv.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

/// Asked at run time, because worktrees may share one build directory.
pub fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).into(), PathBuf::from)
}
