//! The links of a finished site: each must lead to a file of it, and to a place in that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::tidy::references;

/// The page with everything on it, whose links are those of the pages.
const PRINT: &str = "print.html";

/// The number of pages, and the links that lead nowhere.
pub(super) fn check(site: &Path) -> Result<(usize, Vec<String>)> {
    let mut pages = BTreeMap::new();
    for path in html(site)? {
        let text = fs::read_to_string(site.join(&path)).with_context(|| format!("read {path}"))?;
        pages.insert(path, text);
    }
    let places: BTreeMap<&str, BTreeSet<&str>> =
        pages.iter().map(|(path, text)| (path.as_str(), attributes(text, "id").collect())).collect();
    let mut broken = Vec::new();
    for (page, text) in &pages {
        for link in attributes(text, "href").chain(attributes(text, "src")) {
            if link.contains("://") || link.starts_with("mailto:") || link.starts_with("data:") {
                continue;
            }
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() { Some(page.clone()) } else { references::resolve(page, path) };
            let leads = path.is_some_and(|path| {
                let has_place = || places.get(path.as_str()).is_none_or(|places| places.contains(place));
                site.join(&path).exists() && (place.is_empty() || has_place())
            });
            if !leads {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    Ok((pages.len(), broken))
}

/// The pages below a folder, relative to it.
fn html(site: &Path) -> Result<Vec<String>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        let full = site.join(&folder);
        for entry in fs::read_dir(&full).with_context(|| format!("list {}", full.display()))? {
            let entry = entry.with_context(|| format!("list {}", full.display()))?;
            let path = folder.join(entry.file_name());
            let name = path.to_string_lossy().into_owned();
            if entry.path().is_dir() {
                folders.push(path);
            } else if name.ends_with(".html") && name != PRINT {
                found.push(name);
            }
        }
    }
    Ok(found)
}

/// The values of an attribute in a page.
fn attributes<'t>(html: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let start = format!(" {name}=\"");
    let mut rest = html;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&start)?;
        let (value, after) = after.split_once('"')?;
        rest = after;
        Some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_files_and_places() {
        let site = tempfile::tempdir().expect("a folder");
        fs::create_dir(site.path().join("docs")).expect("a folder");
        let index = "<a href=\"docs/a.html#x\"></a><a href=\"https://example.com/#y\"></a><img src=\"docs\">\
            <a href=\"docs/a.html#z\"></a><a href=\"#here\"></a><h1 id=\"here\"></h1>";
        fs::write(site.path().join("index.html"), index).expect("written");
        let a = "<p class=\"b\" id=\"x\"></p><a href=\"../index.html\"></a><a href=\"b.html\"></a>";
        fs::write(site.path().join("docs/a.html"), a).expect("written");
        let (pages, mut broken) = check(site.path()).expect("checked");
        broken.sort();
        assert_eq!(pages, 2);
        assert_eq!(broken, ["docs/a.html: b.html", "index.html: docs/a.html#z"]);
    }
}
