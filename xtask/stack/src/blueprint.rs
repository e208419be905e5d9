//! What belongs to a stack, where each part is, and how it is started.
//!
//! ```text
//!   arp-jarvis (CLI) ──▶ gateway ──▶ COORDINATOR ──▶ run store, event stream, artifact store
//!                                     │    ▲    └──▶ node registry, PDP, atomic executor
//!                                     ▼    │
//!                           composite executor ──▶ selection ──▶ node registry
//!                                     └────────────────┴──▶ model (scripted)
//!                       everybody ──▶ STS
//! ```
//!
//! All addresses are known before anything is started: so parts may be started
//! in any order, each by itself, and again at the same place.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use xtask_support::{process, venv::Venv};

/// A process of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Sts,
    Model,
    RunStore,
    EventStream,
    ArtifactStore,
    NodeRegistry,
    Pdp,
    AtomicExecutor,
    CompositeExecutor,
    Selection,
    Coordinator,
    Gateway,
}

impl Part {
    pub const ALL: [Self; 12] = [
        Self::Sts,
        Self::Model,
        Self::RunStore,
        Self::EventStream,
        Self::ArtifactStore,
        Self::NodeRegistry,
        Self::Pdp,
        Self::AtomicExecutor,
        Self::CompositeExecutor,
        Self::Selection,
        Self::Coordinator,
        Self::Gateway,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Sts => "sts",
            Self::Model => "model",
            Self::RunStore => "run-store",
            Self::EventStream => "event-stream",
            Self::ArtifactStore => "artifact-store",
            Self::NodeRegistry => "node-registry",
            Self::Pdp => "pdp",
            Self::AtomicExecutor => "atomic-executor",
            Self::CompositeExecutor => "composite-executor",
            Self::Selection => "selection",
            Self::Coordinator => "coordinator",
            Self::Gateway => "gateway",
        }
    }

    /// Whom tokens for it are for: what its callers ask for by default.
    pub fn audience(self) -> &'static str {
        match self {
            Self::Sts => "arp-sts",
            Self::Model => "arp-model",
            Self::RunStore => "arp-jarvis-runstore",
            Self::EventStream => "arp-jarvis-eventstream",
            Self::ArtifactStore => "arp-jarvis-artifactstore",
            Self::NodeRegistry => "arp-jarvis-noderegistry",
            Self::Pdp => "arp-jarvis-pdp",
            Self::AtomicExecutor => "arp-jarvis-atomicexecutor",
            Self::CompositeExecutor => "arp-jarvis-compositeexecutor",
            Self::Selection => "arp-jarvis-selection",
            Self::Coordinator => "arp-run-coordinator",
            Self::Gateway => "arp-run-gateway",
        }
    }

    /// When it is started. With tokens required, services read the STS's keys at
    /// their start; and a coordinator says that what it calls is not there.
    pub(super) fn turn(self) -> Turn {
        match self {
            Self::Sts => Turn::First,
            Self::Coordinator => Turn::Last,
            Self::Model
            | Self::RunStore
            | Self::EventStream
            | Self::ArtifactStore
            | Self::NodeRegistry
            | Self::Pdp
            | Self::AtomicExecutor
            | Self::CompositeExecutor
            | Self::Selection
            | Self::Gateway => Turn::Then,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Then,
    Last,
}

/// Whether callers have to say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Profile {
    /// Nobody asks for tokens.
    DevInsecure,
    /// Every service demands a token of the STS, for its own audience.
    Jwt,
}

impl Profile {
    pub fn name(self) -> &'static str {
        match self {
            Self::DevInsecure => "dev-insecure",
            Self::Jwt => "jwt",
        }
    }
}

/// What runs in the coordinator's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// Our program, at this path.
    Ours(PathBuf),
    /// `arp-jarvis-run-coordinator`.
    Python,
}

/// A variable of the environment.
pub type Var = (String, String);

#[derive(Clone, Debug)]
pub struct Blueprint {
    pub profile: Profile,
    pub coordinator: Coordinator,
    /// Of data and logs.
    pub folder: PathBuf,
    venv: Venv,
    /// Of the stores, if they are of another version.
    stores: Option<Venv>,
    /// Of all parts.
    ports: BTreeMap<Part, u16>,
    /// Where others find a part, if not where it listens.
    detours: BTreeMap<Part, String>,
    /// What else its environment says.
    further: BTreeMap<Part, Vec<Var>>,
    /// What is started; the rest is somebody else's.
    own: Vec<Part>,
}

impl Blueprint {
    /// A whole stack of its own.
    pub fn new(venv: Venv, profile: Profile, coordinator: Coordinator, folder: PathBuf) -> Result<Self> {
        let mut blueprint = Self {
            profile,
            coordinator,
            folder,
            venv,
            stores: None,
            ports: BTreeMap::new(),
            detours: BTreeMap::new(),
            further: BTreeMap::new(),
            own: Part::ALL.to_vec(),
        };
        blueprint.take_ports()?;
        Ok(blueprint)
    }

    /// A stack that has these parts of its own, and shares the others with this
    /// one.
    pub fn beside(&self, own: &[Part], folder: PathBuf) -> Result<Self> {
        let mut blueprint = Self { folder, own: own.to_vec(), ..self.clone() };
        for part in own {
            blueprint.ports.remove(part);
            blueprint.detours.remove(part);
            blueprint.further.remove(part);
        }
        blueprint.take_ports()?;
        Ok(blueprint)
    }

    /// Others find the part at this URL.
    #[must_use]
    pub fn detour(mut self, part: Part, url: &str) -> Self {
        self.detours.insert(part, url.to_owned());
        self
    }

    /// A further variable for a part, which wins.
    #[must_use]
    pub fn with(mut self, part: Part, name: &str, value: &str) -> Self {
        self.further.entry(part).or_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// The three stores are those of this environment.
    #[must_use]
    pub fn with_stores(mut self, venv: Venv) -> Self {
        self.stores = Some(venv);
        self
    }

    pub fn own(&self) -> &[Part] {
        &self.own
    }

    /// Where others find the part.
    pub fn url(&self, part: Part) -> String {
        self.detours.get(&part).cloned().unwrap_or_else(|| self.direct_url(part))
    }

    /// Where the part listens.
    pub fn direct_url(&self, part: Part) -> String {
        format!("http://127.0.0.1:{}", self.ports[&part])
    }

    pub fn log_file(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.log", part.name()))
    }

    /// Tokens come from here.
    pub fn token_endpoint(&self) -> String {
        format!("{}/protocol/openid-connect/token", self.url(Part::Sts))
    }

    /// How to start a part.
    pub fn command(&self, part: Part) -> Command {
        let mut command = process::attended(&self.venv, &self.program(part), self.variables(part));
        if let Some(script) = script(part) {
            command.arg(self.venv.script(script));
        }
        let port = self.ports[&part].to_string();
        // Not where somebody's `.env` is.
        command.args(["--host", "127.0.0.1", "--port", &port]).current_dir(&self.folder);
        command
    }

    /// The `arp-jarvis` command line, for this stack.
    pub fn cli(&self) -> Command {
        let mut command = process::command(self.venv.program("arp-jarvis"), self.client_variables());
        command.current_dir(&self.folder);
        command
    }

    /// What the `arp-jarvis` command line has to know.
    pub fn client_variables(&self) -> Vec<Var> {
        let mut vars = vec![
            ("ARP_JARVIS_STACK_ROOT", self.folder.display().to_string()),
            ("ARP_JARVIS_GATEWAY_URL", self.url(Part::Gateway)),
            ("ARP_JARVIS_COORDINATOR_URL", self.url(Part::Coordinator)),
        ];
        vars.extend(match self.profile {
            Profile::DevInsecure => vec![("ARP_AUTH_PROFILE", "dev-insecure".into())],
            Profile::Jwt => {
                vec![("ARP_AUTH_PROFILE", "enterprise".into()), ("ARP_AUTH_ISSUER", self.url(Part::Sts))]
            }
        });
        owned(vars)
    }

    /// The environment of a part.
    fn variables(&self, part: Part) -> Vec<Var> {
        let url = |part: Part| self.url(part);
        let database = |file: &str| format!("sqlite:///{}", self.folder.join(file).display());
        let vars: Vec<(&str, String)> = match part {
            Part::Sts | Part::Model => vec![("PYTHONDONTWRITEBYTECODE", "1".into())],
            Part::RunStore => vec![("JARVIS_RUN_STORE_DB_URL", database("run-store.sqlite"))],
            Part::EventStream => vec![("JARVIS_EVENT_STORE_DB_URL", database("event-stream.sqlite"))],
            Part::ArtifactStore => {
                vec![("JARVIS_ARTIFACT_DIR", self.folder.join("artifacts").display().to_string())]
            }
            Part::NodeRegistry => vec![
                ("JARVIS_NODE_REGISTRY_DB_URL", database("node-registry.sqlite")),
                ("JARVIS_NODE_REGISTRY_SEED", "true".into()),
            ],
            Part::Pdp => vec![
                ("JARVIS_POLICY_PATH", self.venv.script(POLICY).display().to_string()),
                ("JARVIS_NODE_REGISTRY_URL", url(Part::NodeRegistry)),
                ("JARVIS_NODE_REGISTRY_AUDIENCE", Part::NodeRegistry.audience().into()),
            ],
            Part::AtomicExecutor => vec![],
            Part::CompositeExecutor => {
                let mut vars = vec![
                    ("JARVIS_SELECTION_URL", url(Part::Selection)),
                    ("JARVIS_SELECTION_AUDIENCE", Part::Selection.audience().into()),
                    ("JARVIS_NODE_REGISTRY_URL", url(Part::NodeRegistry)),
                    ("JARVIS_NODE_REGISTRY_AUDIENCE", Part::NodeRegistry.audience().into()),
                    ("JARVIS_COMPOSITE_MAX_STEPS", "8".into()),
                    ("JARVIS_COMPOSITE_MAX_DEPTH", "3".into()),
                    // Its default of a second is most of a short run.
                    ("JARVIS_COMPOSITE_POLL_INTERVAL_SEC", "0.05".into()),
                ];
                vars.extend(self.model());
                vars
            }
            Part::Selection => {
                let mut vars = vec![("JARVIS_NODE_REGISTRY_URL", url(Part::NodeRegistry))];
                vars.extend(self.model());
                vars
            }
            Part::Coordinator => self.coordinator_variables(),
            Part::Gateway => vec![
                ("JARVIS_RUN_COORDINATOR_URL", url(Part::Coordinator)),
                ("JARVIS_RUN_COORDINATOR_AUDIENCE", Part::Coordinator.audience().into()),
            ],
        };
        let mut all = owned(vars);
        all.extend(owned(self.auth(part)));
        all.extend(owned(vec![("PYTHONUNBUFFERED", "1".into())]));
        all.extend(self.further.get(&part).cloned().unwrap_or_default());
        all
    }

    /// The same for ours and for the Python one, but for what only ours has.
    fn coordinator_variables(&self) -> Vec<(&'static str, String)> {
        let mut vars: Vec<_> = [
            ("JARVIS_RUN_STORE_URL", Part::RunStore),
            ("JARVIS_EVENT_STREAM_URL", Part::EventStream),
            ("JARVIS_ARTIFACT_STORE_URL", Part::ArtifactStore),
            ("JARVIS_ATOMIC_EXECUTOR_URL", Part::AtomicExecutor),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", Part::CompositeExecutor),
            ("JARVIS_NODE_REGISTRY_URL", Part::NodeRegistry),
            ("JARVIS_PDP_URL", Part::Pdp),
            ("JARVIS_SELECTION_URL", Part::Selection),
            ("JARVIS_RUN_COORDINATOR_PUBLIC_URL", Part::Coordinator),
        ]
        .into_iter()
        .map(|(name, part)| (name, self.url(part)))
        .collect();
        match self.coordinator {
            Coordinator::Ours(_) => {
                let journal = self.folder.join("journal.db").display().to_string();
                vars.push(("JARVIS_RUN_COORDINATOR_JOURNAL", journal));
                vars.push(("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json".into()));
            }
            Coordinator::Python => {}
        }
        vars
    }

    fn model(&self) -> [(&'static str, String); 5] {
        [
            ("ARP_LLM_PROFILE", "openai".into()),
            ("ARP_LLM_BASE_URL", self.url(Part::Model)),
            ("ARP_LLM_CHAT_MODEL", "scripted".into()),
            ("ARP_LLM_API_KEY", "none".into()),
            ("ARP_LLM_MAX_RETRIES", "0".into()),
        ]
    }

    /// Whom a part lets in, and how it shows who it is.
    fn auth(&self, part: Part) -> Vec<(&'static str, String)> {
        let client = client_of(part);
        let secret = secret_of(&client);
        let mut vars = vec![("ARP_AUTH_CLIENT_ID", client), ("ARP_AUTH_CLIENT_SECRET", secret)];
        match self.profile {
            Profile::DevInsecure => vars.extend([
                ("ARP_AUTH_PROFILE", "dev-insecure".into()),
                ("ARP_AUTH_TOKEN_ENDPOINT", self.token_endpoint()),
            ]),
            Profile::Jwt => vars.extend([
                ("ARP_AUTH_PROFILE", "enterprise".into()),
                ("ARP_AUTH_ISSUER", self.url(Part::Sts)),
                ("ARP_AUTH_AUDIENCE", part.audience().into()),
            ]),
        }
        if (self.profile, part) == (Profile::Jwt, Part::NodeRegistry) {
            // Selection 0.3.8 sends it no token. Those of others are verified.
            vars.push(("ARP_AUTH_MODE", "optional".into()));
        }
        vars
    }

    fn program(&self, part: Part) -> PathBuf {
        let store = |name: &str| self.stores.as_ref().unwrap_or(&self.venv).program(name);
        let name = match part {
            Part::Sts | Part::Model => return self.venv.python(),
            Part::RunStore => return store("arp-jarvis-runstore"),
            Part::EventStream => return store("arp-jarvis-eventstream"),
            Part::ArtifactStore => return store("arp-jarvis-artifactstore"),
            Part::NodeRegistry => "arp-jarvis-node-registry",
            Part::Pdp => "arp-jarvis-pdp",
            Part::AtomicExecutor => "arp-jarvis-atomic-executor",
            Part::CompositeExecutor => "arp-jarvis-composite-executor",
            Part::Selection => "arp-jarvis-selection-service",
            Part::Coordinator => match &self.coordinator {
                Coordinator::Ours(program) => return program.clone(),
                Coordinator::Python => "arp-jarvis-run-coordinator",
            },
            Part::Gateway => "arp-jarvis-rungateway",
        };
        self.venv.program(name)
    }

    fn take_ports(&mut self) -> Result<()> {
        for part in Part::ALL {
            if !self.ports.contains_key(&part) {
                let port = free_port(&self.ports)?;
                self.ports.insert(part, port);
            }
        }
        Ok(())
    }
}

/// Who a part is to the STS.
pub(super) fn client_of(part: Part) -> String {
    format!("jarvis-{}", part.name())
}

/// What the STS knows a client by.
pub(super) fn secret_of(client: &str) -> String {
    format!("{client}-secret")
}

/// What the PDP allows: everything, but for what goes out to the network, and
/// suspended tenants.
const POLICY: &str = "policy.json";

fn script(part: Part) -> Option<&'static str> {
    match part {
        Part::Sts => Some("sts.py"),
        Part::Model => Some("model.py"),
        Part::RunStore
        | Part::EventStream
        | Part::ArtifactStore
        | Part::NodeRegistry
        | Part::Pdp
        | Part::AtomicExecutor
        | Part::CompositeExecutor
        | Part::Selection
        | Part::Coordinator
        | Part::Gateway => None,
    }
}

fn owned(vars: Vec<(&str, String)>) -> Vec<Var> {
    vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A port that nobody listens on. Not one of those that systems give to
/// connections: while a part is stopped, nobody comes by its port by accident.
fn free_port(taken: &BTreeMap<Part, u16>) -> Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let random = RandomState::new();
    for attempt in 0..1_000_u32 {
        let offset = u16::try_from(random.hash_one(attempt) % u64::from(COUNT))?;
        let port = FIRST + offset;
        if taken.values().all(|other| *other != port)
            && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        {
            return Ok(port);
        }
    }
    bail!("there is no free port from {FIRST} on")
}

/// What the command line of `arp-jarvis` reads in its stack's folder: which
/// version of the planner `runs start` asks for.
pub(super) fn lock_file(folder: &Path) -> (PathBuf, &'static str) {
    (folder.join("stack.lock.json"), "{\"stack_version\": \"0.3.8\"}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint(profile: Profile, coordinator: Coordinator) -> Blueprint {
        let venv = Venv::at(Path::new("venv"));
        Blueprint::new(venv, profile, coordinator, "data".into()).expect("there are ports")
    }

    fn variable(blueprint: &Blueprint, part: Part, name: &str) -> Option<String> {
        let vars = blueprint.variables(part);
        vars.into_iter().rev().find_map(|(known, value)| (known == name).then_some(value))
    }

    #[test]
    fn the_python_coordinator_gets_what_ours_gets_but_for_what_only_ours_has() {
        for profile in [Profile::DevInsecure, Profile::Jwt] {
            let ours = blueprint(profile, Coordinator::Ours("ours".into()));
            let mut python = ours.clone();
            python.coordinator = Coordinator::Python;
            let mut only_ours = ours.variables(Part::Coordinator);
            let theirs = python.variables(Part::Coordinator);
            only_ours.retain(|var| !theirs.contains(var));
            let names: Vec<_> = only_ours.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["JARVIS_RUN_COORDINATOR_JOURNAL", "JARVIS_RUN_COORDINATOR_LOG_FORMAT"]);
        }
    }

    #[test]
    fn a_stack_beside_another_shares_what_it_does_not_have() {
        let whole = blueprint(Profile::Jwt, Coordinator::Python).with(Part::Gateway, "X", "1");
        let own = [Part::EventStream, Part::Coordinator, Part::Gateway];
        let beside = whole.beside(&own, "other".into()).expect("there are ports");
        for part in Part::ALL {
            assert_eq!(beside.url(part) == whole.url(part), !own.contains(&part), "{part:?}");
        }
        let its = |name: &str| variable(&beside, Part::Coordinator, name);
        assert_eq!(its("JARVIS_EVENT_STREAM_URL"), Some(beside.url(Part::EventStream)));
        assert_eq!(its("JARVIS_RUN_STORE_URL"), Some(whole.url(Part::RunStore)));
        assert_eq!(variable(&beside, Part::Gateway, "X"), None);
    }

    #[test]
    fn a_detour_is_for_others_and_a_further_variable_wins() {
        let blueprint = blueprint(Profile::DevInsecure, Coordinator::Python)
            .detour(Part::RunStore, "http://elsewhere")
            .with(Part::Coordinator, "JARVIS_PDP_URL", "");
        let its = |name: &str| variable(&blueprint, Part::Coordinator, name);
        assert_eq!(its("JARVIS_RUN_STORE_URL").as_deref(), Some("http://elsewhere"));
        assert_eq!(its("JARVIS_PDP_URL").as_deref(), Some(""));
        assert!(blueprint.direct_url(Part::RunStore).starts_with("http://127.0.0.1:"));
    }

    #[test]
    fn with_tokens_required_only_the_registry_lets_others_in() {
        let blueprint = blueprint(Profile::Jwt, Coordinator::Python);
        for part in Part::ALL {
            let mode = variable(&blueprint, part, "ARP_AUTH_MODE");
            assert_eq!(mode.is_some(), part == Part::NodeRegistry, "{part:?}");
            assert_eq!(variable(&blueprint, part, "ARP_AUTH_AUDIENCE").as_deref(), Some(part.audience()));
        }
    }
}
