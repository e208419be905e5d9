//! One line of the terminal: colours, and widths in columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::table::printable;

/// The capabilities of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct OutputStyle {
    pub(in super::super) colour: bool,
    /// Whether frames are redrawn in place.
    pub(in super::super) live: bool,
    /// The size of the terminal.
    pub(in super::super) columns: usize,
    pub(in super::super) rows: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Red => "\x1b[31m",
            Self::Green => "\x1b[32m",
            Self::Yellow => "\x1b[33m",
            Self::Cyan => "\x1b[36m",
        }
    }
}

/// A line that is truncated to the width of the terminal.
pub(in super::super) struct Line {
    text: String,
    /// The columns that are left.
    room: usize,
    colour: bool,
}

impl Line {
    pub(in super::super) fn new(output: OutputStyle) -> Self {
        // The last column stays free: a full line would lose its end when the rest of
        // it is cleared.
        let room = if output.live { output.columns.saturating_sub(1) } else { usize::MAX };
        Self { text: String::new(), room, colour: output.colour }
    }

    /// Appends `text`, truncated to the columns that are left, and without what
    /// controls a terminal.
    pub(in super::super) fn put(&mut self, paint: Paint, text: &str) -> &mut Self {
        let text = &*printable(text);
        let width = text.width();
        let truncated: String;
        let text = if width <= self.room {
            self.room -= width;
            text
        } else {
            truncated = truncate(text, self.room);
            self.room = 0;
            &truncated
        };
        let code = if self.colour { paint.code() } else { "" };
        let end = if code.is_empty() { "" } else { "\x1b[0m" };
        if text.trim().is_empty() {
            self.text.push_str(text);
        } else {
            self.text.extend([code, text, end]);
        }
        self
    }

    pub(in super::super) fn done(self) -> String {
        match self.text.trim_end() {
            trimmed if trimmed.len() == self.text.len() => self.text,
            trimmed => trimmed.to_owned(),
        }
    }
}

/// Pads `text` with blanks to `width` columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Truncates `text` to `width` columns, the last of which is an ellipsis.
fn truncate(text: &str, width: usize) -> String {
    let Some(mut room) = width.checked_sub(1) else { return String::new() };
    let mut truncated = String::new();
    for letter in text.chars() {
        let columns = letter.width().unwrap_or(0);
        if columns > room {
            break;
        }
        room -= columns;
        truncated.push(letter);
    }
    truncated.push('…');
    truncated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(pad("東京", 6), "東京  ");
        assert_eq!(pad("🚆", 3), "🚆 ");
        assert_eq!(pad("Lugano", 3), "Lugano");
        for (width, text) in [(0, ""), (1, "…"), (2, "…"), (3, "東…"), (4, "東…"), (5, "東京…")]
        {
            assert_eq!(truncate("東京駅", width), text, "{width}");
        }
    }

    const LIVE: OutputStyle = OutputStyle { colour: false, live: true, columns: 80, rows: 24 };

    #[test]
    fn live_line_is_truncated_to_the_terminal() {
        let mut line = Line::new(LIVE);
        let line = line.put(Paint::Plain, &"東".repeat(100)).put(Paint::Bold, "more");
        assert_eq!(line.text.width(), 79);
        let mut line = Line::new(OutputStyle { live: false, ..LIVE });
        assert_eq!(line.put(Paint::Plain, &"x".repeat(100)).text.len(), 100);
    }

    #[test]
    fn texts_cannot_control_a_terminal() {
        let mut line = Line::new(LIVE);
        assert_eq!(line.put(Paint::Plain, "a\u{1b}[2J\nb").text, "a\\u{1b}[2J\\nb");
    }
}
