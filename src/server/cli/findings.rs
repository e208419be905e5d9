//! What checks have found, as it is printed: a line each, with what to do below what is
//! wrong.
//!
//! ```text
//!   ok       port     127.0.0.1:8081 is free
//!   failed   pdp      127.0.0.1:8086: Connection refused (os error 111)
//!                     Start the PDP, let this machine reach it, or correct JARVIS_PDP_URL.
//! ```

use super::{
    args::Form,
    exit::{Exit, Failure},
    live::{Line, OutputStyle, Paint},
    output::Printer,
    table::counted,
};
use crate::app::{Finding, Verdict};

/// The width of the words of verdicts, with a blank.
const VERDICT_WIDTH: usize = 9;

/// Prints all findings, and ends as they say.
pub(super) fn print(printer: Printer, form: Form, findings: &[Finding]) -> Result<Exit, Failure> {
    match form {
        Form::Json => {
            for finding in findings {
                printer.json(finding)?;
            }
        }
        Form::Table => {
            let style = OutputStyle { live: false, ..OutputStyle::of_stdout() };
            for line in lines(findings, style) {
                printer.line(&line)?;
            }
            printer.line(&format!("\n{}", summary(findings)))?;
        }
    }
    let is_fit = findings.iter().all(|finding| finding.status != Verdict::Failed);
    Ok(if is_fit { Exit::Ok } else { Exit::Unfit })
}

fn lines(findings: &[Finding], style: OutputStyle) -> Vec<String> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for Finding { check, status, message, remedy } in findings {
        let paint = match status {
            Verdict::Ok => Paint::Green,
            Verdict::Warning => Paint::Yellow,
            Verdict::Failed => Paint::Red,
        };
        let mut line = Line::new(style);
        line.put(paint, status.word()).put(Paint::Plain, &" ".repeat(VERDICT_WIDTH - status.word().len()));
        line.put(Paint::Bold, &format!("{check:<width$}")).put(Paint::Plain, &format!("  {message}"));
        lines.push(line.done());
        if let Some(remedy) = remedy {
            let mut line = Line::new(style);
            line.put(Paint::Plain, &format!("{}{remedy}", " ".repeat(VERDICT_WIDTH + width + 2)));
            lines.push(line.done());
        }
    }
    lines
}

fn summary(findings: &[Finding]) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.status == verdict).count() as u64;
    match (count(Verdict::Failed), count(Verdict::Warning)) {
        (0, 0) => "everything works".to_owned(),
        (0, warnings) => format!("everything works, with {}", counted(warnings, "warning")),
        (failed, 0) => format!("{} failed", counted(failed, "check")),
        (failed, warnings) => {
            format!("{} failed, {}", counted(failed, "check"), counted(warnings, "warning"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: OutputStyle = OutputStyle { colour: false, live: false, columns: 80, rows: 24 };

    #[test]
    fn findings_are_aligned_with_what_to_do_below() {
        let findings = [
            Finding::ok("port", "127.0.0.1:8081 is free"),
            Finding::warning("pdp", "slow\u{1b}[2J", "Look at it."),
            Finding::failed("node_registry", "refused", "Start it."),
        ];
        let shown = lines(&findings, PLAIN).join("\n");
        assert_eq!(
            shown,
            "ok       port           127.0.0.1:8081 is free\n\
             warning  pdp            slow\\u{1b}[2J\n\
             \u{20}                       Look at it.\n\
             failed   node_registry  refused\n\
             \u{20}                       Start it."
        );
        let coloured = lines(&findings, OutputStyle { colour: true, ..PLAIN }).join("\n");
        assert!(coloured.contains("\u{1b}[31mfailed\u{1b}[0m"), "{coloured:?}");
        assert_eq!(summary(&findings), "1 check failed, 1 warning");
        assert_eq!(summary(&findings[..2]), "everything works, with 1 warning");
        assert_eq!(summary(&findings[..1]), "everything works");
    }
}
