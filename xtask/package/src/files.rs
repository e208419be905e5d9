//! What gets into a package: files with their modes, and links. The order is that of
//! the paths, so that a package depends on nothing but its content.

use std::collections::BTreeMap;

pub(crate) const PROGRAM: u32 = 0o755;
pub(crate) const DATA: u32 = 0o644;

#[derive(Clone, Debug, Default)]
pub struct Files(BTreeMap<String, Entry>);

#[derive(Clone, Debug)]
pub enum Entry {
    File {
        mode: u32,
        content: Vec<u8>,
    },
    /// What the link says, as it says it.
    Link(String),
}

impl Files {
    pub fn add(&mut self, path: impl Into<String>, mode: u32, content: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), Entry::File { mode, content: content.into() });
    }

    pub fn link(&mut self, path: &str, to: &str) {
        self.0.insert(path.to_owned(), Entry::Link(to.to_owned()));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The size of all files together.
    pub fn bytes(&self) -> usize {
        let of = |entry: &Entry| match entry {
            Entry::File { content, .. } => content.len(),
            Entry::Link(_) => 0,
        };
        self.0.values().map(of).sum()
    }
}
