//! A coordinator among the JARVIS services, arranged for the suite: its
//! executors are the suite's, and everything else is as in `cargo xtask stack`.

use std::{path::Path, time::Duration};

use anyhow::Result;

use jarvis_stack::{Blueprint, Coordinator, Part, Profile, Stack};
use xtask_support::{venv, workspace};

use crate::setup::{Setup, TypeName};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Who {
    /// This project's
    Ours,
    /// arp-jarvis-run-coordinator
    Python,
}

impl Who {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Python => "Python 0.3.8",
        }
    }
}

/// What there is of the stack: the parts that a coordinator calls.
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
    pub fn start(who: Who, profile: Profile, executors: &str, folder: &Path) -> Result<Self> {
        let venv = venv::ensure(&workspace::root())?;
        let coordinator = match who {
            Who::Ours => Coordinator::Ours(workspace::build_program(false)?),
            Who::Python => Coordinator::Python,
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

/// What is known of any coordinator in a stack: its registry has these types,
/// its policy denies these (`tests/stack/policy.json`).
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
