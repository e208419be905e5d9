//! The report of `check-spec`, as text and as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Checked, Report};
use specification::openapi::{Comparison, Difference};

/// Longer values are cut in the text; `--json` has all of them.
const VALUE_LIMIT: usize = 160;
/// Operations that are named per difference.
const PLACE_LIMIT: usize = 2;

impl Report {
    /// Whether there are no differences and no unused entries.
    pub fn agrees(&self) -> bool {
        self.differences() == 0 && self.unused.is_empty()
    }

    fn differences(&self) -> usize {
        self.checked.iter().map(|checked| checked.comparison.differences.len()).sum()
    }

    /// The report as text.
    pub fn as_text(&self) -> String {
        let mut out = String::new();
        for checked in &self.checked {
            out.push_str(&text_of(checked));
        }
        for line in &self.unused {
            // Writing to a string cannot fail.
            _ = writeln!(out, "accepted, but no longer a difference: {line}");
        }
        let accepted: usize = self.checked.iter().map(|checked| checked.accepted.len()).sum();
        _ = writeln!(
            out,
            "check-spec: {}, {}, {accepted} accepted",
            counted(self.checked.len(), "comparison"),
            counted(self.differences(), "difference"),
        );
        out
    }

    /// The report as JSON.
    pub fn as_json(&self) -> Value {
        let comparisons: Vec<Value> = self.checked.iter().map(json_of).collect();
        json!({"agrees": self.agrees(), "comparisons": comparisons, "unused": self.unused})
    }
}

fn text_of(checked: &Checked) -> String {
    let Checked { ours, theirs, comparison, accepted, .. } = checked;
    let Comparison { differences, operations, schemas, skipped, .. } = comparison;
    let mut out = format!("{ours} and {theirs}: ");
    _ = write!(
        out,
        "{operations} operations, {schemas} schemas, {}",
        counted(differences.len(), "difference")
    );
    if !accepted.is_empty() {
        _ = write!(out, ", {} accepted", accepted.len());
    }
    if !skipped.is_empty() {
        _ = write!(out, " (not compared, because only the first has them: {})", skipped.join(", "));
    }
    out.push('\n');
    for Difference { pointer, ours, theirs, places } in differences {
        _ = writeln!(out, "  {pointer}\n      in {}", list(places));
        _ = writeln!(out, "      ours:   {}\n      theirs: {}", brief(ours.as_ref()), brief(theirs.as_ref()));
    }
    out
}

fn counted(count: usize, what: &str) -> String {
    match (count, what) {
        (0, "difference") => "no differences".into(),
        (1, what) => format!("1 {what}"),
        (_, what) => format!("{count} {what}s"),
    }
}

fn list(places: &[String]) -> String {
    let named = places.iter().take(PLACE_LIMIT).cloned().collect::<Vec<_>>().join(", ");
    match places.len().saturating_sub(PLACE_LIMIT) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn brief(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let text = value.to_string();
    match text.char_indices().nth(VALUE_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn json_of(checked: &Checked) -> Value {
    let Checked { against, ours, theirs, comparison, accepted } = checked;
    let accepted: Vec<Value> = accepted
        .iter()
        .map(|(difference, reason)| {
            let mut entry = json_difference(difference);
            entry["reason"] = json!(reason);
            entry
        })
        .collect();
    json!({
        "document": ours,
        "against": against.name(),
        "theirs": theirs,
        "operations": comparison.operations,
        "schemas": comparison.schemas,
        "skipped": comparison.skipped,
        "differences": comparison.differences.iter().map(json_difference).collect::<Vec<_>>(),
        "accepted": accepted,
    })
}

/// A member is left out where a document has no value: null would be one.
fn json_difference(difference: &Difference) -> Value {
    let Difference { pointer, ours, theirs, places } = difference;
    let mut entry = json!({ "pointer": pointer, "places": places });
    for (side, value) in [("ours", ours), ("theirs", theirs)] {
        if let Some(value) = value {
            entry[side] = value.clone();
        }
    }
    entry
}
