//! Follows a run and shows it: redrawn in place on a terminal, otherwise one line
//! per event.

use std::{
    io::{self, Write},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::TryStreamExt;

use super::{
    super::live::{OutputStyle, RunPicture, Screen},
    error::DemoError,
};
use crate::{
    clients::{RunEvents, run_coordinator::Client},
    time::Clock,
    types::{NodeRunId, RunEventType, RunId},
};

/// The maximum time between two frames.
const TICK: Duration = Duration::from_millis(100);

/// Shows a run until it ends, and returns its final picture.
pub(super) async fn watch(
    client: &Client,
    run: RunId,
    clock: &Arc<dyn Clock>,
    mut output: OutputStyle,
) -> Result<RunPicture, DemoError> {
    let mut picture = RunPicture::new(run.clone());
    let events = RunEvents::follow(client.clone(), run, Arc::clone(clock)).into_stream();
    let mut events = pin!(events);
    let mut screen = if output.live { Some(Screen::start()?) } else { None };
    loop {
        let event = tokio::select! {
            event = events.try_next() => Some(event?),
            () = clock.sleep(TICK), if output.live => None,
        };
        match event {
            Some(Some(event)) => {
                // The node's name is needed for its events.
                match &event.node_run_id {
                    Some(node) if output.live || event.type_ == RunEventType::NodeRunAssigned => {
                        refresh(client, &mut picture, [node.clone()]).await?;
                    }
                    Some(_) | None => {}
                }
                if !output.live {
                    let mut line = picture.event_line(&event, output);
                    line.push('\n');
                    io::stdout().write_all(line.as_bytes())?;
                }
                picture.add_event(event);
            }
            Some(None) => break,
            // A composite that ends causes no event of its own.
            None => {
                let live = picture.nodes().iter().filter(|node| !node.state.is_terminal());
                let live: Vec<_> = live.map(|node| node.node_run_id.clone()).collect();
                refresh(client, &mut picture, live).await?;
            }
        }
        if let Some(screen) = &mut screen {
            output = output.resized();
            screen.draw(&picture.frame(clock.now(), output))?;
        }
    }
    let all: Vec<_> = picture.nodes().iter().map(|node| node.node_run_id.clone()).collect();
    refresh(client, &mut picture, all).await?;
    match &mut screen {
        Some(screen) => screen.draw(&picture.frame(clock.now(), output))?,
        None => {
            let tree = picture.tree(clock.now(), output).join("\n");
            writeln!(io::stdout(), "\n{tree}")?;
        }
    }
    Ok(picture)
}

async fn refresh(
    client: &Client,
    picture: &mut RunPicture,
    nodes: impl IntoIterator<Item = NodeRunId>,
) -> Result<(), DemoError> {
    for node in nodes {
        picture.put_node(client.call(client.get_node_run(&node)).await?);
    }
    Ok(())
}
