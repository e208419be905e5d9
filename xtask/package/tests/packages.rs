//! The packages, made of a script in the place of the program: what is in them, and
//! that the wheel does with pip what it is for.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

use std::{collections::BTreeMap, fs, io::Read, path::Path, process::Command};

use flate2::read::GzDecoder;
use package::{Documents, Files, Package, Program};
use xtask_support::{venv, workspace};

/// It says how it was called.
const SCRIPT: &str = "#!/bin/sh\necho \"called with $*\"\n";
const EPOCH: u64 = 1_764_417_600;
const WHEEL: &str = "arp_jarvis_run_coordinator-0.3.8+rust.0.1.0-py3-none-manylinux_2_34_x86_64.whl";

fn program() -> Program {
    Program {
        content: SCRIPT.into(),
        version: "0.1.0".into(),
        epoch: EPOCH,
        architecture: "x86_64",
        glibc: (2, 34),
    }
}

fn documents() -> Documents {
    let mut documents = Documents::default();
    let texts =
        ["LICENSE", "THIRD-PARTY-LICENCES.txt", "sbom.cdx.json", "README.md", "CHANGELOG.md", "env.example"];
    documents.texts.extend(texts.map(|name| (name, format!("the text of {name}\n"))));
    documents.manual.add("jarvis-run-coordinator.1", 0o644, ".TH");
    documents.completions.add("bash/jarvis-run-coordinator", 0o644, "complete");
    documents
}

/// The entries of a compressed tar file: mode, and content or the target of a link.
fn entries(tar_gz: &[u8]) -> BTreeMap<String, (u32, String)> {
    let mut tar = tar::Archive::new(GzDecoder::new(tar_gz));
    let entries = tar.entries().expect("a tar file").map(|entry| {
        let mut entry = entry.expect("an entry");
        let header = entry.header().clone();
        assert_eq!((header.uid().ok(), header.gid().ok()), (Some(0), Some(0)), "it belongs to root");
        assert_eq!(header.mtime().ok(), Some(EPOCH), "it is as old as the source");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let mut content =
            entry.link_name().expect("a link").map_or_else(String::new, |to| to.display().to_string());
        // What is compressed is no text.
        entry.read_to_string(&mut content).unwrap_or_default();
        (path, (header.mode().expect("a mode"), content))
    });
    entries.collect()
}

fn parts_of_deb(deb: &Package) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ar::Archive::new(&deb.content[..]);
    let mut parts = BTreeMap::new();
    while let Some(part) = archive.next_entry() {
        let mut part = part.expect("a part");
        let name = String::from_utf8_lossy(part.header().identifier()).into_owned();
        let mut content = Vec::new();
        part.read_to_end(&mut content).expect("its content");
        parts.insert(name, content);
    }
    parts
}

#[test]
fn packages_are_the_same_each_time() {
    for make in [package::wheel, package::deb, package::archive] {
        let [first, second] = [(); 2].map(|()| make(&program(), &documents()).expect("a package"));
        assert_eq!(first.name, second.name);
        assert!(first.content == second.content, "{}", first.name);
    }
}

#[test]
fn archive_has_the_program_and_its_documents() {
    let archive = package::archive(&program(), &documents()).expect("an archive");
    assert_eq!(archive.name, "jarvis-run-coordinator-0.1.0-x86_64-linux-gnu.tar.gz");
    let entries = entries(&archive.content);
    let of = |path: &str| entries[&format!("jarvis-run-coordinator-0.1.0-x86_64-linux-gnu/{path}")].clone();
    assert_eq!(of("jarvis-run-coordinator"), (0o755, SCRIPT.to_owned()));
    assert_eq!(of("arp-jarvis-run-coordinator").1, "jarvis-run-coordinator");
    for text in documents().texts.keys() {
        assert_eq!(of(text), (0o644, format!("the text of {text}\n")));
    }
    assert_eq!(of("man/jarvis-run-coordinator.1").1, ".TH");
    assert!(of("systemd/jarvis-run-coordinator.service").1.contains("[Service]"));
}

#[test]
fn debian_package_has_a_service_that_is_not_started() {
    let deb = package::deb(&program(), &documents()).expect("a package");
    assert_eq!(deb.name, "jarvis-run-coordinator_0.1.0_amd64.deb");
    let parts = parts_of_deb(&deb);
    assert_eq!(parts["debian-binary"], b"2.0\n");
    let control = entries(&parts["control.tar.gz"]);
    let fields = &control["control"].1;
    for field in [
        "Package: jarvis-run-coordinator\n",
        "Version: 0.1.0\n",
        "Depends: libc6 (>= 2.34), libgcc-s1\n",
        "Recommends: ca-certificates\n",
    ] {
        assert!(fields.contains(field), "{field} in {fields}");
    }
    assert_eq!(control["conffiles"].1, "/etc/jarvis-run-coordinator/environment\n");
    for script in ["postinst", "prerm", "postrm"] {
        assert_eq!(control[script].0, 0o755, "{script}");
    }
    let postinst = &control["postinst"].1;
    assert!(!postinst.contains(" enable ") && !postinst.contains(" start "), "{postinst}");
    let data = entries(&parts["data.tar.gz"]);
    assert_eq!(data["usr/bin/jarvis-run-coordinator"], (0o755, SCRIPT.to_owned()));
    let unit = &data["usr/lib/systemd/system/jarvis-run-coordinator.service"].1;
    assert!(unit.contains("ExecStart=/usr/bin/jarvis-run-coordinator serve"), "{unit}");
    assert_eq!(data["etc/jarvis-run-coordinator/environment"].0, 0o640);
    for path in ["man/man1/jarvis-run-coordinator.1.gz", "bash-completion/completions/jarvis-run-coordinator"]
    {
        assert!(data.contains_key(&format!("usr/share/{path}")), "{path}");
    }
}

/// With pip, into a folder: the environment of the real stack stays as it is.
#[test]
fn wheel_starts_the_program_by_each_of_its_names() {
    let wheel = package::wheel(&program(), &documents()).expect("a wheel");
    assert_eq!(wheel.name, WHEEL);
    let folder = tempfile::tempdir().expect("a folder");
    wheel.write(folder.path()).expect("written");
    let venv = venv::ensure(&workspace::root()).expect("an environment");
    let installed = folder.path().join("installed");
    let mut pip = Command::new(venv.python());
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--ignore-installed",
        "--disable-pip-version-check",
    ]);
    pip.arg("--prefix").arg(&installed).arg(folder.path().join(WHEEL));
    let output = pip.output().expect("pip runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let packages = site_packages(&installed);
    let said = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command.args(arguments).env("PYTHONPATH", &packages).output().expect("it runs");
        assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let expected = "called with --host 0.0.0.0\n";
    let flags = ["--host", "0.0.0.0"];
    assert_eq!(said(&installed.join("bin/jarvis-run-coordinator"), &flags), expected);
    assert_eq!(said(&installed.join("bin/arp-jarvis-run-coordinator"), &flags), expected);
    assert_eq!(said(&venv.python(), &[&["-m", "jarvis_run_coordinator"], &flags[..]].concat()), expected);
    // As `arp-jarvis run-coordinator` does it.
    let calls = "from jarvis_run_coordinator.__main__ import main; main(['--host', '0.0.0.0'])";
    assert_eq!(said(&venv.python(), &["-c", calls]), expected);
    let version = "from importlib.metadata import version; import jarvis_run_coordinator as ours\n\
        print(version('arp-jarvis-run-coordinator'), ours.__version__)";
    assert_eq!(said(&venv.python(), &["-c", version]), "0.3.8+rust.0.1.0 0.3.8+rust.0.1.0\n");
    let info = packages.join("arp_jarvis_run_coordinator-0.3.8+rust.0.1.0.dist-info");
    for file in ["licenses/LICENSE", "licenses/THIRD-PARTY-LICENCES.txt", "sboms/sbom.cdx.json"] {
        assert!(info.join(file).is_file(), "{file}");
    }
}

fn site_packages(installed: &Path) -> std::path::PathBuf {
    let mut versions = fs::read_dir(installed.join("lib")).expect("a folder");
    versions.next().expect("of one Python").expect("an entry").path().join("site-packages")
}

#[test]
fn files_are_sorted_and_counted() {
    let mut files = Files::default();
    files.add("b", 0o644, "12");
    files.add("a", 0o644, "345");
    files.link("c", "a");
    assert_eq!(files.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(files.bytes(), 5);
}
