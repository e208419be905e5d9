//! Reads of single records and of lists, by all numbers of clients.

use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    arp::{self, Await, start_request},
    bed::Bed,
    coordinator,
    http::Connection,
    load::{Call, Clients},
    plan::{Ours, rows},
    report::{Results, clients},
    world::World,
};

/// What is there to be listed.
const STORED: usize = 500;

pub(super) async fn measure(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    for ours in &bed.settings.ours {
        // The port of the operator API belongs to one process.
        let ours = Ours { replicas: 1, ..ours.clone() };
        let world = bed.world(&ours, &[coordinator::with_operator()?]).await?;
        let operator = world.coordinator().operator.context("an operator API")?;
        let [run, root] = fill(&world).await?;
        let paths = [
            (rows::READ_RUN, world.address(), format!("/v1/runs/{run}")),
            (rows::READ_NODE_RUN, world.address(), format!("/v1/node-runs/{root}")),
            (rows::READ_LIST, operator, "/x/runs?limit=100".into()),
        ];
        // Rounds go through them in turns.
        for index in 0..paths.len() {
            let (workload, address, path) = &paths[(index + round) % paths.len()];
            for count in &bed.settings.clients {
                let call = Call::Get(Arc::from(path.as_str()));
                let at_work = Clients::connect(&[*address], *count, &call).await?;
                let before = world.coordinator().cpu();
                let load = at_work.work(bed.settings.each / 2).await?;
                let cpu = world.coordinator().cpu() - before;
                let figures = [
                    ("requests/s", load.per_second()),
                    ("p50 µs", load.p50_ms() * 1e3),
                    ("p99 µs", load.p99_ms() * 1e3),
                    ("CPU µs/request", load.each_ms(cpu) * 1e3),
                ];
                results.add(workload, &world.label, clients(*count), &figures);
            }
        }
    }
    Ok(())
}

/// Stores runs that have ended, and names one of them and its root.
async fn fill(world: &World) -> Result<[String; 2]> {
    let request = start_request("atomic.fast", "1", &json!({"n": 1}));
    let mut filling = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (mut connection, request) = (Connection::to(world.address()), request.clone());
        filling.spawn(async move {
            for _ in 0..STORED / 10 {
                arp::run_to_end(&mut connection, &request, Await::Follow).await?;
            }
            anyhow::Ok(())
        });
    }
    filling.join_all().await.into_iter().collect::<Result<()>>()?;
    let mut connection = Connection::to(world.address());
    let run = arp::start(&mut connection, &request).await?;
    connection.get(&format!("/v1/runs/{}/events?follow=1", run.run_id)).await?;
    Ok([run.run_id, run.root_node_run_id])
}
