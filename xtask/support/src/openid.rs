//! The OpenID provider of `tests/stack`: a Node program of ours around the
//! package `oidc-provider`, with everything pinned by `package-lock.json`: see [`crate::npm`].

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::npm::Packages;

const SCRIPT: &str = "provider.js";

/// The script is placed beside its packages, where Node looks for them.
const PACKAGES: Packages = Packages {
    sources: "tests/stack/openid",
    folder: "target/stack-openid",
    files: &["package.json", "package-lock.json", SCRIPT],
    result: SCRIPT,
};

/// A program that can be run: a Node, and the script for it.
#[derive(Clone, Debug)]
pub struct Provider {
    pub node: PathBuf,
    pub script: PathBuf,
}

/// The provider of the workspace at `root`, installed if it is not there or not
/// as pinned. Several processes may ask at the same time.
pub fn ensure(root: &Path) -> Result<Provider> {
    let (node, script) = PACKAGES.ensure(root)?;
    Ok(Provider { node: node.program, script })
}
