//! `runs tree --follow`: a run as a tree that is redrawn until it ends.
//!
//! ```text
//!   events of the API ──▶ RunPicture ◀── the tree of the operator API, at most twice a second
//!                             └──▶ frame on a terminal, otherwise a line an event
//! ```
//!
//! The cost does not grow with the events: the tree is asked for by time, one page.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::TryStreamExt;

use super::{
    super::{
        connect::Both,
        exit::{Exit, Failure},
        listing::Found,
        live::{OutputStyle, RunPicture, Screen},
        output::Printer,
    },
    outcome::outcome,
    tree::nodes,
};
use crate::{
    clients::{RunEvents, operator::types::NodeEntry},
    time::{Clock, SystemClock, Timestamp},
    types::{NodeRun, NodeRunId, RunEvent, RunId},
};

/// The most nodes that are looked at: one page.
const NODES: u32 = 500;
/// The least time between two looks at the tree.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The most time between two frames.
const TICK: Duration = Duration::from_millis(100);

/// Shows the run until it ends.
pub(super) async fn follow(both: &Both, printer: Printer, run: &RunId) -> Result<Exit, Failure> {
    let picture = RunPicture::new(run.clone());
    let mut view = View { both, printer, run, picture, looked: None, last: None };
    view.look().await?;
    let events = RunEvents::follow(both.server.client().clone(), run.clone(), Arc::new(SystemClock));
    // A stream keeps its place if another branch is first.
    let mut events = pin!(events.into_stream());
    let mut screen = Screen::open(printer)?;
    let mut output = OutputStyle { live: screen.is_some(), ..OutputStyle::of_stdout() };
    loop {
        let next = match &mut screen {
            None => Some(events.try_next().await),
            Some(screen) => tokio::select! {
                event = events.try_next() => Some(event),
                ended = screen.ended_within(TICK) => {
                    if ended {
                        return Ok(Exit::Ok);
                    }
                    None
                }
            },
        };
        match next {
            Some(Ok(Some(event))) => view.add(event, output).await?,
            Some(Ok(None)) => break,
            Some(Err(error)) => {
                return Err(both.server.failed(&format!("GET /v1/runs/{run}/events"), error).into());
            }
            None => view.look_if_due().await?,
        }
        if let Some(screen) = &mut screen {
            output = output.resized();
            screen.draw(&view.picture.frame(SystemClock.now(), output))?;
        }
    }
    view.look().await?;
    let now = SystemClock.now();
    match &mut screen {
        Some(screen) => screen.draw(&view.picture.frame(now, output))?,
        None => printer.line(&format!("\n{}", view.picture.tree(now, output).join("\n")))?,
    }
    drop(screen);
    printer.line(&format!("\n{}", view.picture.summary()))?;
    outcome(run, view.last.as_ref())
}

struct View<'v> {
    both: &'v Both,
    printer: Printer,
    run: &'v RunId,
    picture: RunPicture,
    looked: Option<Timestamp>,
    last: Option<RunEvent>,
}

impl View<'_> {
    async fn add(&mut self, event: RunEvent, output: OutputStyle) -> Result<(), Failure> {
        // The node's name is needed for its events.
        if event.node_run_id.as_ref().is_some_and(|node| !self.picture.knows(node)) {
            self.look_if_due().await?;
        }
        if !output.live {
            self.printer.line(&self.picture.event_line(&event, output))?;
        }
        self.last = Some(event.clone());
        self.picture.add_event(event);
        Ok(())
    }

    async fn look_if_due(&mut self) -> Result<(), Failure> {
        let due = self.looked.is_none_or(|looked| SystemClock.now().since(looked) >= LOOK_EVERY);
        if due { self.look().await } else { Ok(()) }
    }

    async fn look(&mut self) -> Result<(), Failure> {
        let Found { items, is_all } = nodes(&self.both.operator, self.run, None, NODES).await?;
        self.looked = Some(SystemClock.now());
        self.picture.cut(!is_all);
        for node in node_runs(self.run, items) {
            self.picture.put_node(node);
        }
        Ok(())
    }
}

/// The entries of a tree as far as a picture needs them. The parent of a node is the
/// one whose path its own continues.
fn node_runs(run: &RunId, entries: Vec<NodeEntry>) -> Vec<NodeRun> {
    let mut ids = std::collections::HashMap::<String, NodeRunId>::new();
    let mut node = |entry: NodeEntry| {
        let id = NodeRunId::new(entry.node_run_id);
        let parent = entry.path.rsplit_once('.').and_then(|(above, _)| ids.get(above).cloned());
        ids.insert(entry.path, id.clone());
        NodeRun {
            node_run_id: id,
            run_id: run.clone(),
            node_type_ref: entry.node_type_ref,
            kind: entry.kind,
            parent_node_run_id: parent,
            state: entry.state,
            started_at: entry.started_at,
            ended_at: entry.ended_at,
            created_at: None,
            inputs: None,
            outputs: None,
            output_artifacts: None,
            executor_binding: None,
            evaluation_result: None,
            recovery_actions: None,
            extensions: None,
        }
    };
    entries.into_iter().map(&mut node).collect()
}
