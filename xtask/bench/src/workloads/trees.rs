//! Runs with many nodes: all created at once, or one more in a run that has many.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::{
    arp::{self, start_request},
    bed::Bed,
    coordinator::Var,
    http::Connection,
    load::{Clients, Load},
    plan::rows,
    report::{Results, nodes},
    world::World,
};

const WIDTHS: [usize; 3] = [10, 100, 1_000];
const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// What is created in one request while a run grows.
const AT_ONCE: usize = 100;

/// Nothing is handed to an executor.
pub(super) fn undispatched() -> Var {
    ("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", "off".into())
}

pub(super) async fn fan_out(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    let worlds = bed.worlds(round, &[]).await?;
    for width in WIDTHS {
        for world in &worlds {
            let subject = world.subject("composite.fan", width);
            let at_work = Clients::connect(&subject.servers, 1, &subject.call).await?;
            let before = subject.spent().await?;
            let load = at_work.work(bed.settings.each).await?;
            let created = load.count() * width as f64;
            let cpu = subject.spent().await?.server_since(&before).as_secs_f64();
            let figures = [
                ("nodes/s", created / load.elapsed.as_secs_f64()),
                ("p50 ms/run", load.p50_ms()),
                ("p99 ms/run", load.p99_ms()),
                ("CPU ms/node", cpu * 1e3 / created),
            ];
            results.add(rows::FAN_OUT, &world.label, nodes(width), &figures);
        }
    }
    Ok(())
}

pub(super) async fn create_child(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    let worlds = bed.worlds(round, &[undispatched()]).await?;
    for world in &worlds {
        let mut smallest = None;
        for size in SIZES {
            let (load, cpu) = create_in(world, size, bed.settings.each).await?;
            let (p50, cpu) = (load.p50_ms() * 1e3, load.each_ms(cpu) * 1e3);
            let (first_p50, first_cpu) = *smallest.get_or_insert((p50, cpu));
            let figures = [
                ("p50 µs", p50),
                ("p99 µs", load.p99_ms() * 1e3),
                ("CPU µs", cpu),
                ("p50 of that among 10", p50 / first_p50),
                ("CPU of that among 10", cpu / first_cpu),
            ];
            results.add(rows::CREATE_CHILD, &world.label, nodes(size), &figures);
        }
    }
    Ok(())
}

/// Creates children in runs of about this size. A run that has grown by half makes place for
/// a new one.
async fn create_in(world: &World, size: usize, each: Duration) -> Result<(Load, Duration)> {
    let mut connection = Connection::to(world.address());
    let (mut times, mut cpu) = (Vec::new(), Duration::ZERO);
    let mut spent = Duration::ZERO;
    while spent < each {
        let tree = Tree::plant(&mut connection, size).await?;
        // Large trees take longer to plant than to measure.
        let (before, began) = (world.coordinator().cpu(), Instant::now());
        for _ in 0..size.div_ceil(2) {
            let called = Instant::now();
            tree.grow(&mut connection, 1).await?;
            times.push(called.elapsed());
            if spent + began.elapsed() >= each {
                break;
            }
        }
        cpu += world.coordinator().cpu() - before;
        spent += began.elapsed();
    }
    Ok((Load::of(times, spent), cpu))
}

/// A run whose root has children that wait.
pub(super) struct Tree {
    pub(super) run: String,
    pub(super) root: String,
}

impl Tree {
    /// With that many nodes, the root among them.
    pub(super) async fn plant(connection: &mut Connection, size: usize) -> Result<Self> {
        let request = start_request("composite.idle", "1", &json!({"n": 1}));
        let run = arp::start(connection, &request).await?;
        let tree = Self { run: run.run_id, root: run.root_node_run_id };
        let mut left = size.saturating_sub(1);
        while left > 0 {
            let count = left.min(AT_ONCE);
            tree.grow(connection, count).await?;
            left -= count;
        }
        Ok(tree)
    }

    pub(super) async fn grow(&self, connection: &mut Connection, count: usize) -> Result<()> {
        let spec =
            json!({"node_type_ref": {"node_type_id": "atomic.fast", "version": "1"}, "inputs": {"n": 1}});
        let request = json!({
            "run_id": self.run, "parent_node_run_id": self.root, "node_runs": vec![spec; count],
        });
        connection.post("/v1/node-runs", request.to_string()).await?;
        Ok(())
    }

    /// Ends the root, and with it everything.
    pub(super) async fn fell(&self, connection: &mut Connection) -> Result<()> {
        let path = format!("/v1/node-runs/{}:complete", self.root);
        connection.post(&path, r#"{"state":"succeeded","outputs":{"done":true}}"#).await?;
        Ok(())
    }
}
