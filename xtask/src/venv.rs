//! `cargo xtask venv`: the Python environment of `tests/stack`, made from its
//! pinned `requirements.txt`. The tests make sure of it by calling [`ensure()`].
//!
//! ```text
//!  requirements.txt ──┬─ as in the stamp ──▶ up to date
//!                     └─ else ─ lock ─▶ venv, pip install, pip check ─▶ stamp
//! ```
//!
//! The stamp is written last: an environment without one is not finished, and
//! is made anew.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace;

pub(crate) const REQUIREMENTS: &str = "tests/stack/requirements.txt";
const SCRIPTS: &str = "tests/stack";
const VENV: &str = "target/stack-venv";
/// What the packages need.
const OLDEST: (u32, u32) = (3, 11);
/// Where to look for it, in order. What the pins were made with comes first.
const PYTHONS: [&str; 6] = ["python3.11", "python3", "python3.12", "python3.13", "python3.14", "python"];

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Print the path of its python
    #[arg(long)]
    print: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let venv = ensure(&workspace::root())?;
    if args.print {
        println!("{}", venv.python().display());
    }
    Ok(())
}

/// A Python environment with everything that is pinned.
#[derive(Clone, Debug)]
pub struct Venv {
    /// Of the workspace that it belongs to.
    root: PathBuf,
    folder: PathBuf,
}

impl Venv {
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), folder: root.join(VENV) }
    }

    /// As if it had been made from these requirements.
    #[cfg(test)]
    pub(crate) fn pretend(&self, requirements: &str) {
        fs::create_dir_all(self.folder.join("bin")).expect("a folder");
        fs::write(self.python(), "").expect("written");
        fs::write(self.stamp(), format!("# {}\n{requirements}", self.folder.display())).expect("written");
    }

    pub fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// What a package has installed to be run.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// What of ours it is for.
    pub fn script(&self, name: &str) -> PathBuf {
        self.root.join(SCRIPTS).join(name)
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join("made-from.txt")
    }
}

/// The environment of the workspace at `root`, made if it is not there or not
/// of the pinned packages. Several processes may ask at the same time.
pub fn ensure(root: &Path) -> Result<Venv> {
    let requirements = root.join(REQUIREMENTS);
    let pinned =
        fs::read_to_string(&requirements).with_context(|| format!("read {}", requirements.display()))?;
    let venv = Venv { root: root.to_owned(), folder: root.join(VENV) };
    // Programs of an environment name its path: one that was moved is no good.
    let wanted = format!("# {}\n{pinned}", venv.folder.display());
    if is_made(&venv, &wanted)? {
        return Ok(venv);
    }
    let parent = venv.folder.parent().context("the environment is in a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let lock = venv.folder.with_extension("lock");
    // Unlocked when it is closed, however this ends.
    let file = File::create(&lock).with_context(|| format!("create {}", lock.display()))?;
    file.lock().with_context(|| format!("lock {}", lock.display()))?;
    if !is_made(&venv, &wanted)? {
        make(&venv, &requirements)?;
        fs::write(venv.stamp(), wanted).context("mark the environment as made")?;
    }
    Ok(venv)
}

fn is_made(venv: &Venv, wanted: &str) -> Result<bool> {
    match fs::read_to_string(venv.stamp()) {
        // The python that it links to may be gone.
        Ok(stamp) => Ok(stamp == wanted && venv.python().exists()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("read what the environment was made from"),
    }
}

fn make(venv: &Venv, requirements: &Path) -> Result<()> {
    let python = find_python(&PYTHONS)?;
    eprintln!("making {VENV} with {python} (a minute or two, from PyPI)");
    match fs::remove_dir_all(&venv.folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).context("remove the old environment");
        }
        Ok(()) | Err(_) => {}
    }
    silently(Command::new(python).args(["-m", "venv"]).arg(&venv.folder))
        .context("make a virtual environment (on Debian and Ubuntu it needs the package python3-venv)")?;
    let pip = || {
        let mut command = Command::new(venv.python());
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]);
        command
    };
    silently(pip().args(["install", "--no-deps", "--requirement"]).arg(requirements))
        .with_context(|| format!("install {REQUIREMENTS} from PyPI"))?;
    silently(pip().arg("check")).with_context(|| format!("{REQUIREMENTS} is not complete"))
}

/// The first of these programs that is a Python new enough.
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

/// Runs a command, whose output is of interest only if it fails.
pub(crate) fn silently(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {program}"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(
        output.status.success(),
        "{program}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&said).trim_end()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_python_the_message_says_what_to_get() {
        let error = find_python(&["no-such-python", "false"]).expect_err("neither is a Python").to_string();
        assert!(error.contains("Python 3.11 or newer") && error.contains("no-such-python"), "{error}");
        assert_eq!(find_python(&["no-such-python", "true"]).expect("it says so"), "true");
    }

    #[test]
    fn what_a_failing_command_says_is_in_the_error() {
        let mut command = Command::new("sh");
        let error = silently(command.args(["-c", "echo one; echo two >&2; exit 3"])).expect_err("it fails");
        let error = error.to_string();
        assert!(error.contains("one\ntwo") && error.contains('3'), "{error}");
    }
}
