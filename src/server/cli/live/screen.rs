//! The terminal: what it can show, and its last lines, which are redrawn.
//!
//! **Invariant:** whatever ends a command, the cursor is visible and lines are
//! wrapped again.

use std::{
    env,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use terminal_size::{Height, Width, terminal_size};

use super::{
    super::{exit::Failure, output::Printer, signals::Signals},
    line::OutputStyle,
};

const HIDE_CURSOR_AND_TRUNCATE_LINES: &str = "\x1b[?25l\x1b[?7l";
const WRAP_LINES_AND_SHOW_CURSOR: &str = "\x1b[?7h\x1b[?25h";
const CLEAR_TO_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
/// Synchronized output: terminals that support it show a frame at once.
const BEGIN_FRAME: &str = "\x1b[?2026h";
const END_FRAME: &str = "\x1b[?2026l";

/// If the size of the terminal is not known.
const COLUMNS: usize = 80;
const ROWS: usize = 24;

impl OutputStyle {
    /// The capabilities of standard output. Colours follow `NO_COLOR`, `CLICOLOR` and
    /// `CLICOLOR_FORCE`.
    pub(in super::super) fn of_stdout() -> Self {
        let stdout = io::stdout();
        let term = env::var_os("TERM").unwrap_or_default();
        let live = stdout.is_terminal() && !term.is_empty() && term != "dumb";
        let colour = match AutoStream::choice(&stdout) {
            ColorChoice::Never => false,
            ColorChoice::Auto | ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
        };
        Self { colour, live, columns: COLUMNS, rows: ROWS }.resized()
    }

    /// The same with the size that the terminal has now.
    pub(in super::super) fn resized(self) -> Self {
        match terminal_size() {
            Some((Width(columns), Height(rows))) if columns > 0 && rows > 0 => {
                Self { columns: columns.into(), rows: rows.into(), ..self }
            }
            Some(_) | None => self,
        }
    }
}

/// A terminal whose last lines are redrawn. Dropping it restores the terminal.
pub(in super::super) struct Screen {
    /// The number of lines of the last frame.
    lines: usize,
    signals: Option<Signals>,
}

impl Screen {
    /// Starts to redraw, if this is a terminal. Signals end the wait, not the process.
    pub(in super::super) fn open(printer: Printer) -> Result<Option<Self>, Failure> {
        if !printer.is_terminal() || !OutputStyle::of_stdout().live {
            return Ok(None);
        }
        let signals = Signals::catch().map_err(Failure::config)?;
        Ok(Some(Self { signals: Some(signals), ..Self::start()? }))
    }

    /// Starts to redraw. Somewhere else, signals are caught.
    pub(in super::super) fn start() -> io::Result<Self> {
        io::stdout().write_all(HIDE_CURSOR_AND_TRUNCATE_LINES.as_bytes())?;
        Ok(Self { lines: 0, signals: None })
    }

    /// Replaces the last frame. What does not fit is left out.
    pub(in super::super) fn draw(&mut self, frame: &[String]) -> io::Result<()> {
        let rows = OutputStyle { colour: false, live: true, columns: COLUMNS, rows: ROWS }.resized().rows;
        let frame = &frame[..frame.len().min(rows.saturating_sub(1).max(1))];
        let mut text = String::from(BEGIN_FRAME);
        if self.lines > 0 {
            text.push_str(&format!("\x1b[{}A", self.lines.min(rows.saturating_sub(1))));
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

    /// Waits for a signal.
    pub(in super::super) async fn ended(&mut self) {
        match &mut self.signals {
            Some(signals) => signals.received().await,
            None => std::future::pending().await,
        }
    }

    /// Waits for this time, or for a signal: whether one has arrived.
    pub(in super::super) async fn ended_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.ended()).await.is_ok()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout().lock();
        // Fails if the terminal is gone, and then there is nothing to restore.
        let _written = out.write_all(WRAP_LINES_AND_SHOW_CURSOR.as_bytes()).and_then(|()| out.flush());
    }
}
