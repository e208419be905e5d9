//! What the program is made of: the packages that are linked into it.
//!
//! ```text
//!  cargo tree      which packages, with the features that the program is built with
//!  cargo metadata  licence, source, folder, and who needs whom
//!  Cargo.lock      checksums
//! ```
//!
//! `cargo metadata` alone would not do: it adds up the features of everything in the
//! workspace, tests and tools included.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xtask_support::workspace::{self, PROGRAM};

/// A package that is part of the program.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub name: String,
    pub version: String,
    /// An SPDX expression.
    pub licence: String,
    pub description: Option<String>,
    pub repository: Option<String>,
    pub authors: Vec<String>,
    /// SHA-256 of what the registry has; none of our own package.
    pub checksum: Option<String>,
    /// Where its source is on this machine.
    pub folder: PathBuf,
    /// The positions of what it needs in turn.
    pub needs: Vec<usize>,
}

/// All of them, sorted by name and version. The program's own package is one.
pub(crate) fn linked() -> Result<Vec<Dependency>> {
    let metadata: Metadata = serde_json::from_str(&said(workspace::cargo([
        "metadata",
        "--locked",
        "--all-features",
        "--format-version",
        "1",
    ]))?)
    .context("understand cargo metadata")?;
    let mut tree = workspace::cargo(["tree", "--locked", "--package", PROGRAM, "--prefix", "none"]);
    tree.args(["--edges", "normal,no-proc-macro", "--format", "{p}"]);
    let wanted = named(&said(tree)?);
    let lock = fs::read_to_string(workspace::root().join("Cargo.lock")).context("read Cargo.lock")?;
    let found = select(metadata, &wanted, &checksums(&lock));
    ensure!(
        found.len() == wanted.len(),
        "cargo tree has {} packages, and {} are known",
        wanted.len(),
        found.len()
    );
    Ok(found)
}

fn said(mut command: Command) -> Result<String> {
    let output = command.output().context("run cargo")?;
    ensure!(output.status.success(), "cargo: {}", String::from_utf8_lossy(&output.stderr).trim());
    String::from_utf8(output.stdout).context("cargo writes UTF-8")
}

/// Name and version of each line of `cargo tree`: `serde v1.0.228`.
fn named(tree: &str) -> BTreeSet<(String, String)> {
    let name = |line: &str| {
        let mut words = line.split(' ');
        Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    };
    tree.lines().filter_map(name).collect()
}

/// The checksums of a lock file, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim_start_matches(" = ").trim_matches('"').to_owned())
    };
    let of =
        |block: &str| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?));
    lock.split("[[package]]").filter_map(of).collect()
}

fn select(
    metadata: Metadata,
    wanted: &BTreeSet<(String, String)>,
    checksums: &BTreeMap<(String, String), String>,
) -> Vec<Dependency> {
    let mut packages = metadata.packages;
    packages.retain(|package| wanted.contains(&(package.name.clone(), package.version.clone())));
    packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
    let places: BTreeMap<&str, usize> =
        packages.iter().enumerate().map(|(place, package)| (package.id.as_str(), place)).collect();
    let mut needs: Vec<Vec<usize>> = vec![Vec::new(); packages.len()];
    for node in &metadata.resolve.nodes {
        let Some(&place) = places.get(node.id.as_str()) else { continue };
        let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        needs[place] = normal.filter_map(|dep| places.get(dep.pkg.as_str()).copied()).collect();
        needs[place].sort_unstable();
        needs[place].dedup();
    }
    let with_needs = packages.iter().zip(needs);
    with_needs
        .map(|(package, needs)| Dependency {
            name: package.name.clone(),
            version: package.version.clone(),
            // `A/B` is how packages said `A OR B` before there were expressions.
            licence: package.license.clone().unwrap_or_default().replace('/', " OR "),
            description: package.description.clone(),
            repository: package.repository.clone(),
            authors: package.authors.clone(),
            checksum: checksums.get(&(package.name.clone(), package.version.clone())).cloned(),
            folder: package.manifest_path.parent().map(PathBuf::from).unwrap_or_default(),
            needs,
        })
        .collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    repository: Option<String>,
    authors: Vec<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Deserialize)]
struct Dep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

/// `kind` is absent for what is linked.
#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tree_and_lock_are_understood() {
        let tree = "jarvis-run-coordinator v0.1.0 (/somewhere)\nserde v1.0.228\nserde v1.0.228 (*)\n\n";
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        let expected = BTreeSet::from([pair(PROGRAM, "0.1.0"), pair("serde", "1.0.228")]);
        assert_eq!(named(tree), expected);
        let lock = "version = 4\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.228\"\nsource = \"x\"\n\
            checksum = \"9a8e\"\ndependencies = [\n \"serde_core\",\n]\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(pair("serde", "1.0.228"), "9a8e".to_owned())]));
    }
}
