//! Events: a long list of a run that has ended, and a run that many follow.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{sync::mpsc, task::JoinSet};

use super::trees::{Tree, undispatched};
use crate::{
    bed::Bed,
    coordinator::Var,
    http::{Connection, Lines},
    plan::rows,
    report::{Results, Size},
    stats::percentile_ms,
    world::World,
};

/// The events of the long list, for each second of a measurement: 100,000 by default. A node
/// that is created and canceled has two.
const EVENTS_A_SECOND: usize = 20_000;

const COUNT: usize = 1_000;

pub(super) async fn stream(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    let worlds = bed.worlds(round, &[undispatched()]).await?;
    let seconds = usize::try_from(bed.settings.each.as_secs())?;
    let wanted = seconds.min(10) * EVENTS_A_SECOND;
    for world in &worlds {
        let mut connection = Connection::to(world.address());
        let tree = Tree::plant(&mut connection, wanted / 2).await?;
        tree.fell(&mut connection).await?;
        // What follows from the end is committed in parts.
        connection.get(&format!("/v1/runs/{}/events?follow=1", tree.run)).await?;
        let path = format!("/v1/runs/{}/events", tree.run);
        let (resident, cpu) = (world.coordinator().resident_mib(), world.coordinator().cpu());
        let began = Instant::now();
        let mut lines = connection.open(&path).await?;
        let (mut events, mut bytes, mut first) = (0.0, 0, None);
        while let Some(line) = lines.next().await? {
            first.get_or_insert_with(|| began.elapsed());
            events += 1.0;
            bytes += line.len();
        }
        let elapsed = began.elapsed().as_secs_f64();
        ensure!(events >= wanted as f64 * 0.99, "{events} of {wanted} events");
        let cpu = (world.coordinator().cpu() - cpu).as_secs_f64();
        let figures = [
            ("events/s", events / elapsed),
            ("MiB/s", bytes as f64 / 1_048_576.0 / elapsed),
            ("first line ms", percentile_ms(first.as_slice(), 100.0)),
            ("CPU µs/event", cpu * 1e6 / events),
            ("resident MiB before", resident),
            ("resident MiB after", world.coordinator().resident_mib()),
        ];
        results.add(rows::STREAM, &world.label, Some(Size { of: "events", number: wanted }), &figures);
    }
    Ok(())
}

pub(super) async fn followers(bed: &Bed<'_>, round: usize, results: &mut Results) -> Result<()> {
    // One more than there will be, for the clients beside them.
    let more = [
        ("JARVIS_RUN_COORDINATOR_MAX_STREAMS", (COUNT + 10).to_string()),
        ("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", (COUNT + 10).to_string()),
    ];
    let vars: Vec<Var> = more.into_iter().chain([undispatched()]).collect();
    for world in &bed.worlds(round, &vars).await? {
        follow(bed, world, results).await?;
    }
    Ok(())
}

/// When which follower has read which line: its number from the start of the measurement.
type Seen = (usize, Instant);

async fn follow(bed: &Bed<'_>, world: &World, results: &mut Results) -> Result<()> {
    let mut connection = Connection::to(world.address());
    let tree = Tree::plant(&mut connection, 1).await?;
    let path: Arc<str> = Arc::from(format!("/v1/runs/{}/events?follow=1", tree.run));
    let before = world.coordinator().resident_mib();
    let (sender, mut seen) = mpsc::unbounded_channel::<Seen>();
    let mut following = JoinSet::new();
    for _ in 0..COUNT {
        let (address, path, sender) = (world.address(), Arc::clone(&path), sender.clone());
        // Its connection lives as long as its lines.
        let mut connection = Connection::to(address);
        let lines = connection.open(&path).await?;
        following.spawn(async move {
            read(lines, &sender).await?;
            drop(connection);
            anyhow::Ok(())
        });
    }
    // The lines that are there already: everyone is up to date then.
    let mut known = 0;
    for _ in 0..COUNT {
        known = known.max(last_of(&mut seen, 1).await?.0);
    }
    let each_kib = (world.coordinator().resident_mib() - before) * 1024.0 / COUNT as f64;
    let evaluation = format!("/v1/node-runs/{}:evaluation", tree.root);
    let (mut from_send, mut from_answer, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let began = Instant::now();
    while began.elapsed() < bed.settings.each || from_send.len() < 2 {
        let spent = world.coordinator().cpu();
        let sent = Instant::now();
        connection.post(&evaluation, r#"{"evaluation_result":{"status":"success"}}"#).await?;
        let answered = Instant::now();
        let (_, last) = last_of(&mut seen, COUNT).await?;
        from_send.push(last - sent);
        from_answer.push(last.saturating_duration_since(answered));
        cpu.push(world.coordinator().cpu() - spent);
    }
    from_send.sort_unstable();
    from_answer.sort_unstable();
    let lines = (cpu.len() * COUNT) as f64;
    let figures = [
        ("p50 ms from the send", percentile_ms(&from_send, 50.0)),
        ("p99 ms from the send", percentile_ms(&from_send, 99.0)),
        ("p50 ms from the answer", percentile_ms(&from_answer, 50.0)),
        ("p99 ms from the answer", percentile_ms(&from_answer, 99.0)),
        ("CPU µs/line", cpu.iter().sum::<Duration>().as_secs_f64() * 1e6 / lines),
        ("resident KiB/follower", each_kib),
    ];
    results.add(rows::FOLLOWERS, &world.label, Some(Size { of: "followers", number: COUNT }), &figures);
    tree.fell(&mut connection).await?;
    following.join_all().await.into_iter().collect::<Result<()>>()
}

/// Reports each line of this stream: first all that were there, as one.
async fn read(mut lines: Lines, sender: &mpsc::UnboundedSender<Seen>) -> Result<()> {
    /// Events of a run whose root waits: run_started, node_run_assigned, policy_decided.
    const THERE: usize = 3;
    let mut number = 0;
    while lines.next().await?.is_some() {
        number += 1;
        if number >= THERE {
            // Nothing is measured any more.
            _ = sender.send((number, Instant::now()));
        }
    }
    Ok(())
}

/// Waits until that many followers have reported a line; returns the last report.
async fn last_of(seen: &mut mpsc::UnboundedReceiver<Seen>, count: usize) -> Result<Seen> {
    let mut last: Option<Seen> = None;
    for _ in 0..count {
        let next = tokio::time::timeout(crate::http::PATIENCE, seen.recv()).await;
        let next = next.context("a follower has read nothing")?.context("a follower")?;
        last = Some(last.map_or(next, |last| if next.1 > last.1 { next } else { last }));
    }
    ensure!(count > 0, "of no follower");
    last.context("the last follower")
}
