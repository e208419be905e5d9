//! Folders of packages from npm, pinned by a `package-lock.json`. Node itself comes with the
//! Python environment ([`crate::venv`]).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    pinned_folder::{ensure_made, silently},
    venv::{self, Node},
};

/// A folder of packages, of the workspace.
#[derive(Clone, Copy, Debug)]
pub struct Packages {
    /// Where its files are.
    pub sources: &'static str,
    /// Where it is made.
    pub folder: &'static str,
    /// The files that are placed in it, those of npm among them.
    pub files: &'static [&'static str],
    /// What is there once it is made, in the folder.
    pub result: &'static str,
}

impl Packages {
    /// The result in the workspace at `root`, and the Node for it. Installed if it is not
    /// there or not as pinned. Several processes may ask at the same time.
    pub fn ensure(&self, root: &Path) -> Result<(Node, PathBuf)> {
        let node = venv::ensure(root)?.node()?;
        let (sources, folder) = (root.join(self.sources), root.join(self.folder));
        let mut made_from = format!("{}\n", node.program.display());
        for name in self.files {
            let path = sources.join(name);
            made_from += &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        }
        let result = folder.join(self.result);
        ensure_made(&folder, &made_from, || result.exists(), || self.make(&node, &sources, &folder))?;
        Ok((node, result))
    }

    fn make(&self, node: &Node, sources: &Path, folder: &Path) -> Result<()> {
        eprintln!("making {} (some seconds, from the npm registry)", self.folder);
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        for name in self.files {
            fs::copy(sources.join(name), folder.join(name)).with_context(|| format!("copy {name}"))?;
        }
        let mut npm = Command::new(&node.program);
        // A script of a package may do anything, and one reports its installation.
        npm.arg(&node.npm).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]);
        silently(npm.current_dir(folder))
            .with_context(|| format!("install {}/package-lock.json", self.sources))
    }
}
