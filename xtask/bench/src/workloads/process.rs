//! The start of the process, and its memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::json;

use crate::{
    arp::{self, Await, start_request},
    bed::Bed,
    coordinator::Coordinator,
    http::Connection,
    load::{Call, Clients},
    plan::{Store, rows},
    report::{Results, Size},
};

const STARTS: usize = 5;
const CLIENTS: usize = 16;
/// Runs for each second of a measurement: 60,000 by default.
const RUNS_A_SECOND: usize = 12_000;

/// On a file: the start of a database or of stores is none of ours.
pub(super) async fn cold_start(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    let mut all: Vec<_> = bed.settings.ours.iter().filter(|ours| ours.store == Store::File).collect();
    if round % 2 == 1 {
        all.reverse();
    }
    for ours in all {
        let (mut ready, mut over, mut idle) = (Duration::MAX, Duration::MAX, f64::NAN);
        for _ in 0..STARTS {
            let folder = bed.folder()?;
            let journal = folder.path().join("journal.db").display().to_string();
            let vars = [("JARVIS_ATOMIC_EXECUTOR_URL", bed.executors.url())];
            let began = Instant::now();
            let coordinator = Coordinator::start(&ours.binary, &journal, folder.path(), &vars)?;
            let mut connection = Connection::to(coordinator.address);
            connection.get("/readyz").await?;
            ready = ready.min(began.elapsed());
            idle = idle.min(coordinator.resident_mib());
            let request = start_request("atomic.fast", "1", &json!({"n": 1}));
            arp::run_to_end(&mut connection, &request, Await::Follow).await?;
            over = over.min(began.elapsed());
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let figures =
            [("ready ms", ms(ready)), ("first run ended ms", ms(over)), ("resident MiB when ready", idle)];
        results.add(rows::COLD_START, &ours.label(), None, &figures);
    }
    Ok(())
}

pub(super) async fn memory(bed: &Bed<'_>, results: &mut Results) -> Result<()> {
    let seconds = usize::try_from(bed.settings.each.as_secs())?;
    let wanted = seconds.min(5) * RUNS_A_SECOND;
    for ours in &bed.settings.ours {
        let world = bed.world(ours, &[]).await?;
        let resident = || world.coordinator().resident_mib();
        let idle = resident();
        let request = Arc::from(start_request("atomic.fast", "1", &json!({"n": 1})));
        let call = Call::Run { request, how: Await::Follow };
        let addresses: Vec<_> = world.coordinators.iter().map(|coordinator| coordinator.address).collect();
        let (mut runs, mut peak) = (0, idle);
        while runs < wanted {
            let load =
                Clients::connect(&addresses, CLIENTS, &call).await?.work(Duration::from_secs(1)).await?;
            runs += load.times.len();
            peak = peak.max(resident());
        }
        let figures = [("idle MiB", idle), ("largest MiB", peak), ("afterwards MiB", resident())];
        results.add(rows::MEMORY, &world.label, Some(Size { of: "runs", number: wanted }), &figures);
    }
    Ok(())
}
