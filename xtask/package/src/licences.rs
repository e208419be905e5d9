//! The licences of everything that is linked into the program, in one file: a list of
//! the packages, then each text once, with the packages that it came with.
//!
//! Some packages say which licence they have and bring no text. They get the standard
//! one, with what is known of their authors. A package of which neither can be had
//! fails the packaging: what cannot be given away must not be.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use xtask_support::workspace::PROGRAM;

use crate::{dependencies::Dependency, native::Native};

/// What the names of files with licences begin with, in lower case.
const NAMES: [&str; 6] = ["licence", "license", "copying", "copyright", "notice", "unlicense"];

const STANDARD: [(&str, &str); 3] = [
    ("Apache-2.0", include_str!("../texts/Apache-2.0.txt")),
    ("MIT", include_str!("../texts/MIT.txt")),
    ("MPL-2.0", include_str!("../texts/MPL-2.0.txt")),
];

const RULE: &str = "--------------------------------------------------------------------------------";

pub(crate) fn file(linked: &[Dependency], natives: &[Native]) -> Result<String> {
    let others = || linked.iter().filter(|package| package.name != PROGRAM);
    let mut all = format!(
        "{PROGRAM} is made of {} packages of others, beside its own code (LICENSE). They are\n\
         listed with their licences and sources; the texts of the licences follow.\n\n",
        others().count() + natives.len()
    );
    for Dependency { name, version, licence, repository, .. } in others() {
        let source = repository.clone().unwrap_or_else(|| format!("https://crates.io/crates/{name}"));
        writeln!(all, "{name} {version}: {licence}; {source}")?;
    }
    for Native { name, version, licence, website, .. } in natives {
        writeln!(all, "{name} {version}: {licence}; {website}")?;
    }
    if natives.iter().any(|native| native.licence == "blessing") {
        all.push_str("\nThe authors of SQLite have dedicated its code to the public domain.\n");
    }
    for (text, packages) in texts(others())? {
        write!(all, "\n{RULE}\nThe licence of {}\n{RULE}\n\n{text}\n", packages.join(", "))?;
    }
    Ok(all)
}

/// The different texts, each with the packages that have it.
fn texts<'d>(packages: impl Iterator<Item = &'d Dependency>) -> Result<BTreeMap<String, Vec<String>>> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages {
        let label = format!("{} {}", package.name, package.version);
        let files = files(&package.folder)?;
        for file in &files {
            let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim().to_owned();
            texts.entry(text).or_default().push(label.clone());
        }
        if files.is_empty() {
            let (text, label) = standard(package)?;
            texts.entry(text).or_default().push(label);
        }
    }
    Ok(texts)
}

/// The files with licences in the folder of a package.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() && NAMES.iter().any(|prefix| name.starts_with(prefix)) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The standard text of a licence that a package names, and the package with its authors.
fn standard(package: &Dependency) -> Result<(String, String)> {
    let Dependency { name, version, licence, authors, .. } = package;
    let named = STANDARD.iter().find(|(id, _)| licence.split([' ', '(', ')']).any(|word| word == *id));
    let Some((_, text)) = named else {
        bail!("{name} {version} brings no text of its licence ({licence}), and there is none in texts/");
    };
    let by = if authors.is_empty() { String::new() } else { format!(" (by {})", authors.join(", ")) };
    Ok((text.trim().to_owned(), format!("{name} {version}{by}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, licence: &str, folder: &Path) -> Dependency {
        Dependency {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.to_owned(),
            description: None,
            repository: None,
            authors: vec!["A. Author".to_owned()],
            checksum: None,
            folder: folder.to_owned(),
            needs: Vec::new(),
        }
    }

    #[test]
    fn same_texts_are_printed_once_and_missing_ones_added() {
        let folders = tempfile::tempdir().expect("a folder");
        let [one, two, none] = ["one", "two", "none"].map(|name| {
            let folder = folders.path().join(name);
            fs::create_dir(&folder).expect("a folder");
            folder
        });
        fs::write(one.join("LICENSE-MIT"), "May be\r\nused.\r\n").expect("written");
        fs::write(two.join("copying"), "May be\nused.").expect("written");
        fs::write(two.join("README"), "no licence").expect("written");
        let linked = [
            package("a", "MIT", &one),
            package("b", "MIT", &two),
            package("c", "MPL-2.0 OR (Apache-2.0)", &none),
        ];
        let file = file(&linked, &[]).expect("a file");
        assert_eq!(file.matches("May be\nused.").count(), 1);
        assert!(file.contains("The licence of a 1.0.0, b 1.0.0\n") && !file.contains("no licence"), "{file}");
        assert!(file.contains("The licence of c 1.0.0 (by A. Author)\n") && file.contains("Apache License"));
        let unknown = [package("d", "Beerware", &none)];
        assert!(super::file(&unknown, &[]).expect_err("no text").to_string().contains("d 1.0.0"));
    }
}
