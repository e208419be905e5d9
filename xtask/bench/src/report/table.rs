//! The results as Markdown: a table for each workload, with the median of the rounds and,
//! if there were several, the extremes; then the ratios.

use std::fmt::Write;

use super::{Results, Row};
use crate::{plan, stats::Spread};

pub(super) fn table(results: &Results) -> String {
    let setting = &results.setting;
    let machine = &setting.machine;
    let mut text = format!(
        "{} × {}, {} GiB, Linux {}, {}; {}, commit {}. {} s each, {}.\n",
        machine.processors,
        machine.processor,
        machine.memory_gib,
        machine.kernel,
        machine.disk,
        setting.date,
        setting.commit,
        setting.seconds,
        match setting.rounds {
            1 => "one round".to_owned(),
            rounds => format!("the median of {rounds} rounds (and the extremes)"),
        }
    );
    for workload in results.workloads() {
        let about = plan::about(workload);
        let rows = results.of(workload);
        let cells = rows.iter().map(|row| figures(row, &columns(&rows), value)).collect();
        section(&mut text, workload, about, &rows, cells);
    }
    ratios(&mut text, results);
    if !results.notes.is_empty() {
        text += "\n";
        results.notes.iter().for_each(|note| text += &format!("- {note}\n"));
    }
    text
}

/// The disk's own rate is not a subject's.
const DISK: &str = "fdatasync/s";

/// For each comparison, the figures of one subject divided by those of the other.
fn ratios(text: &mut String, results: &Results) {
    for workload in results.workloads() {
        let rows = results.of(workload);
        let mut divided = Vec::new();
        for [over, under] in &results.comparisons {
            for row in rows.iter().filter(|row| row.subject == *over) {
                let other = rows.iter().find(|other| other.subject == *under && other.size == row.size);
                divided.extend(other.map(|other| (*row, *other)));
            }
        }
        let shown: Vec<Row> = divided
            .iter()
            .map(|(over, under)| Row {
                subject: format!("{} / {}", over.subject, under.subject),
                figures: over
                    .figures
                    .iter()
                    .filter(|figure| figure.name != DISK && under.values(figure.name).is_some())
                    .cloned()
                    .collect(),
                ..(*over).clone()
            })
            .collect();
        let shown: Vec<&Row> = shown.iter().collect();
        let columns = columns(&shown);
        let cells = divided
            .iter()
            .map(|(over, under)| {
                let ratio = |name: &str| Spread::of_ratios(over.values(name)?, under.values(name)?);
                columns.iter().map(|name| ratio(name).map(spread).unwrap_or_default()).collect()
            })
            .collect();
        if !shown.is_empty() {
            section(text, &format!("Ratios: {workload}"), "", &shown, cells);
        }
    }
}

fn section(text: &mut String, title: &str, about: &str, rows: &[&Row], cells: Vec<Vec<String>>) {
    let columns = columns(rows);
    let of = rows.iter().find_map(|row| row.size).map(|size| size.of);
    // Writing into a String does not fail.
    let _ = write!(text, "\n### {title}\n\n");
    if !about.is_empty() {
        let _ = write!(text, "{about}\n\n");
    }
    let heads = [Some("subject"), of].into_iter().flatten().chain(columns.iter().copied());
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    *text += &line(heads.clone().map(str::to_owned).collect());
    *text += &line(heads.enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }.into()).collect());
    for (row, figures) in rows.iter().zip(cells) {
        let size = of.map(|_| row.size.map(|size| thousands(size.number)).unwrap_or_default());
        *text += &line([Some(row.subject.clone()), size].into_iter().flatten().chain(figures).collect());
    }
}

/// The names of all figures of these rows.
fn columns(rows: &[&Row]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for figure in rows.iter().flat_map(|row| &row.figures) {
        if !names.contains(&figure.name) {
            names.push(figure.name);
        }
    }
    names
}

fn figures(row: &Row, columns: &[&'static str], show: impl Fn(&[f64]) -> String) -> Vec<String> {
    columns.iter().map(|name| row.values(name).map(&show).unwrap_or_default()).collect()
}

fn value(values: &[f64]) -> String {
    Spread::of(values).map(spread).unwrap_or_default()
}

fn spread(Spread { min, median, max }: Spread) -> String {
    if min == max {
        number(median)
    } else {
        format!("{} ({}–{})", number(median), number(min), number(max))
    }
}

/// With three digits that count.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".into(),
        size if size >= 999.5 => thousands(value.round() as usize),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.095 => format!("{value:.2}"),
        0.0 => "0".into(),
        _ => format!("{value:.4}"),
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    const EXPECTED: &str = "\
2 × a processor, 4 GiB, Linux 6.1, ext4 on /dev/vda; 2026-11-29 12:00 UTC, commit 0123456789ab. 1 s each, \
the median of 2 rounds (and the extremes).

### one-node

From the start of a run of one node to `succeeded`; its client follows its events. The executor answers at once.

| subject | clients | runs/s | p50 ms |
| --- | ---: | ---: | ---: |
| ours | 1 | 305 (300–310) | 3.25 |
| other | 1 | 152 (150–155) |  |
| ours | 16 | 1,005 (1,000–1,010) | 3.25 |
| other | 16 | 502 (500–505) |  |

### cold-start

From the start of the process with an empty journal, best of five: to the first answered `/readyz`, and to the end of a first run.

| subject | ready ms |
| --- | ---: |
| ours | 12.0 |

### Ratios: one-node

| subject | clients | runs/s |
| --- | ---: | ---: |
| ours / other | 1 | 2.00 |
| ours / other | 16 | 2.00 |

- The other does less.
";

    #[test]
    fn table_has_medians_extremes_and_ratios() {
        assert_eq!(table(&sample()), EXPECTED);
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        for (value, expected) in [
            (0.0, "0"),
            (0.012_34, "0.0123"),
            (0.5, "0.50"),
            (1.416, "1.42"),
            (14.16, "14.2"),
            (141.6, "142"),
            (999.7, "1,000"),
            (1_234_567.0, "1,234,567"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), expected);
        }
    }
}
