//! The source of the site: the pages of the table of contents and every file that they
//! link to, in the folders that they have in the project. So all links stay as they are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::tidy::{references, summary};

const SUMMARY: &str = "docs/SUMMARY.md";

pub(super) fn write(root: &Path, folder: &Path) -> Result<()> {
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("read {path}"));
    let contents = read(SUMMARY)?;
    let pages: BTreeSet<String> =
        summary::links(&contents).filter_map(|link| references::resolve(SUMMARY, link)).collect();
    let mut linked = BTreeSet::new();
    for page in &pages {
        linked.extend(files(root, page, &read(page)?));
    }
    for path in pages.union(&linked) {
        ensure!(pages.contains(path) || !path.ends_with(".md"), "{path} is linked, and not in {SUMMARY}");
        let to = folder.join(path);
        let parent = to.parent().context("it is in a folder")?;
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        if pages.contains(path) {
            fs::write(&to, page(&read(path)?)).with_context(|| format!("write {path}"))?;
        } else {
            fs::copy(root.join(path), &to).with_context(|| format!("copy {path}"))?;
        }
    }
    // The table stands at the root of the pages, where mdBook looks for it.
    fs::write(folder.join("SUMMARY.md"), moved(&contents)).context("write the table of contents")
}

/// The files of the project that a page links to; those in a folder, for a folder.
fn files(root: &Path, page: &str, text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for target in references::targets(text) {
        let path = target.split('#').next().unwrap_or_default();
        let Some(path) = references::resolve(page, path).filter(|_| !path.is_empty()) else { continue };
        if root.join(&path).is_dir() {
            let entries: Vec<PathBuf> = fs::read_dir(root.join(&path))
                .map(|entries| {
                    entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect()
                })
                .unwrap_or_default();
            found.extend(
                entries.iter().filter_map(|entry| Some(format!("{path}/{}", entry.file_name()?.to_str()?))),
            );
        } else {
            found.insert(path);
        }
    }
    found
}

/// The table of contents as seen from the root of the project.
fn moved(contents: &str) -> String {
    relinked(contents, |link| references::resolve(SUMMARY, link).unwrap_or_default())
}

/// A page as mdBook wants it: it makes `index` of `README`, and leaves links to it.
fn page(text: &str) -> String {
    relinked(text, |link| link.replace("README.md", "index.md"))
}

/// A text with other targets of its links.
fn relinked(text: &str, other: impl Fn(&str) -> String) -> String {
    let mut parts = text.split("](");
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (link, rest) = part.split_once(')').unwrap_or((part, ""));
        all += &format!("]({}){rest}", other(link));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_contents_is_seen_from_the_root() {
        let contents = "# Summary\n\n[Home](../README.md)\n\n- [A](a.md)\n  - [B](adr/b.md)\n";
        let expected = "# Summary\n\n[Home](README.md)\n\n- [A](docs/a.md)\n  - [B](docs/adr/b.md)\n";
        assert_eq!(moved(contents), expected);
        assert_eq!(page("[D](adr/README.md#x) `README.md`"), "[D](adr/index.md#x) `README.md`");
    }
}
