//! Notices changes of files that the server is built from or reads.
//!
//! Files are polled, as `--reload` does: some two hundred look-ups a few times a
//! second are cheap, and work on every file system.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Files and folders that a build reads, and the env files.
const WATCHED: [&str; 8] =
    ["Cargo.lock", "Cargo.toml", "build.rs", ".cargo", "openapi", "src", ".env.local", ".env"];

/// The state of all watched files: time of modification and size.
type Look = BTreeMap<PathBuf, (SystemTime, u64)>;

pub(super) struct Watch {
    root: PathBuf,
    remembered: Look,
    last: Look,
}

impl Watch {
    pub(super) fn new(root: &Path) -> Self {
        let now = look(root);
        Self { root: root.to_owned(), remembered: now.clone(), last: now }
    }

    /// Takes the present state as unchanged.
    pub(super) fn remember(&mut self) {
        self.remembered = look(&self.root);
        self.last.clone_from(&self.remembered);
    }

    /// Whether the state has changed and then stayed the same for two polls, so that
    /// the editor has finished.
    pub(super) fn changed(&mut self) -> bool {
        let now = look(&self.root);
        let settled = now == self.last;
        self.last = now;
        settled && self.last != self.remembered
    }
}

fn look(root: &Path) -> Look {
    let mut found = Look::new();
    let mut paths: Vec<PathBuf> = WATCHED.iter().map(|name| root.join(name)).collect();
    while let Some(path) = paths.pop() {
        // A file that cannot be read counts as missing.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            paths.extend(entries.map(|entry| entry.path()));
        } else if let Ok(time) = metadata.modified() {
            found.insert(path, (time, metadata.len()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settled_changes_count_until_they_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("src/deep")).unwrap();
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        write("src/deep/a.rs", "");
        let mut watch = Watch::new(root);
        assert!(!watch.changed());

        type Change<'a> = &'a dyn Fn();
        let changes: [(&str, Change<'_>); 4] = [
            ("a source", &|| write("src/deep/a.rs", "a")),
            ("a new source", &|| write("src/b.rs", "b")),
            ("an env file", &|| write(".env.local", "A=1")),
            ("a source that is gone", &|| fs::remove_file(root.join("src/b.rs")).unwrap()),
        ];
        for (what, change) in changes {
            change();
            assert_eq!([watch.changed(), watch.changed(), watch.changed()], [false, true, true], "{what}");
            watch.remember();
            assert!(!watch.changed(), "{what}");
        }

        fs::create_dir(root.join("target")).unwrap();
        for other in ["README.md", "target/x", "jarvis-run-coordinator.db"] {
            write(other, "x");
            assert_eq!([watch.changed(), watch.changed()], [false, false], "{other}");
        }
    }
}
