//! Shows a run while it goes on: redrawn in place on a terminal, else a line an
//! event.

use std::{
    env,
    io::{self, IsTerminal, Write},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::TryStreamExt;

use super::{
    DemoError,
    screen::{Look, Picture},
};
use crate::{
    clients::{RunEvents, run_coordinator::Client},
    time::Clock,
    types::{NodeRunId, RunEventType, RunId},
};

/// A terminal is redrawn so often even if nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// What can be done on standard output.
pub(super) fn look() -> Look {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let live = io::stdout().is_terminal() && set("TERM").is_some_and(|term| term != "dumb");
    Look { live, colour: live && set("NO_COLOR").is_none() }
}

/// Shows a run until it is over, and gives what it looked like then.
pub(super) async fn watch(
    client: &Client,
    run: RunId,
    clock: &Arc<dyn Clock>,
    look: Look,
) -> Result<Picture, DemoError> {
    let mut picture = Picture::new(run.clone());
    let events = RunEvents::follow(client.clone(), run, Arc::clone(clock)).into_stream();
    let mut events = pin!(events);
    let mut terminal = if look.live { Some(Terminal::open()?) } else { None };
    loop {
        let event = tokio::select! {
            event = events.try_next() => Some(event?),
            () = clock.sleep(TICK), if look.live => None,
        };
        match event {
            Some(Some(event)) => {
                // Whose name is shown has to be known.
                match &event.node_run_id {
                    Some(node) if look.live || event.type_ == RunEventType::NodeRunAssigned => {
                        refresh(client, &mut picture, [node.clone()]).await?;
                    }
                    Some(_) | None => {}
                }
                if !look.live {
                    let mut line = picture.event_line(&event, look);
                    line.push('\n');
                    io::stdout().write_all(line.as_bytes())?;
                }
                picture.add_event(event);
            }
            Some(None) => break,
            // That a composite ends is no event.
            None => {
                let live = picture.nodes().iter().filter(|node| !node.state.is_terminal());
                let live: Vec<_> = live.map(|node| node.node_run_id.clone()).collect();
                refresh(client, &mut picture, live).await?;
            }
        }
        if let Some(terminal) = &mut terminal {
            terminal.draw(&picture.frame(clock.now(), look))?;
        }
    }
    let all: Vec<_> = picture.nodes().iter().map(|node| node.node_run_id.clone()).collect();
    refresh(client, &mut picture, all).await?;
    match &mut terminal {
        Some(terminal) => terminal.draw(&picture.frame(clock.now(), look))?,
        None => {
            let tree = picture.tree(clock.now(), look).join("\n");
            writeln!(io::stdout(), "\n{tree}")?;
        }
    }
    Ok(picture)
}

async fn refresh(
    client: &Client,
    picture: &mut Picture,
    nodes: impl IntoIterator<Item = NodeRunId>,
) -> Result<(), DemoError> {
    for node in nodes {
        picture.put_node(client.call(client.get_node_run(&node)).await?);
    }
    Ok(())
}

const HIDE_CURSOR_AND_CUT_LINES: &str = "\x1b[?25l\x1b[?7l";
const WRAP_LINES_AND_SHOW_CURSOR: &str = "\x1b[?7h\x1b[?25h";
const CLEAR_TO_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// Terminals that know it show all of a frame at once; others ignore it.
const BEGIN_FRAME: &str = "\x1b[?2026h";
const END_FRAME: &str = "\x1b[?2026l";

/// A terminal whose last lines are drawn again and again. Dropping it gives it
/// back as it was.
struct Terminal {
    /// In the last frame.
    lines: usize,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        io::stdout().write_all(HIDE_CURSOR_AND_CUT_LINES.as_bytes())?;
        Ok(Self { lines: 0 })
    }

    fn draw(&mut self, frame: &[String]) -> io::Result<()> {
        let mut text = String::from(BEGIN_FRAME);
        if self.lines > 0 {
            text.push_str(&format!("\x1b[{}A", self.lines));
        }
        text.push('\r');
        for line in frame {
            text.extend([line.as_str(), CLEAR_TO_LINE_END, "\n"]);
        }
        text.extend([CLEAR_BELOW, END_FRAME]);
        self.lines = frame.len();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // If it is gone there is nothing to give back.
        let _written = out.write_all(WRAP_LINES_AND_SHOW_CURSOR.as_bytes()).and_then(|()| out.flush());
    }
}
