//! `cargo xtask upgrade-sdk VERSION`: moves to another version of the official
//! specification, in one command and with one diff to review.
//!
//! ```text
//!   pinned ─┬─▶ changes: what is different, as a table
//!   new  ───┤
//!           └─▶ rewrite: our documents, with our words ─▶ text
//!                   │
//!                   ├─▶ the pin: tests/stack/requirements.txt, openapi/arp-conformance.sha256
//!                   └─▶ rebuild: what does not compile, which tests fail
//! ```
//!
//! The documents of the stores stay: they follow the services, which are pinned
//! apart. `check-spec` reports what the program does not do yet.

mod changes;
mod rebuild;
mod rewrite;
mod text;
mod yaml;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

pub use self::{
    changes::{Change, Class, changes, table},
    rewrite::{Rewritten, rewrite},
};
use specification::{
    openapi::Difference,
    sdk::{self, SERVICES, Sdk},
};
use xtask_support::{venv::REQUIREMENTS, workspace};

use crate::check_spec::{self, Accepted, DOCUMENTS};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The version of arp-conformance to move to
    version: String,
    /// Print the changes and the edits, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// A copy of the new specification, instead of the one from PyPI: the pin stays then
    #[arg(long, value_name = "DIR")]
    sdk_dir: Option<PathBuf>,
    /// The version to compare with, instead of the pinned one
    #[arg(long, value_name = "VERSION")]
    from: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    let pinned = sdk::pinned_version(&root)?;
    let old = match &args.from {
        Some(version) => Sdk::of_version(&root, version)?.0,
        None => Sdk::pinned(&root)?,
    };
    let (new, hash) = match &args.sdk_dir {
        Some(folder) => (Sdk::local(folder)?, None),
        None => Sdk::of_version(&root, &args.version).map(|(sdk, hash)| (sdk, Some(hash)))?,
    };
    println!("{} {} → {}\n", sdk::PACKAGE, args.from.as_ref().unwrap_or(&pinned), args.version);
    print!("{}", table(&changes(&old, &new)?));

    let documents = root.join(DOCUMENTS);
    let plan = plan(&documents, &new, &Accepted::load(&documents)?)?;
    print!("\n{}", summary(&plan));
    if args.dry_run {
        println!("\nnothing was written (--dry-run)");
        return Ok(());
    }
    for (service, rewritten) in &plan {
        write(&documents.join(format!("{service}.yaml")), &rewritten.yaml)?;
    }
    match hash {
        Some(hash) => pin(&root, &pinned, &args.version, &hash)?,
        None => println!("\nthe pin stays at {pinned}: a folder has no hash"),
    }
    let by_hand: usize = plan.iter().map(|(_, rewritten)| rewritten.left.len()).sum();
    finish(by_hand)
}

/// The edits to our documents.
pub fn plan(documents: &Path, new: &Sdk, accepted: &Accepted) -> Result<Vec<(&'static str, Rewritten)>> {
    let plan = |service| {
        let path = documents.join(format!("{service}.yaml"));
        let yaml = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok((service, rewrite(service, &yaml, &new.document(service)?, accepted)?))
    };
    SERVICES.into_iter().map(plan).collect()
}

/// A summary of the edits to our documents.
pub fn summary(plan: &[(&'static str, Rewritten)]) -> String {
    let mut out = String::new();
    let mut line = |text: String| out.extend([text.as_str(), "\n"]);
    for (service, Rewritten { edits, undescribed, left, .. }) in plan {
        if edits.is_empty() && left.is_empty() {
            line(format!("{DOCUMENTS}/{service}.yaml: nothing to change"));
            continue;
        }
        line(format!("{DOCUMENTS}/{service}.yaml:"));
        edits.iter().for_each(|edit| line(format!("  {edit}")));
        for pointer in undescribed {
            line(format!("  to be described: {pointer}"));
        }
        for Difference { pointer, .. } in left {
            line(format!("  to be done by hand: {pointer}"));
        }
    }
    out
}

/// Replaces the pinned version and its hash.
fn pin(root: &Path, old: &str, new: &str, hash: &str) -> Result<()> {
    let requirements = root.join(REQUIREMENTS);
    let text = fs::read_to_string(&requirements).with_context(|| format!("read {REQUIREMENTS}"))?;
    let line = |version: &str| format!("{}=={version}\n", sdk::PACKAGE);
    write(&requirements, &text.replace(&line(old), &line(new)))?;
    write(&root.join(sdk::PIN), &format!("{hash}  {}\n", sdk::wheel_name(new)))?;
    println!("\npinned: {} {new}, SHA-256 {hash}", sdk::PACKAGE);
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The list of what is still to do.
fn finish(by_hand: usize) -> Result<()> {
    println!();
    let mut todo = rebuild::run()?;
    if todo.is_empty() {
        // Whether the program agrees with the changed documents.
        let check = check_spec::run(&check_spec::Args::default());
        todo.extend(check.err().map(|error| format!("cargo xtask check-spec: {error:#}")));
    }
    for item in &todo {
        println!("{item}");
    }
    match todo.len() + by_hand {
        0 => println!("\neverything compiles and all tests pass: review the diff, and commit it"),
        count => {
            bail!("{count} things to do before the new version is in (tests run once it compiles): see above")
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_is_version_and_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [REQUIREMENTS, sdk::PIN] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, "attrs==1\narp-conformance==0.3.7\narp-jarvis==0.3.7\n").expect("written");
        }
        pin(folder.path(), "0.3.7", "0.4.0", "abc").expect("pinned");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).expect("there");
        assert_eq!(read(REQUIREMENTS), "attrs==1\narp-conformance==0.4.0\narp-jarvis==0.3.7\n");
        assert_eq!(read(sdk::PIN), "abc  arp_conformance-0.4.0-py3-none-any.whl\n");
        assert_eq!(sdk::pinned_version(folder.path()).expect("pinned"), "0.4.0");
    }
}
