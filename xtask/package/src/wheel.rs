//! The wheel: the program for people who have Python and pip.
//!
//! ```text
//!  arp_jarvis_run_coordinator-0.3.8+rust.0.1.0.data/scripts/jarvis-run-coordinator   the program
//!  jarvis_run_coordinator/__main__.py                                               starts it
//!  arp_jarvis_run_coordinator-0.3.8+rust.0.1.0.dist-info/
//!     METADATA, WHEEL, RECORD, licenses/…, sboms/…
//!     entry_points.txt     arp-jarvis-run-coordinator = jarvis_run_coordinator.__main__:main
//! ```
//!
//! Distribution, command and module have the names of the Python coordinator, so that
//! pip puts this one in its place, and everything that starts that one starts this one.
//! The version is the one that it takes the place of, for `arp-jarvis` demands exactly
//! that; its own is the local part behind the `+`, which also makes it the newer one.
//!
//! maturin was rejected: it builds what it packs (here one program is packed thrice),
//! and it takes the version of the crate.

use std::io::{Cursor, Write};

use anyhow::{Context, Result};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, Timelike};
use sha2::{Digest, Sha256};
use xtask_support::{venv, workspace::PROGRAM};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    documents::{BILL, Documents, LICENCE, THIRD_PARTY, file_of_project},
    files::{DATA, Entry, Files, PROGRAM as EXECUTABLE},
    package::Package,
    program::Program,
};

const DISTRIBUTION: &str = "arp-jarvis-run-coordinator";
const FILE_NAME: &str = "arp_jarvis_run_coordinator";
const MODULE: &str = "jarvis_run_coordinator";
const SOURCES: &str = "deploy/python";

pub fn wheel(program: &Program, documents: &Documents) -> Result<Package> {
    let requirements = file_of_project(venv::REQUIREMENTS)?;
    let version = version(&requirements, &program.version)?;
    let tag = tag(program);
    let info = format!("{FILE_NAME}-{version}.dist-info");
    let mut files = Files::default();
    files.add(format!("{FILE_NAME}-{version}.data/scripts/{PROGRAM}"), EXECUTABLE, program.content.clone());
    for name in ["__init__.py", "__main__.py"] {
        let text = file_of_project(&format!("{SOURCES}/{MODULE}/{name}"))?;
        files.add(format!("{MODULE}/{name}"), DATA, text.replace("@VERSION@", &version));
    }
    for name in [LICENCE, THIRD_PARTY] {
        files.add(format!("{info}/licenses/{name}"), DATA, documents.text(name));
    }
    files.add(format!("{info}/sboms/{BILL}"), DATA, documents.text(BILL));
    let command = format!("[console_scripts]\n{DISTRIBUTION} = {MODULE}.__main__:main\n");
    files.add(format!("{info}/entry_points.txt"), DATA, command);
    let about = file_of_project(&format!("{SOURCES}/README.md"))?;
    files.add(format!("{info}/METADATA"), DATA, metadata(&version, &about));
    let generator = "Wheel-Version: 1.0\nGenerator: cargo xtask package\nRoot-Is-Purelib: false\n";
    files.add(format!("{info}/WHEEL"), DATA, format!("{generator}Tag: {tag}\n"));
    let record = format!("{info}/RECORD");
    files.add(record.clone(), DATA, recorded(&files, &record));
    let content = zip(&files, program.epoch)?;
    Ok(Package { name: format!("{FILE_NAME}-{version}-{tag}.whl"), content })
}

/// The version that is replaced, from the pins of the real stack, with ours behind it.
fn version(requirements: &str, ours: &str) -> Result<String> {
    let pin = requirements.lines().find_map(|line| line.strip_prefix(DISTRIBUTION)?.strip_prefix("=="));
    let theirs = pin.with_context(|| format!("{DISTRIBUTION} is pinned in {}", venv::REQUIREMENTS))?;
    // A local version has letters, digits and full stops.
    Ok(format!("{}+rust.{}", theirs.trim(), ours.replace(['-', '+'], ".")))
}

/// Any Python 3, and the machines that the program runs on.
fn tag(program: &Program) -> String {
    let (major, minor) = program.glibc;
    format!("py3-none-manylinux_{major}_{minor}_{}", program.architecture)
}

fn metadata(version: &str, about: &str) -> String {
    format!(
        "Metadata-Version: 2.4\n\
         Name: {DISTRIBUTION}\n\
         Version: {version}\n\
         Summary: The run authority of the ARP Standard, in the place of the Python coordinator of JARVIS.\n\
         License-Expression: MIT\n\
         License-File: {LICENCE}\n\
         License-File: {THIRD_PARTY}\n\
         Requires-Python: >=3.9\n\
         Description-Content-Type: text/markdown\n\n{about}"
    )
}

/// The list of all files with their checksums, itself without one.
fn recorded(files: &Files, itself: &str) -> String {
    let mut lines = String::new();
    for (path, entry) in files.iter() {
        if let Entry::File { content, .. } = entry {
            lines += &format!(
                "{path},sha256={},{}\n",
                BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(content)),
                content.len()
            );
        }
    }
    lines + itself + ",,\n"
}

fn zip(files: &Files, epoch: u64) -> Result<Vec<u8>> {
    let time = zip_time(epoch).context("the date of the source is one that a zip file can have")?;
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, entry) in files.iter() {
        let Entry::File { mode, content } = entry else { continue };
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(time)
            .unix_permissions(*mode);
        zip.start_file(path, options).with_context(|| format!("pack {path}"))?;
        zip.write_all(content).with_context(|| format!("pack {path}"))?;
    }
    Ok(zip.finish().context("end a zip file")?.into_inner())
}

/// A time as zip files have it: from 1980 on, two seconds apart.
fn zip_time(epoch: u64) -> Option<zip::DateTime> {
    let time = DateTime::from_timestamp(i64::try_from(epoch).ok()?, 0)?;
    let small = |number: u32| u8::try_from(number).ok();
    zip::DateTime::from_date_and_time(
        u16::try_from(time.year()).ok()?,
        small(time.month())?,
        small(time.day())?,
        small(time.hour())?,
        small(time.minute())?,
        small(time.second())?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_the_replaced_one_with_ours_behind_it() {
        let pins = "# arp-jarvis-run-coordinator\narp-jarvis==0.3.8\narp-jarvis-run-coordinator==0.3.8\n";
        assert_eq!(version(pins, "0.1.0").expect("pinned"), "0.3.8+rust.0.1.0");
        assert_eq!(version(pins, "0.2.0-rc.1").expect("pinned"), "0.3.8+rust.0.2.0.rc.1");
        assert!(version("arp-jarvis==0.3.8\n", "0.1.0").is_err());
    }
}
