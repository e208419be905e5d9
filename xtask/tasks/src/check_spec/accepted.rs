//! `openapi/accepted-differences.yaml`: intended differences between our documents and
//! those of others, each with its reason. Differences from our own program are never
//! accepted.
//!
//! An entry that accepts no difference is an error, so the file stays true.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::Against;
use specification::openapi::Difference;

pub(crate) const FILE: &str = "accepted-differences.yaml";
/// In place of a value: any value. In a pointer: any one segment.
const ANYTHING: &str = "*";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// From the documents of the SDK.
    #[serde(default)]
    official: Vec<Entry>,
    /// From the documents of the real services.
    #[serde(default)]
    services: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    documents: Vec<String>,
    /// Into our document.
    pointers: Vec<String>,
    /// Absent: there is no value.
    ours: Option<Value>,
    theirs: Option<Value>,
    reason: String,
}

impl Accepted {
    /// The file in the folder of our documents.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text)
    }

    pub fn parse(text: &str) -> Result<Self> {
        let accepted: Self = serde_yaml_ng::from_str(text).context(FILE)?;
        for entry in accepted.official.iter().chain(&accepted.services) {
            let Entry { documents, pointers, reason, .. } = entry;
            ensure!(!reason.trim().is_empty(), "{FILE}: no reason for {}", pointers.join(", "));
            ensure!(
                !documents.is_empty() && !pointers.is_empty(),
                "{FILE}: an entry without documents or pointers: {reason}"
            );
        }
        Ok(accepted)
    }

    fn entries(&self, against: Against) -> &[Entry] {
        match against {
            Against::Program => &[],
            Against::Official => &self.official,
            Against::Service => &self.services,
        }
    }

    /// The reason, if this difference is intended.
    pub(crate) fn accepts(&self, against: Against, document: &str, found: &Difference) -> bool {
        self.book().reason(against, document, found).is_some()
    }

    /// The list, ready to be applied to differences.
    pub(super) fn book(&self) -> Book<'_> {
        Book { accepted: self, used: Vec::new() }
    }
}

/// The list, and which of its entries have been used.
pub(super) struct Book<'a> {
    accepted: &'a Accepted,
    used: Vec<Line<'a>>,
}

/// One pointer of one document, which an entry must accept at least once.
#[derive(Clone, Copy, PartialEq)]
struct Line<'a> {
    against: Against,
    /// Of the entry, among those of `against`.
    index: usize,
    document: &'a str,
    pointer: &'a str,
}

impl<'a> Book<'a> {
    /// The reason for which this difference is accepted, if it is.
    pub(super) fn reason(&mut self, against: Against, document: &str, found: &Difference) -> Option<&'a str> {
        let mut reason = None;
        for line in self.lines().into_iter().filter(|line| line.against == against) {
            let entry = &self.accepted.entries(against)[line.index];
            let accepts = line.document == document
                && matches(line.pointer, &found.pointer)
                && is(entry.ours.as_ref(), found.ours.as_ref())
                && is(entry.theirs.as_ref(), found.theirs.as_ref());
            if accepts {
                self.used.push(line);
                reason = Some(entry.reason.trim());
            }
        }
        reason
    }

    /// The entries that accepted nothing.
    pub(super) fn unused(&self) -> Vec<String> {
        let unused = self.lines().into_iter().filter(|line| !self.used.contains(line));
        unused.map(|line| format!("{}: {} ({})", line.document, line.pointer, line.against.name())).collect()
    }

    fn lines(&self) -> Vec<Line<'a>> {
        let mut lines = Vec::new();
        for against in [Against::Official, Against::Service] {
            for (index, entry) in self.accepted.entries(against).iter().enumerate() {
                for document in &entry.documents {
                    for pointer in &entry.pointers {
                        lines.push(Line { against, index, document, pointer });
                    }
                }
            }
        }
        lines
    }
}

fn matches(pattern: &str, pointer: &str) -> bool {
    let (mut pattern, mut pointer) = (pattern.split('/'), pointer.split('/'));
    loop {
        match (pattern.next(), pointer.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == ANYTHING || wanted == given => {}
            (_, _) => return false,
        }
    }
}

fn is(wanted: Option<&Value>, given: Option<&Value>) -> bool {
    match wanted {
        Some(wanted) if wanted == ANYTHING => given.is_some(),
        wanted => wanted == given,
    }
}
