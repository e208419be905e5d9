//! What is linked into the program and is no package of cargo's: C libraries that
//! packages bring with them, and Rust's standard library.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};

use crate::dependencies::Dependency;

/// A component that no registry of Rust lists under its own name, where scanners for
/// vulnerabilities look for it.
#[derive(Clone, Debug)]
pub(crate) struct Native {
    pub name: &'static str,
    pub version: String,
    /// An SPDX expression.
    pub licence: String,
    pub website: &'static str,
    /// For databases that go by CPE.
    pub cpe: Option<String>,
    /// The package that brings it.
    pub within: Option<&'static str>,
}

/// A C library: the package, the header in it, and the macro there that has the version.
struct Bundled {
    name: &'static str,
    /// If it is not that of the package.
    licence: Option<&'static str>,
    website: &'static str,
    vendor: &'static str,
    within: &'static str,
    header: &'static str,
    version: &'static str,
}

const BUNDLED: [Bundled; 2] = [
    Bundled {
        name: "sqlite",
        licence: Some("blessing"),
        website: "https://sqlite.org",
        vendor: "sqlite",
        within: "libsqlite3-sys",
        header: "sqlite3/sqlite3.h",
        version: "SQLITE_VERSION",
    },
    Bundled {
        name: "aws-lc",
        licence: None,
        website: "https://github.com/aws/aws-lc",
        vendor: "amazon",
        within: "aws-lc-sys",
        header: "aws-lc/include/openssl/base.h",
        version: "AWSLC_VERSION_NUMBER_STRING",
    },
];

pub(crate) fn of(dependencies: &[Dependency]) -> Result<Vec<Native>> {
    let mut all = Vec::new();
    for Bundled { name, licence, website, vendor, within, header, version } in BUNDLED {
        let Some(package) = dependencies.iter().find(|package| package.name == within) else { continue };
        let header = package.folder.join(header);
        let text = fs::read_to_string(&header).with_context(|| format!("read {}", header.display()))?;
        let version =
            defined(&text, version).with_context(|| format!("no {version} in {}", header.display()))?;
        let licence = licence.map_or_else(|| package.licence.clone(), str::to_owned);
        let cpe = Some(format!("cpe:2.3:a:{vendor}:{name}:{version}:*:*:*:*:*:*:*"));
        all.push(Native { name, version, licence, website, cpe, within: Some(within) });
    }
    all.push(Native {
        name: "rust-std",
        version: rustc_version()?,
        licence: "MIT OR Apache-2.0".to_owned(),
        website: "https://github.com/rust-lang/rust",
        cpe: None,
        within: None,
    });
    Ok(all)
}

/// The string that a header defines a macro as.
fn defined(header: &str, name: &str) -> Option<String> {
    let mut definitions = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let value =
        definitions.find_map(|rest| rest.strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t'])))?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn rustc_version() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().context("run rustc")?;
    ensure!(output.status.success(), "rustc --version: {}", output.status);
    let said = String::from_utf8(output.stdout).context("rustc writes UTF-8")?;
    said.split(' ').nth(1).map(str::to_owned).context("rustc says its version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_are_found_by_their_whole_name() {
        let header = "#define SQLITE_VERSION_NUMBER 3050004\n#define SQLITE_VERSION        \"3.50.4\"\n";
        assert_eq!(defined(header, "SQLITE_VERSION").as_deref(), Some("3.50.4"));
        assert_eq!(defined(header, "OTHER"), None);
    }
}
