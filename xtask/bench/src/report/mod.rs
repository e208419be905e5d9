//! What was measured, in rows: one for each workload, subject and size, with the values of
//! all rounds for each figure.
//!
//! ```text
//!   measurements ──add──▶ Results ─┬─▶ results.json
//!                                  ├─▶ table.md    (`table`)
//!                                  └─▶ *.svg       (`plot`)
//! ```

mod plot;
mod table;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::procfs::Machine;

/// Where and when it was measured, and how.
#[derive(Debug, Serialize)]
pub(crate) struct Setting {
    pub(crate) machine: Machine,
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    pub(crate) command: Vec<String>,
}

/// The size of a measurement: a number of clients, of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) of: &'static str,
    pub(crate) number: usize,
}

pub(crate) fn clients(number: usize) -> Option<Size> {
    Some(Size { of: "clients", number })
}

pub(crate) fn nodes(number: usize) -> Option<Size> {
    Some(Size { of: "nodes", number })
}

/// The values of a figure, one a round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// With its unit, as the head of its column.
    pub(crate) name: &'static str,
    pub(crate) values: Vec<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) workload: &'static str,
    /// Who was measured.
    pub(crate) subject: String,
    pub(crate) size: Option<Size>,
    pub(crate) figures: Vec<Figure>,
}

impl Row {
    pub(crate) fn values(&self, name: &str) -> Option<&[f64]> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| &*figure.values)
    }
}

/// Everything so far.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) setting: Setting,
    pub(crate) rows: Vec<Row>,
    /// Which subjects are divided by which.
    pub(crate) comparisons: Vec<[String; 2]>,
    /// What a reader must know to compare.
    pub(crate) notes: Vec<String>,
}

impl Results {
    pub(crate) fn new(setting: Setting) -> Self {
        Self { setting, rows: Vec::new(), comparisons: Vec::new(), notes: Vec::new() }
    }

    /// Adds the figures of a round. Those of the same row and name are values of one figure.
    pub(crate) fn add(
        &mut self,
        workload: &'static str,
        subject: &str,
        size: Option<Size>,
        figures: &[(&'static str, f64)],
    ) {
        let same = |row: &&mut Row| row.workload == workload && row.subject == subject && row.size == size;
        let row = match self.rows.iter_mut().find(same) {
            Some(row) => row,
            None => {
                let subject = subject.to_owned();
                self.rows.push(Row { workload, subject, size, figures: Vec::new() });
                self.rows.last_mut().expect("it was pushed")
            }
        };
        let mut said = Vec::new();
        for (name, value) in figures {
            said.push(format!("{name} {}", table::number(*value)));
            match row.figures.iter_mut().find(|figure| figure.name == *name) {
                Some(figure) => figure.values.push(*value),
                None => row.figures.push(Figure { name, values: vec![*value] }),
            }
        }
        let size = size.map_or(String::new(), |size| format!(", {}: {}", size.of, size.number));
        eprintln!("{workload}: {subject}{size}: {}", said.join(", "));
    }

    pub(crate) fn compare(&mut self, over: &str, under: &str) {
        self.comparisons.push([over.to_owned(), under.to_owned()]);
    }

    pub(crate) fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// The rows of a workload, in the order in which they were first measured.
    pub(crate) fn of(&self, workload: &str) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.workload == workload).collect()
    }

    /// The workloads, in the order in which they were first measured.
    pub(crate) fn workloads(&self) -> Vec<&'static str> {
        let mut all: Vec<&'static str> = Vec::new();
        for row in &self.rows {
            if !all.contains(&row.workload) {
                all.push(row.workload);
            }
        }
        all
    }

    pub(crate) fn table(&self) -> String {
        table::table(self)
    }

    /// Writes all files. What a former run has left in the folder stays, but for these.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let mut files = vec![
            ("results.json".to_owned(), serde_json::to_string_pretty(self)? + "\n"),
            ("table.md".to_owned(), self.table()),
        ];
        files.extend(plot::plots(self)?);
        for (name, text) in files {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) fn sample() -> Results {
    let machine = Machine {
        processor: "a processor".into(),
        processors: 2,
        memory_gib: 4.0,
        kernel: "6.1".into(),
        disk: "ext4 on /dev/vda".into(),
    };
    let (date, commit) = ("2026-11-29 12:00 UTC".into(), "0123456789ab".into());
    let command = vec!["one-node".into()];
    let mut results = Results::new(Setting { machine, date, commit, seconds: 1, rounds: 2, command });
    for round in 0..2 {
        let faster = f64::from(round) * 10.0;
        for (count, rate) in [(1, 300.0), (16, 1_000.0)] {
            results.add("one-node", "ours", clients(count), &[("runs/s", rate + faster), ("p50 ms", 3.25)]);
            results.add("one-node", "other", clients(count), &[("runs/s", (rate + faster) / 2.0)]);
        }
        results.add("cold-start", "ours", None, &[("ready ms", 12.0)]);
    }
    results.compare("ours", "other");
    results.note("The other does less.");
    results
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn values_of_rounds_are_one_figure() {
        let results = sample();
        assert_eq!(results.rows.len(), 5);
        assert_eq!(results.of("one-node")[0].values("runs/s"), Some(&[300.0, 310.0][..]));
        assert_eq!(results.of("one-node")[1].values("p50 ms"), None);
        assert_eq!(results.workloads(), ["one-node", "cold-start"]);
    }

    #[test]
    fn json_has_every_figure_and_the_setting() {
        let json: Value = serde_json::to_value(sample()).expect("JSON");
        assert_eq!(json["setting"]["machine"]["kernel"], "6.1");
        assert_eq!(json["setting"]["commit"], "0123456789ab");
        let row = &json["rows"][2];
        assert_eq!((&row["subject"], &row["size"]["number"]), (&Value::from("ours"), &Value::from(16)));
        assert_eq!(row["figures"][0], serde_json::json!({"name": "runs/s", "values": [1000.0, 1010.0]}));
        assert_eq!(json["comparisons"][0], serde_json::json!(["ours", "other"]));
    }

    #[test]
    fn files_are_written_into_a_new_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("new");
        sample().write(&folder).expect("written");
        let mut names: Vec<String> = fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["one-node-runs-s.svg", "results.json", "table.md"]);
    }
}
