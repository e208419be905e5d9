//! The Debian package: the program, a service of systemd, manual pages, completions.
//!
//! ```text
//!  debian-binary     2.0
//!  control.tar.gz    control, conffiles, and the scripts of deploy/debian
//!  data.tar.gz       /usr/bin, /usr/lib/systemd/system, /usr/share, /etc/jarvis-run-coordinator
//! ```
//!
//! cargo-deb was rejected: it takes as long to build as everything here together, and
//! the same files are wanted in the other packages.

use std::{env, io::Cursor};

use anyhow::{Context, Result, bail};
use xtask_support::workspace::PROGRAM as NAME;

use crate::{
    documents::{BILL, Documents, THIRD_PARTY, file_of_project},
    files::{DATA, Entry, Files, PROGRAM as EXECUTABLE},
    package::Package,
    program::Program,
    tarball::{gz, tar_gz},
};

/// The service, which the archive has as well.
pub(crate) const UNIT: &str = "deploy/systemd/jarvis-run-coordinator.service";
/// What a service with secrets adds to it.
const CREDENTIALS: &str = "deploy/systemd/credentials.conf";
/// The variables of the service, which belong to the machine's administrator.
const ENVIRONMENT: &str = "deploy/debian/environment";
const SCRIPTS: [&str; 3] = ["postinst", "postrm", "prerm"];

pub fn deb(program: &Program, documents: &Documents) -> Result<Package> {
    let architecture = match program.architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("the name that Debian has for {other} is not known"),
    };
    let data = data(program, documents)?;
    let mut control = Files::default();
    control.add("control", DATA, fields(program, architecture, data.bytes()));
    control.add("conffiles", DATA, format!("/etc/{NAME}/environment\n"));
    for script in SCRIPTS {
        control.add(script, EXECUTABLE, file_of_project(&format!("deploy/debian/{script}"))?);
    }
    let mut deb = ar::Builder::new(Vec::new());
    for (name, content) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.gz", tar_gz(&control, "./", program.epoch)?),
        ("data.tar.gz", tar_gz(&data, "./", program.epoch)?),
    ] {
        let mut header = ar::Header::new(name.into(), content.len() as u64);
        header.set_mtime(program.epoch);
        header.set_mode(0o100_644);
        deb.append(&header, Cursor::new(content)).with_context(|| format!("pack {name}"))?;
    }
    let content = deb.into_inner().context("end the package")?;
    Ok(Package { name: format!("{NAME}_{}_{architecture}.deb", version(&program.version)), content })
}

fn data(program: &Program, documents: &Documents) -> Result<Files> {
    let mut files = Files::default();
    files.add(format!("usr/bin/{NAME}"), EXECUTABLE, program.content.clone());
    files.link(&format!("usr/bin/arp-{NAME}"), NAME);
    files.add(format!("usr/lib/systemd/system/{NAME}.service"), DATA, file_of_project(UNIT)?);
    files.add(format!("etc/{NAME}/environment"), 0o640, file_of_project(ENVIRONMENT)?);
    for (page, entry) in documents.manual.iter() {
        if let Entry::File { content, .. } = entry {
            files.add(format!("usr/share/man/man1/{page}.gz"), DATA, gz(content)?);
        }
    }
    for (path, entry) in documents.completions.iter() {
        let (shell, name) = path.split_once('/').context("a shell and a name")?;
        let folder = match shell {
            "bash" => "bash-completion/completions",
            "zsh" => "zsh/vendor-completions",
            "fish" => "fish/vendor_completions.d",
            other => bail!("where Debian has completions of {other} is not known"),
        };
        if let Entry::File { content, .. } = entry {
            files.add(format!("usr/share/{folder}/{name}"), DATA, content.as_slice());
        }
    }
    let share = format!("usr/share/doc/{NAME}");
    files.add(format!("{share}/copyright"), DATA, file_of_project("deploy/debian/copyright")?);
    for name in [THIRD_PARTY, BILL, "README.md", "env.example"] {
        files.add(format!("{share}/{name}"), DATA, documents.text(name));
    }
    files.add(format!("{share}/changelog.gz"), DATA, gz(documents.text("CHANGELOG.md").as_bytes())?);
    files.add(format!("{share}/examples/credentials.conf"), DATA, file_of_project(CREDENTIALS)?);
    Ok(files)
}

fn fields(program: &Program, architecture: &str, bytes: usize) -> String {
    // The variables that Debian's own tools take the packager from.
    let packager = |name: &str, otherwise: &str| env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let maintainer = packager("DEBFULLNAME", "The JARVIS Run Coordinator authors");
    let address = packager("DEBEMAIL", "nowhere@example.invalid");
    let (major, minor) = program.glibc;
    format!(
        "Package: {NAME}\n\
         Version: {}\n\
         Architecture: {architecture}\n\
         Maintainer: {maintainer} <{address}>\n\
         Installed-Size: {}\n\
         Depends: libc6 (>= {major}.{minor}), libgcc-s1\n\
         Recommends: ca-certificates\n\
         Section: net\n\
         Priority: optional\n\
         Description: run authority of an agent runtime (ARP, JARVIS)\n \
         Starts runs, owns the state of every run and node run, asks for permission,\n \
         dispatches nodes to executors, enforces limits, cancels for real, and\n \
         publishes what happened as an ordered stream of events.\n \
         .\n \
         It implements the Run Coordinator API of the Agent Runtime Protocol.\n",
        version(&program.version),
        bytes.div_ceil(1024),
    )
}

/// A pre-release is older than its release, which Debian spells with a tilde.
fn version(ours: &str) -> String {
    ours.replace('-', "~")
}
