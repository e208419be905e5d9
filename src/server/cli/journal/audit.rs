//! The command `journal audit`: prints the audit trail, oldest first.

use std::{borrow::Cow, io::Write};

use serde::Serialize;

use super::MaintenanceError;
use crate::{
    cli::{args::Form, table::printable},
    journal::{AuditEntry, AuditId, AuditPage},
    record::AuditRecord,
};

/// Records read at once.
const PAGE: u32 = 512;

/// Prints the records of all pages behind one another, and returns whether all could be read.
pub(super) fn print(
    page: impl Fn(AuditId, u32) -> Result<AuditPage, MaintenanceError>,
    form: Form,
    out: &mut dyn Write,
) -> Result<bool, MaintenanceError> {
    let (mut after, mut is_whole) = (AuditId::default(), true);
    match form {
        Form::Table => row(
            out,
            ["TIME", "OUTCOME", "OPERATION", "ACTOR", "TENANT", "RUN", "NODE RUN", "REASON", "DETAIL"],
        )?,
        Form::Json => {}
    }
    loop {
        let AuditPage { entries, damaged, scanned_to, at_end } = page(after, PAGE)?;
        for entry in &entries {
            match form {
                Form::Table => table_row(out, &entry.record)?,
                Form::Json => json_line(out, entry)?,
            }
        }
        for id in damaged {
            is_whole = false;
            match form {
                Form::Table => writeln!(out, "problem: record {} cannot be read", id.0)?,
                Form::Json => writeln!(out, "{}", serde_json::json!({"id": id.0, "damaged": true}))?,
            }
        }
        if at_end {
            return Ok(is_whole);
        }
        after = scanned_to;
    }
}

fn json_line(out: &mut dyn Write, entry: &AuditEntry) -> Result<(), MaintenanceError> {
    #[derive(Serialize)]
    struct Line<'r> {
        id: u64,
        #[serde(flatten)]
        record: &'r AuditRecord,
    }
    let line = Line { id: entry.id.0, record: &entry.record };
    serde_json::to_writer(&mut *out, &line).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

fn table_row(out: &mut dyn Write, record: &AuditRecord) -> Result<(), MaintenanceError> {
    let suppressed = match record.suppressed {
        0 => None,
        suppressed => Some(format!("({suppressed} more before it)")),
    };
    let detail: Vec<&str> = record.detail().into_iter().chain(suppressed.as_deref()).collect();
    let detail = detail.join(" ");
    row(
        out,
        [
            &record.at.to_string(),
            record.outcome.as_str(),
            record.operation.as_str(),
            record.actor.name(),
            record.actor.identity().and_then(|identity| identity.tenant.as_deref()).unwrap_or_default(),
            record.object.run_id.as_ref().map_or("", |run| run.as_str()),
            record.object.node_run_id.as_ref().map_or("", |node| node.as_str()),
            record.reason.as_deref().unwrap_or_default(),
            &detail,
        ],
    )
}

/// Writes the columns, padded to a usual width.
fn row(out: &mut dyn Write, columns: [&str; 9]) -> Result<(), MaintenanceError> {
    const WIDTHS: [usize; 9] = [27, 8, 26, 12, 8, 12, 12, 12, 0];
    let mut line = String::new();
    for (column, width) in columns.into_iter().zip(WIDTHS) {
        let column = if column.is_empty() { Cow::Borrowed("-") } else { printable(column) };
        line.push_str(&format!("{column:<width$}  "));
    }
    Ok(writeln!(out, "{}", line.trim_end())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::{Actor, AuditObject, AuditedOperation, Identity, Operation},
        time::Timestamp,
    };

    #[test]
    fn names_from_tokens_cannot_control_a_terminal() {
        let identity = Identity { tenant: Some("a\u{1b}[2J\nb".into()), ..Identity::bare("é\t") };
        let record = AuditRecord::applied(
            Timestamp::from_micros(0),
            Actor::Caller(identity),
            AuditedOperation::Request(Operation::GetRun),
            AuditObject::default(),
        );
        let mut printed = Vec::new();
        table_row(&mut printed, &record.refused("forbidden").after(2)).expect("printed");
        let printed = String::from_utf8(printed).expect("text");
        assert!(printed.contains("é\\t ") && printed.contains("a\\u{1b}[2J\\nb "), "{printed}");
        assert!(printed.ends_with("forbidden     (2 more before it)\n"), "{printed}");
        assert_eq!(printed.lines().count(), 1);
    }
}
