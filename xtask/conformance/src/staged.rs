//! A coordinator among the JARVIS services, configured for the suite: its executors
//! are those of the suite, and everything else is as in `cargo xtask stack`.

use std::{path::Path, time::Duration};

use anyhow::Result;

use jarvis_stack::{Blueprint, Coordinator, Part, Profile, Stack};
use xtask_support::{venv, workspace};

use crate::setup::{Setup, TypeName};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
/// The coordinator in the stack.
pub enum Candidate {
    /// The coordinator of this project
    Ours,
    /// arp-jarvis-run-coordinator
    Python,
}

impl Candidate {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Python => "Python 0.3.8",
        }
    }
}

/// The parts of the stack: those that a coordinator calls.
const PARTS: [Part; 7] = [
    Part::Sts,
    Part::RunStore,
    Part::EventStream,
    Part::ArtifactStore,
    Part::NodeRegistry,
    Part::Pdp,
    Part::Coordinator,
];

pub struct Staged {
    stack: Stack,
}

impl Staged {
    pub fn start(candidate: Candidate, profile: Profile, executors: &str, folder: &Path) -> Result<Self> {
        let venv = venv::ensure(&workspace::root())?;
        let coordinator = match candidate {
            Candidate::Ours => Coordinator::Ours(workspace::build_program(false)?),
            Candidate::Python => Coordinator::Python,
        };
        let blueprint = Blueprint::new(venv, profile, coordinator, folder.to_owned())?;
        let blueprint = blueprint.beside(&PARTS, folder.to_owned())?;
        let stack = Stack::start(
            blueprint.detour(Part::AtomicExecutor, executors).detour(Part::CompositeExecutor, executors),
        )?;
        Ok(Self { stack })
    }

    pub fn setup(&self, patience: Duration) -> Result<Setup> {
        let url = self.stack.blueprint.direct_url(Part::Coordinator);
        Ok(setup_in(url, self.stack.token("conformance", Part::Coordinator)?, patience))
    }
}

/// The setup for any coordinator in a stack: its registry has these types, and its
/// policy denies these (`tests/stack/policy.json`).
pub fn setup_in(url: String, token: Option<String>, patience: Duration) -> Setup {
    const VERSION: &str = "0.3.8";
    Setup {
        url,
        token,
        atomic_type: Some(TypeName::new("jarvis.core.echo", VERSION)),
        composite_type: Some(TypeName::new("jarvis.composite.planner.general", VERSION)),
        denied_type: Some(TypeName::new("jarvis.web.fetch", VERSION)),
        denied_tenant: Some("suspended".into()),
        patience,
    }
}
