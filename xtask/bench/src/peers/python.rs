//! The Python coordinator among its three stores, with the executors of the bench.
//!
//! It gets the requests that ours gets. It has no followed streams and no `Prefer: wait`, so
//! clients and composites ask until the end is there. It decides by the kind in a type's name and
//! allows everything, as ours does in the bench: no registry, no policy point.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use jarvis_stack::{Blueprint, Coordinator, Part, Profile, Stack};
use serde_json::json;
use xtask_support::{venv, workspace};

use super::Work;
use crate::{
    arp::{Await, start_request},
    bed::Bed,
    executor::{Executors, Learn},
    load::Call,
    plan::Peer,
    report::Results,
    subject::Subject,
};

/// Each look costs the coordinator and a store a request.
const LOOK: Duration = Duration::from_millis(20);

/// With more clients its runs of ten take minutes each.
const MOST_OF_TEN: usize = 16;

const NOTE: &str = "The Python coordinator (arp-jarvis 0.3.8) gets the same requests. Its stores are SQLite as \
    they come; it answers before a run is dispatched, and a crash loses the dispatch. It has no followed events: \
    clients ask every 20 ms for the end, which is in its figures.";

pub(super) async fn measure(
    bed: &Bed<'_>,
    workload: &'static str,
    work: Work,
    results: &mut Results,
) -> Result<()> {
    results.note(NOTE);
    let executors = Executors::start(Learn::Poll(LOOK)).await?;
    let folder = bed.folder()?;
    let place = folder.path().to_owned();
    let stack = tokio::task::spawn_blocking(move || start(&executors.url(), place)).await??;
    let address = stack.url(Part::Coordinator);
    let address = address.trim_start_matches("http://").parse().context("an address")?;
    let request = match work {
        Work::One => start_request("atomic.fast", "1", &json!({"n": 1})),
        Work::Ten => start_request("composite.row", "1", &json!({"n": 1, "children": work.steps()})),
    };
    let subject = Subject {
        label: Peer::Python.label().into(),
        servers: vec![address],
        call: Call::Run { request: Arc::from(request), how: Await::Poll(LOOK) },
        processes: stack.process(Part::Coordinator).into_iter().collect(),
        others: stack.processes_but(&[Part::Coordinator]),
        database: None,
    };
    let most = match work {
        Work::One => usize::MAX,
        Work::Ten => MOST_OF_TEN,
    };
    for count in bed.settings.clients.iter().filter(|count| **count <= most) {
        bed.measure(workload, &subject, *count, results).await?;
    }
    Ok(())
}

fn start(executors: &str, folder: std::path::PathBuf) -> Result<Stack> {
    let venv = venv::ensure(&workspace::root())?;
    let whole = Blueprint::new(venv, Profile::DevInsecure, Coordinator::Python, folder.clone())?;
    let own = [Part::Sts, Part::RunStore, Part::EventStream, Part::ArtifactStore, Part::Coordinator];
    let blueprint = whole
        .beside(&own, folder)?
        .detour(Part::AtomicExecutor, executors)
        .detour(Part::CompositeExecutor, executors)
        .with(Part::Coordinator, "JARVIS_NODE_REGISTRY_URL", "")
        .with(Part::Coordinator, "JARVIS_PDP_URL", "")
        .with(Part::Coordinator, "JARVIS_POLICY_PROFILE", "dev-allow");
    Stack::start(blueprint).context("start the Python coordinator and its stores")
}
