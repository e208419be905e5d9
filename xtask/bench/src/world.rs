//! A coordinator of ours with everything that it needs: the process, or several on one
//! database, its journal, its stores, a collector for its traces.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use jarvis_stack::{Blueprint, Part, Profile, Stack};
use serde_json::json;
use tempfile::TempDir;
use xtask_support::{venv, workspace};

use crate::{
    arp::{Await, start_request},
    collector,
    coordinator::{Coordinator, Var},
    database::Database,
    load::Call,
    plan::{Ours, Store},
    subject::Subject,
};

/// The fields are dropped in this order: first the coordinators.
pub(crate) struct World {
    pub(crate) label: String,
    pub(crate) coordinators: Vec<Coordinator>,
    database: Option<Database>,
    stores: Option<Stack>,
    /// Of the journal.
    _folder: TempDir,
}

impl World {
    /// `folder`: an empty one, for the journal.
    pub(crate) async fn start(ours: &Ours, executors: &str, folder: TempDir, vars: &[Var]) -> Result<Self> {
        let (mut database, mut stores) = (None, None);
        let mut all = vec![
            ("JARVIS_ATOMIC_EXECUTOR_URL", executors.to_owned()),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", executors.to_owned()),
        ];
        all.extend_from_slice(vars);
        let mut journal = folder.path().join("journal.db").display().to_string();
        match ours.store {
            Store::File => {}
            Store::Postgres => journal = database.insert(Database::start().await?).url(),
            Store::Jarvis => {
                let stack = jarvis_stores(folder.path().join("stores"))?;
                all.extend([
                    ("JARVIS_RUN_STORE_URL", stack.url(Part::RunStore)),
                    ("JARVIS_EVENT_STREAM_URL", stack.url(Part::EventStream)),
                    ("JARVIS_ARTIFACT_STORE_URL", stack.url(Part::ArtifactStore)),
                ]);
                stores = Some(stack);
            }
        }
        if ours.traces {
            let address = collector::start().await?;
            all.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")));
        }
        let start = |_| Coordinator::start(&ours.binary, &journal, folder.path(), &all);
        let coordinators = (0..ours.replicas).map(start).collect::<Result<_>>()?;
        Ok(Self { label: ours.label(), coordinators, database, stores, _folder: folder })
    }

    /// The only coordinator, or the first of several.
    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinators[0]
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.coordinator().address
    }

    /// The processes of all coordinators.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.coordinators.iter().map(Coordinator::id).collect()
    }

    /// It as something that does runs of this type.
    pub(crate) fn subject(&self, node_type: &str, children: usize) -> Subject<'_> {
        let request = start_request(node_type, "1", &json!({"n": 1, "children": children}));
        Subject {
            label: self.label.clone(),
            servers: self.coordinators.iter().map(|coordinator| coordinator.address).collect(),
            call: Call::Run { request: Arc::from(request), how: Await::Follow },
            processes: self.processes(),
            others: self.stores.iter().flat_map(|stores| stores.processes_but(&[])).collect(),
            database: self.database.as_ref(),
        }
    }
}

/// The stores of the JARVIS stack, and nothing else of it.
fn jarvis_stores(folder: PathBuf) -> Result<Stack> {
    let venv = venv::ensure(&workspace::root())?;
    let coordinator = jarvis_stack::Coordinator::Python;
    let whole = Blueprint::new(venv, Profile::DevInsecure, coordinator, folder.clone())?;
    let own = [Part::RunStore, Part::EventStream, Part::ArtifactStore];
    Stack::start(whole.beside(&own, folder)?).context("start the JARVIS stores")
}
