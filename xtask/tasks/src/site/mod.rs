//! `cargo xtask site`: `docs/` as a site, with search, in `target/site`.
//!
//! ```text
//!  docs/SUMMARY.md ─▶ source   the pages, and what they link to, as they are to each other
//!                       │
//!  mdbook (crates.io) ──┼─▶ target/site ─▶ links   does each lead to something?
//!  mermaid (npm) ───────┘
//! ```
//!
//! Both tools are made once and kept below `target/`. That takes minutes, so the site is
//! no step of CI; `cargo xtask tidy` checks the pages' links and that all are listed.

mod links;
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use xtask_support::{
    pinned_folder::{ensure_made, silently},
    venv, workspace,
};

const MDBOOK: &str = "0.5.4";
const MDBOOK_FOLDER: &str = "target/site-mdbook";

const MERMAID: &str = "11.12.0";
/// Of the package, as the registry of npm has it.
const MERMAID_INTEGRITY: &str =
    "sha512-ZudVx73BwrMJfCFmSSJT84y6u5brEoV8DOItdHomNLz32uBjNrelm7mg95X7g+C6UoQH/W6mBLGDEDv73JdxBg==";
const MERMAID_FOLDER: &str = "target/site-mermaid";
const MERMAID_SCRIPT: &str = "package/dist/mermaid.min.js";

const SOURCE: &str = "target/site-source";
const SITE: &str = "target/site";

const SETTINGS: &str = r#"[book]
title = "JARVIS Run Coordinator"
language = "en"
src = "pages"

[output.html]
additional-js = ["mermaid.min.js", "diagrams.js"]
no-section-label = true
"#;

#[derive(clap::Args, Debug, Default)]
pub struct Args {}

pub fn run(_: &Args) -> Result<()> {
    let root = workspace::root();
    let (mdbook, mermaid) = (mdbook(&root)?, mermaid(&root)?);
    let (folder, site) = (root.join(SOURCE), root.join(SITE));
    for made in [&folder, &site] {
        if made.exists() {
            fs::remove_dir_all(made).with_context(|| format!("remove {}", made.display()))?;
        }
    }
    source::write(&root, &folder.join("pages"))?;
    fs::write(folder.join("book.toml"), SETTINGS).context("write book.toml")?;
    fs::write(folder.join("diagrams.js"), include_str!("diagrams.js")).context("write diagrams.js")?;
    fs::copy(mermaid, folder.join("mermaid.min.js")).context("copy mermaid")?;
    let status = Command::new(mdbook).args(["build", "--dest-dir"]).arg(&site).arg(&folder).status();
    let status = status.context("run mdbook")?;
    ensure!(status.success(), "mdbook: {status}");
    let (pages, broken) = links::check(&site)?;
    for link in &broken {
        println!("{link}");
    }
    ensure!(broken.is_empty(), "site: {} links lead nowhere", broken.len());
    println!("{SITE}/index.html: {pages} pages, all links lead somewhere");
    Ok(())
}

/// mdBook, compiled without its server.
fn mdbook(root: &Path) -> Result<PathBuf> {
    let folder = root.join(MDBOOK_FOLDER);
    let program = folder.join("bin/mdbook");
    let make = || {
        eprintln!("making {MDBOOK_FOLDER} (some minutes, from crates.io)");
        let mut cargo = workspace::cargo(["install", "--locked", "--quiet", "mdbook", "--version", MDBOOK]);
        cargo.args(["--no-default-features", "--features", "search", "--root"]).arg(&folder);
        silently(&mut cargo).context("install mdbook")
    };
    ensure_made(&folder, MDBOOK, || program.exists(), make)?;
    Ok(program)
}

/// The script that draws diagrams, for browsers.
fn mermaid(root: &Path) -> Result<PathBuf> {
    let folder = root.join(MERMAID_FOLDER);
    let script = folder.join(MERMAID_SCRIPT);
    let make = || {
        eprintln!("making {MERMAID_FOLDER} (some seconds, from the npm registry)");
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        let node = venv::ensure(root)?.node()?;
        let mut npm = Command::new(&node.program);
        npm.arg(&node.npm).args(["pack", "--json", &format!("mermaid@{MERMAID}")]).current_dir(&folder);
        let output = npm.output().context("run npm")?;
        ensure!(output.status.success(), "npm pack: {}", String::from_utf8_lossy(&output.stderr).trim());
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).context("npm writes JSON")?;
        ensure!(said[0]["integrity"] == MERMAID_INTEGRITY, "mermaid {MERMAID} is not what it was");
        let archive = format!("mermaid-{MERMAID}.tgz");
        silently(Command::new("tar").args(["xzf", &archive, MERMAID_SCRIPT]).current_dir(&folder))?;
        fs::remove_file(folder.join(archive)).context("remove the archive")
    };
    ensure_made(&folder, MERMAID_INTEGRITY, || script.exists(), make)?;
    Ok(script)
}
