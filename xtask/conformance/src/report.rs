//! Output: one line a check, totals, JSON, and a table that compares coordinators.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    check::{Check, Outcome, Tier},
    checks,
    verdict::Stop,
};

/// Where the comparison is kept.
pub const DOCUMENT: &str = "docs/conformance.md";

/// Of its part that is ours to write.
pub const DOCUMENT_MARKS: [&str; 2] = [
    "<!-- conformance: written by `cargo xtask conformance --stack ours --stack python --document` -->",
    "<!-- end of conformance -->",
];

/// The maximum length of the reason of a failure.
const SHOWN: usize = 600;

/// The outcomes of all checks of one coordinator.
pub struct Report {
    pub name: String,
    pub outcomes: Vec<Outcome>,
}

impl Report {
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.failed()).count()
    }

    /// The number of checks of each tier that passed, failed and were skipped.
    pub fn totals(&self) -> String {
        let mut lines = format!("\n{}\n{:>14}{:>6}{:>6}\n", self.name, "pass", "fail", "skip");
        for tier in Tier::ALL {
            let [pass, fail, skip] = ["pass", "fail", "skip"].map(|result| {
                let counts =
                    |outcome: &&Outcome| outcome.check.tier() == Some(tier) && outcome.result() == result;
                self.outcomes.iter().filter(counts).count()
            });
            let _ = writeln!(lines, "{:<8}{pass:>6}{fail:>6}{skip:>6}", tier.name());
        }
        lines
    }

    pub fn to_json(&self) -> Value {
        let checks = self.outcomes.iter().map(|outcome| {
            let Outcome { check, verdict, took, exchanges } = outcome;
            let mut object = json!({"check": check.id, "section": check.section(), "proves": check.proves,
                "result": outcome.result(), "milliseconds": took.as_millis() as u64, "requests": exchanges});
            if let Err(Stop::Failed(text) | Stop::Skipped(text)) = verdict {
                object["seen"] = json!(text);
            }
            if let Some(differs) = check.differs {
                object["python_differs"] = json!(differs);
            }
            object
        });
        json!({"coordinator": self.name, "failed": self.failed(), "checks": checks.collect::<Vec<_>>()})
    }

    /// One table row a section and one for all: the checks, and how many passed.
    pub fn rows(&self) -> Vec<String> {
        let mut sections: Vec<&str> = self.outcomes.iter().map(|outcome| outcome.check.section()).collect();
        sections.sort_by_key(|section| checks::place(section));
        sections.dedup();
        let count = |counts: &dyn Fn(&Outcome) -> bool| {
            let made = || self.outcomes.iter().filter(|outcome| counts(outcome));
            (made().count(), made().filter(|outcome| outcome.verdict.is_ok()).count())
        };
        let row = |section: &&str| {
            let (made, passed) = count(&|outcome| outcome.check.section() == *section);
            format!("| {} | {made} | {passed} |", cited(section))
        };
        let mut rows: Vec<String> = sections.iter().map(row).collect();
        let (made, passed) = count(&|_| true);
        rows.push(format!("| **all** | **{made}** | **{passed}** |"));
        rows
    }
}

/// A section as a link into the contract.
fn cited(section: &str) -> String {
    format!("[§{section}](contract.md#section-{})", section.replace('.', "-"))
}

/// The outcome of a check, with the reason if it failed.
pub fn line(outcome: &Outcome) -> String {
    let Outcome { check, verdict, .. } = outcome;
    let mut text = String::new();
    match verdict {
        Ok(()) => {
            let _ = writeln!(text, "pass  {:<41} {}", check.id, check.proves);
        }
        Err(Stop::Skipped(why)) => {
            let _ = writeln!(text, "skip  {:<41} {why}", check.id);
        }
        Err(Stop::Failed(seen)) => {
            let seen: String = seen.chars().take(SHOWN).collect();
            let _ = writeln!(
                text,
                "FAIL  {:<41} {}\n      {}",
                check.id,
                check.proves,
                seen.replace('\n', "\n      ")
            );
            if let Some(differs) = check.differs {
                let _ =
                    writeln!(text, "      the contract differs from the Python reference here: {differs}");
            }
        }
    }
    text
}

/// The list of checks.
pub fn list(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let needs: Vec<&str> = check.needs.iter().map(|need| need.option()).collect();
        let needs = if needs.is_empty() { String::new() } else { format!(" [{}]", needs.join(", ")) };
        format!("{:<41} {}{needs}\n", check.id, check.proves)
    };
    checks.iter().map(line).collect()
}

/// A comparison of coordinators in Markdown: by section, and then the checks that
/// not all of them pass.
pub fn comparison(reports: &[Report]) -> String {
    let Some(first) = reports.first() else { return String::new() };
    let names: Vec<&str> = reports.iter().map(|report| report.name.as_str()).collect();
    let columns = "---|".repeat(names.len());
    let mut text = format!("| contract section | checks | {} |\n|---|---|{columns}\n", names.join(" | "));
    for (index, row) in first.rows().iter().enumerate() {
        let others = reports[1..].iter().filter_map(|report| report.rows().get(index).cloned());
        let passed = others.filter_map(|row| Some(format!(" {} |", row.rsplit(' ').nth(1)?)));
        let _ = writeln!(text, "{row}{}", passed.collect::<String>());
    }
    for report in reports {
        let lines: Vec<String> = report.outcomes.iter().filter_map(not_passed).collect();
        if !lines.is_empty() {
            let _ = writeln!(
                text,
                "\nNot passed by {}:\n\n| check | what it asks | why |\n|---|---|---|",
                report.name
            );
            text += &lines.concat();
        }
    }
    text
}

fn not_passed(outcome: &Outcome) -> Option<String> {
    let Outcome { check, verdict, .. } = outcome;
    let why = match verdict {
        Ok(()) => return None,
        Err(Stop::Failed(_)) => check.differs.unwrap_or("–"),
        Err(Stop::Skipped(why)) => why,
    };
    Some(format!("| `{}` | {} | {why} |\n", check.id, check.proves.replace('|', "\\|")))
}

/// The document with this between the marks.
pub fn document_with(document: &str, written: &str) -> Result<String> {
    let [begin, end] = DOCUMENT_MARKS;
    let (before, rest) = document.split_once(begin).context("the document has no place for it")?;
    let (_, after) = rest.split_once(end).context("the place in the document has no end")?;
    ensure!(!after.contains(begin), "the document has two places for it");
    Ok(format!("{before}{begin}\n{written}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::workspace;

    fn outcome(id: &'static str, verdict: Result<(), Stop>) -> Outcome {
        let check = Check::new(id, "What it proves", |_| Ok(())).differs("G01");
        let exchanges = vec!["GET /v1/runs/a: 200".into()];
        Outcome { check, verdict, took: Duration::from_millis(12), exchanges }
    }

    fn reports() -> [Report; 2] {
        let failed = || Err(Stop::Failed("state: \"queued\", not \"running\"\nand more".into()));
        let skipped = || Err(Stop::Skipped("needs --token".into()));
        let outcomes = |first, second, third| {
            vec![
                outcome("core/6.9/one", first),
                outcome("core/6.10/two", second),
                outcome("deep/6.9/three", third),
            ]
        };
        [
            Report { name: "ours".into(), outcomes: outcomes(Ok(()), skipped(), Ok(())) },
            Report { name: "theirs".into(), outcomes: outcomes(failed(), Ok(()), failed()) },
        ]
    }

    #[test]
    fn report_has_a_line_a_check_and_reasons_of_failures() {
        let mut text = String::new();
        for report in &reports() {
            text += &report.outcomes.iter().map(line).collect::<String>();
            text += &report.totals();
            text += &format!("\n{:#}\n\n", report.to_json());
        }
        expectorate::assert_contents("tests/output/conformance.txt", &text);
        expectorate::assert_contents("tests/output/conformance.md", &comparison(&reports()));
    }

    #[test]
    fn the_document_is_written_between_its_marks_only() {
        let [begin, end] = DOCUMENT_MARKS;
        let document = format!("before\n{begin}\nold\n{end}\nafter\n");
        let written = document_with(&document, "new\n").expect("there is a place");
        assert_eq!(written, format!("before\n{begin}\nnew\n{end}\nafter\n"));
        assert!(document_with("nothing", "new").is_err());
        assert!(document_with(&format!("{begin} no end"), "new").is_err());
    }

    /// What it says of ours, `tests/stack` proves; what it says of the Python
    /// one was true when it was written. That it knows all checks is seen here.
    #[test]
    fn the_document_counts_the_checks_that_there_are() {
        let document = fs::read_to_string(workspace::root().join(DOCUMENT)).expect("the document");
        let all = checks::all();
        let counted = |section: &str| all.iter().filter(|check| check.section() == section).count();
        for check in &all {
            let section = check.section();
            let row = format!("\n| {} | {} |", cited(section), counted(section));
            assert!(document.contains(&row), "it does not say {row:?}; see {}", DOCUMENT_MARKS[0]);
        }
        assert!(
            document.contains(&format!("| **all** | **{}** |", all.len())),
            "the number of all checks is wrong"
        );
        let written =
            document.split(DOCUMENT_MARKS[0]).nth(1).and_then(|rest| rest.split(DOCUMENT_MARKS[1]).next());
        let lines = written.expect("there is a place").lines();
        let named: Vec<&str> = lines.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert!(!named.is_empty());
        for id in named {
            assert!(all.iter().any(|check| check.id == id), "there is no {id}");
        }
    }
}
