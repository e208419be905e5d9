//! Where commands print: the one place that knows stdout.
//!
//! ```text
//!   command ──▶ Printer ──▶ stdout   table on a terminal, otherwise JSON; -o says otherwise
//!                  └──────▶ stderr   notes and errors, never part of the result
//! ```
//!
//! **Invariants:** a reader that has read enough (`… | head -1`) is no failure. In
//! JSON and ids there is one result a line and nothing else.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::{
    args::{Form, Output},
    exit::Failure,
};

/// Prints the result of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    /// Whether people read it as it is printed.
    is_terminal: bool,
}

impl Printer {
    pub(super) fn stdout() -> Self {
        Self { is_terminal: io::stdout().is_terminal() }
    }

    pub(super) fn is_terminal(self) -> bool {
        self.is_terminal
    }

    pub(super) fn output(self, wanted: Option<Output>) -> Output {
        wanted.unwrap_or(if self.is_terminal { Output::Table } else { Output::Json })
    }

    pub(super) fn form(self, wanted: Option<Form>) -> Form {
        wanted.unwrap_or(if self.is_terminal { Form::Table } else { Form::Json })
    }

    /// Prints a text that may have several lines.
    #[expect(clippy::unused_self, reason = "what has no printer prints nothing")]
    pub(super) fn line(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        Ok(writeln!(out, "{text}").and_then(|()| out.flush())?)
    }

    /// Prints a value as a JSON object on one line.
    pub(super) fn json(self, value: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string(value).map_err(Failure::config)?)
    }

    /// Says something about the result, which is no part of it.
    #[expect(clippy::unused_self, reason = "what has no printer prints nothing")]
    pub(super) fn note(self, text: &str) {
        // If stderr is closed, there is no place left to say so.
        let _written = writeln!(io::stderr(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_is_a_table_on_a_terminal_only() {
        for (is_terminal, output, form) in
            [(true, Output::Table, Form::Table), (false, Output::Json, Form::Json)]
        {
            let printer = Printer { is_terminal };
            assert_eq!((printer.output(None), printer.form(None)), (output, form));
            assert_eq!(printer.output(Some(Output::Ids)), Output::Ids);
        }
    }
}
