//! The plan of a stack: its parts, their addresses, and how each is started.
//!
//! ```text
//!   arp-jarvis (CLI) ──▶ gateway ──▶ COORDINATOR ──▶ run store, event stream, artifact store
//!                                     │    ▲    └──▶ node registry, PDP, atomic executor
//!                                     ▼    │
//!                           composite executor ──▶ selection ──▶ node registry
//!                                     └────────────────┴──▶ model (scripted)
//!                       all parts ──▶ STS
//! ```
//!
//! All addresses are known before anything is started, so parts may be started in
//! any order, each by itself, and again at the same address.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use xtask_support::{process, venv::Venv};

use crate::part::{Part, Profile, Var};

/// The program that runs as the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coordinator {
    /// Our program, at this path.
    Ours(PathBuf),
    /// `arp-jarvis-run-coordinator`.
    Python,
}

#[derive(Clone, Debug)]
pub struct Blueprint {
    pub profile: Profile,
    pub coordinator: Coordinator,
    /// The folder of data and logs.
    pub folder: PathBuf,
    pub(crate) venv: Venv,
    /// The environment of the stores, if they are of another version.
    stores: Option<Venv>,
    /// The ports of all parts.
    ports: BTreeMap<Part, u16>,
    /// The URLs at which others find a part, if not where it listens.
    detours: BTreeMap<Part, String>,
    /// Additional variables of parts.
    pub(crate) further: BTreeMap<Part, Vec<Var>>,
    /// The parts that are started; the others belong to another stack.
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

    /// A stack with these parts of its own, which shares the others with this one.
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

    /// An additional variable for a part, which takes precedence.
    #[must_use]
    pub fn with(mut self, part: Part, name: &str, value: &str) -> Self {
        self.further.entry(part).or_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes the three stores from this environment.
    #[must_use]
    pub fn with_stores(mut self, venv: Venv) -> Self {
        self.stores = Some(venv);
        self
    }

    pub fn own(&self) -> &[Part] {
        &self.own
    }

    /// The URL at which others find the part.
    pub fn url(&self, part: Part) -> String {
        self.detours.get(&part).cloned().unwrap_or_else(|| self.direct_url(part))
    }

    /// The URL at which the part listens.
    pub fn direct_url(&self, part: Part) -> String {
        format!("http://127.0.0.1:{}", self.ports[&part])
    }

    pub fn log_file(&self, part: Part) -> PathBuf {
        self.folder.join(format!("{}.log", part.name()))
    }

    /// The token endpoint of the STS.
    pub fn token_endpoint(&self) -> String {
        format!("{}/protocol/openid-connect/token", self.url(Part::Sts))
    }

    /// The command that starts a part.
    pub fn command(&self, part: Part) -> Command {
        let mut command = process::attended(&self.venv, &self.program(part), self.variables(part));
        if let Some(script) = script(part) {
            command.arg(self.venv.script(script));
        }
        let port = self.ports[&part].to_string();
        // Away from any `.env` of the user.
        command.args(["--host", "127.0.0.1", "--port", &port]).current_dir(&self.folder);
        command
    }

    /// The `arp-jarvis` command line, for this stack.
    pub fn cli(&self) -> Command {
        let mut command = process::command(self.venv.program("arp-jarvis"), self.client_variables());
        command.current_dir(&self.folder);
        command
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

/// A port that is not in use, and not an ephemeral one: while a part is stopped, no
/// connection gets its port by accident.
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

/// The file that the command line of `arp-jarvis` reads in its stack's folder: the
/// version of the planner that `runs start` asks for.
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
    fn both_coordinators_get_the_same_common_variables() {
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
    fn stack_beside_another_shares_the_other_parts() {
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
    fn detours_are_for_others_and_additional_variables_win() {
        let blueprint = blueprint(Profile::DevInsecure, Coordinator::Python)
            .detour(Part::RunStore, "http://elsewhere")
            .with(Part::Coordinator, "JARVIS_PDP_URL", "");
        let its = |name: &str| variable(&blueprint, Part::Coordinator, name);
        assert_eq!(its("JARVIS_RUN_STORE_URL").as_deref(), Some("http://elsewhere"));
        assert_eq!(its("JARVIS_PDP_URL").as_deref(), Some(""));
        assert!(blueprint.direct_url(Part::RunStore).starts_with("http://127.0.0.1:"));
    }

    #[test]
    fn only_the_registry_accepts_calls_without_tokens() {
        let blueprint = blueprint(Profile::Jwt, Coordinator::Python);
        for part in Part::ALL {
            let mode = variable(&blueprint, part, "ARP_AUTH_MODE");
            assert_eq!(mode.is_some(), part == Part::NodeRegistry, "{part:?}");
            assert_eq!(variable(&blueprint, part, "ARP_AUTH_AUDIENCE").as_deref(), Some(part.audience()));
        }
    }
}
