//! The results as drawings: for each workload with several sizes, its first figure by size,
//! with a line for each subject and the extremes of the rounds.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    drawing::IntoDrawingArea,
    element::{Circle, ErrorBar, PathElement},
    series::LineSeries,
    style::{BLACK, Color, IntoFont, Palette, Palette99, WHITE},
};
use plotters::{coord::combinators::IntoLogRange, prelude::SVGBackend};

use super::{Results, Row, table::number};
use crate::stats::Spread;

const SIZE: (u32, u32) = (720, 420);

/// A line: a point for each size.
type Line = Vec<(f64, Spread)>;

/// The names of files, and what is in them.
pub(super) fn plots(results: &Results) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for workload in results.workloads() {
        let rows = results.of(workload);
        let Some(figure) = rows.iter().flat_map(|row| &row.figures).next() else { continue };
        let lines = lines(&rows, figure.name);
        if lines.values().any(|line| line.len() > 1) {
            let of = rows.iter().find_map(|row| row.size).map_or("", |size| size.of);
            let name = format!("{workload}-{}.svg", file_name(figure.name));
            files.push((name, draw(&format!("{workload}: {} by {of}", figure.name), of, &lines)?));
        }
    }
    Ok(files)
}

fn file_name(figure: &str) -> String {
    figure.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// By subject. A logarithm needs values above 0.
fn lines<'r>(rows: &[&'r Row], figure: &str) -> BTreeMap<&'r str, Line> {
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    for row in rows {
        let spread = row.values(figure).and_then(Spread::of).filter(|spread| spread.min > 0.0);
        if let (Some(size), Some(spread)) = (row.size, spread) {
            lines.entry(&row.subject).or_default().push((size.number as f64, spread));
        }
    }
    lines.values_mut().for_each(|line| line.sort_by(|one, other| one.0.total_cmp(&other.0)));
    lines
}

fn draw(title: &str, of: &str, lines: &BTreeMap<&str, Line>) -> Result<String> {
    let mut svg = String::new();
    // The library's errors borrow from what is drawn on.
    draw_on(&mut svg, title, of, lines).map_err(|error| anyhow!("draw {title}: {error}"))?;
    Ok(svg)
}

fn draw_on(
    svg: &mut String,
    title: &str,
    of: &str,
    lines: &BTreeMap<&str, Line>,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.values().flatten();
    let (left, right) = bounds(points().map(|(size, _)| *size));
    let (low, high) = bounds(points().flat_map(|(_, spread)| [spread.min, spread.max]));
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18).into_font())
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d((left..right * 1.1).log_scale(), (low * 0.8..high * 1.25).log_scale())?;
    let plain = |value: &f64| number(*value).trim_end_matches(".00").to_owned();
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(of).x_label_formatter(&plain).y_label_formatter(&plain);
    mesh.light_line_style(WHITE).draw()?;
    for (index, (subject, line)) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(
                line.iter().map(|(size, spread)| (*size, spread.median)),
                color.stroke_width(2),
            ))?
            .label(*subject)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        chart.draw_series(line.iter().map(|(size, Spread { min, median, max })| {
            ErrorBar::new_vertical(*size, *min, *median, *max, color.filled(), 6)
        }))?;
        chart.draw_series(
            line.iter().map(|(size, spread)| Circle::new((*size, spread.median), 3, color.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    drop(chart);
    area.present()?;
    Ok(())
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(low, high), value| (value.min(low), value.max(high)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn plot_has_a_line_and_a_label_for_each_subject() {
        let files = plots(&sample()).expect("drawn");
        let [(name, svg)] = &files[..] else { panic!("{} files", files.len()) };
        assert_eq!(name, "one-node-runs-s.svg");
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        for word in ["ours", "other", "one-node: runs/s by clients"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(svg.matches("<circle").count() >= 4, "a point for each size and subject");
    }

    #[test]
    fn plot_of_one_size_is_not_drawn() {
        let mut results = sample();
        results.rows.retain(|row| row.size.is_none_or(|size| size.number == 1));
        assert_eq!(plots(&results).expect("drawn"), []);
    }
}
