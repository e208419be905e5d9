//! Follows a run and shows it: redrawn in place on a terminal, otherwise one line
//! per event.

use std::{
    env,
    io::{self, IsTerminal, Write},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use futures::TryStreamExt;

use super::{
    error::DemoError,
    screen::{OutputStyle, RunPicture},
};
use crate::{
    clients::{RunEvents, run_coordinator::Client},
    time::Clock,
    types::{NodeRunId, RunEventType, RunId},
};

/// The maximum time between two frames.
const TICK: Duration = Duration::from_millis(100);

/// The capabilities of standard output. Colours follow `NO_COLOR`, `CLICOLOR` and
/// `CLICOLOR_FORCE`.
pub(super) fn output_style() -> OutputStyle {
    let stdout = io::stdout();
    let term = env::var_os("TERM").unwrap_or_default();
    let live = stdout.is_terminal() && !term.is_empty() && term != "dumb";
    let colour = match AutoStream::choice(&stdout) {
        ColorChoice::Never => false,
        ColorChoice::Auto | ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
    };
    OutputStyle { live, colour }
}

/// Shows a run until it ends, and returns its final picture.
pub(super) async fn watch(
    client: &Client,
    run: RunId,
    clock: &Arc<dyn Clock>,
    output: OutputStyle,
) -> Result<RunPicture, DemoError> {
    let mut picture = RunPicture::new(run.clone());
    let events = RunEvents::follow(client.clone(), run, Arc::clone(clock)).into_stream();
    let mut events = pin!(events);
    let mut terminal = if output.live { Some(Terminal::open()?) } else { None };
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
        if let Some(terminal) = &mut terminal {
            terminal.draw(&picture.frame(clock.now(), output))?;
        }
    }
    let all: Vec<_> = picture.nodes().iter().map(|node| node.node_run_id.clone()).collect();
    refresh(client, &mut picture, all).await?;
    match &mut terminal {
        Some(terminal) => terminal.draw(&picture.frame(clock.now(), output))?,
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

const HIDE_CURSOR_AND_TRUNCATE_LINES: &str = "\x1b[?25l\x1b[?7l";
const WRAP_LINES_AND_SHOW_CURSOR: &str = "\x1b[?7h\x1b[?25h";
const CLEAR_TO_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// Synchronized output: terminals that support it show a frame at once.
const BEGIN_FRAME: &str = "\x1b[?2026h";
const END_FRAME: &str = "\x1b[?2026l";

/// A terminal whose last lines are redrawn. Dropping it restores the terminal.
struct Terminal {
    /// The number of lines of the last frame.
    lines: usize,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        io::stdout().write_all(HIDE_CURSOR_AND_TRUNCATE_LINES.as_bytes())?;
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
        // Fails if the terminal is gone, and then there is nothing to restore.
        let _written = out.write_all(WRAP_LINES_AND_SHOW_CURSOR.as_bytes()).and_then(|()| out.flush());
    }
}
