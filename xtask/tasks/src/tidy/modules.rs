//! Which module a file is, of which crate.

/// The source folders of the crates whose imports are checked.
const CRATES: [&str; 10] = [
    "src",
    "tests/executor/src",
    "xtask/bench/src",
    "xtask/chaos/src",
    "xtask/conformance/src",
    "xtask/package/src",
    "xtask/specification/src",
    "xtask/stack/src",
    "xtask/support/src",
    "xtask/tasks/src",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// The source folder of its crate.
    pub(super) krate: &'static str,
    /// `["journal", "sqlite"]`; empty for the root.
    pub(super) path: Vec<String>,
}

impl Module {
    /// `src/server/journal/sqlite.rs` → `journal::sqlite`. The crate root
    /// re-exports the rooms of `src/server`, which is a folder for the sake of
    /// one `cfg`.
    pub(super) fn of_file(file: &str) -> Option<Self> {
        let (krate, path) = CRATES.iter().find_map(|krate| {
            Some((*krate, file.strip_prefix(krate)?.strip_prefix('/')?.strip_suffix(".rs")?))
        })?;
        let path = path.strip_prefix("server/").unwrap_or(path);
        let mut path: Vec<String> = path.split('/').map(str::to_owned).collect();
        let is_root = path.len() == 1 && path[0] == "lib";
        if is_root || path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        Some(Self { krate, path })
    }

    /// A module of the server's crate, which has a table of layers.
    pub(super) fn of_server(file: &str) -> Option<Self> {
        Self::of_file(file).filter(|module| module.krate == "src")
    }

    pub(super) fn name(&self) -> String {
        self.path.join("::")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_modules_of_their_crate() {
        for (file, krate, name) in [
            ("src/lib.rs", "src", ""),
            ("src/types/ids.rs", "src", "types::ids"),
            ("src/server/journal/mod.rs", "src", "journal"),
            ("src/server/journal/sqlite.rs", "src", "journal::sqlite"),
            ("xtask/chaos/src/verdict.rs", "xtask/chaos/src", "verdict"),
        ] {
            let module = Module::of_file(file).unwrap();
            assert_eq!((module.krate, module.name().as_str()), (krate, name));
        }
        assert_eq!(Module::of_file("tests/integration/main.rs"), None);
        assert_eq!(Module::of_server("xtask/chaos/src/verdict.rs"), None);
    }
}
