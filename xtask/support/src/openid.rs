//! The OpenID provider of `tests/stack`: a Node program of ours around the
//! package `oidc-provider`, with everything pinned by `package-lock.json`. Node
//! itself comes with the Python environment ([`crate::venv`]).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    pinned_folder::{ensure_made, silently},
    venv,
};

const SOURCES: &str = "tests/stack/openid";
const FOLDER: &str = "target/stack-openid";
const SCRIPT: &str = "provider.js";
const FILES: [&str; 3] = ["package.json", "package-lock.json", SCRIPT];

/// A program that can be run: a Node, and the script for it.
#[derive(Clone, Debug)]
pub struct Provider {
    pub node: PathBuf,
    pub script: PathBuf,
}

/// The provider of the workspace at `root`, installed if it is not there or not
/// as pinned. Several processes may ask at the same time.
pub fn ensure(root: &Path) -> Result<Provider> {
    let node = venv::ensure(root)?.node()?;
    let (sources, folder) = (root.join(SOURCES), root.join(FOLDER));
    let mut made_from = format!("{}\n", node.program.display());
    for name in FILES {
        let path = sources.join(name);
        made_from += &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    }
    // The script is placed beside its packages, where Node looks for them.
    let script = folder.join(SCRIPT);
    ensure_made(
        &folder,
        &made_from,
        || script.exists(),
        || {
            eprintln!("making {FOLDER} (some seconds, from the npm registry)");
            fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
            for name in FILES {
                fs::copy(sources.join(name), folder.join(name)).with_context(|| format!("copy {name}"))?;
            }
            let mut npm = Command::new(&node.program);
            npm.arg(&node.npm).args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-update-notifier",
            ]);
            silently(npm.current_dir(&folder)).with_context(|| format!("install {SOURCES}/package-lock.json"))
        },
    )?;
    Ok(Provider { node: node.program, script })
}
