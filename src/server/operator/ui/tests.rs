//! What the files of the page must be for the policy, the promise to load nothing
//! from elsewhere, and the size.

use std::{collections::BTreeSet, fs, path::Path};

use super::{
    POLICY,
    files::{FILES, File, find},
};

/// The size of the page, uncompressed, with everything that it loads.
const LARGEST: usize = 150_000;

/// The files that are ours: what is vendored is as its makers wrote it.
fn own() -> impl Iterator<Item = &'static File> {
    FILES.iter().copied().filter(|file| !file.name.starts_with("vendor/"))
}

/// What the text imports or names with `href` and `src`.
fn references(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for before in [" from \"", "}from\"", "import \"", "import(\"", "href=\"", "src=\"", "url("] {
        for (at, _) in text.match_indices(before) {
            let rest = &text[at + before.len()..];
            found.push(rest.split(['"', '\'', ')']).next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[test]
fn page_is_small() {
    let size: usize = FILES.iter().map(|file| file.served().len()).sum();
    println!("the page: {size} bytes in {} files", FILES.len());
    assert!(size < LARGEST, "{size} bytes");
}

/// A browser names the line of an error: it must be that of the source.
#[test]
fn lines_are_served_where_they_are_written() {
    for file in FILES {
        let served: Vec<&str> = file.served().split('\n').collect();
        let written: Vec<&str> = file.text.split('\n').map(str::trim_start).collect();
        assert_eq!(served.len(), written.len(), "{:?}", file.name);
        for (served, written) in served.into_iter().zip(written) {
            let is_comment = written.starts_with("// ");
            assert!(served == written || (served.is_empty() && is_comment), "{:?}: {written}", file.name);
        }
    }
}

#[test]
fn files_on_disk_are_those_that_are_served() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/operator/ui/assets");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(assets.join(folder)).unwrap().map(|entry| entry.unwrap());
        let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
        files.map(|file| format!("{folder}{}", file.file_name().to_str().unwrap())).collect()
    };
    let mut on_disk: BTreeSet<String> = names("").into_iter().chain(names("vendor/")).collect();
    for (other, instead) in
        [("vendor/README.md", None), ("vendor/LICENSES.txt", None), ("index.html", Some(""))]
    {
        assert!(on_disk.remove(other), "{other}");
        on_disk.extend(instead.map(str::to_owned));
    }
    let served: BTreeSet<String> = FILES.iter().map(|file| file.name.to_owned()).collect();
    assert_eq!(on_disk, served);
}

/// A module or style that is missing would be a page that stays empty.
#[test]
fn references_lead_to_files_of_the_page() {
    for file in FILES {
        let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for reference in references(file.text) {
            // In texts of the page, links lead to its own places.
            if reference.starts_with('#') || reference.starts_with("${") || reference.is_empty() {
                continue;
            }
            // The page is `/ui`, so its own references begin with `ui/`.
            let name = match (file.name, reference.strip_prefix("./")) {
                ("", _) => reference.strip_prefix("ui/").map(str::to_owned),
                (_, Some(rest)) if folder.is_empty() => Some(rest.to_owned()),
                (_, Some(rest)) => Some(format!("{folder}/{rest}")),
                (_, None) => None,
            };
            let found = name.as_deref().and_then(find);
            assert!(found.is_some(), "{:?} refers to {reference:?}", file.name);
        }
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    for file in FILES {
        let own = file.text.replace("http://www.w3.org/", "");
        for word in ["http://", "https://", "src=\"//", "@import", "WebSocket(", "EventSource", "sendBeacon"]
        {
            assert!(!own.contains(word), "{:?} has {word:?}", file.name);
        }
    }
}

#[test]
fn nothing_needs_inline_code_or_evaluation() {
    for file in FILES {
        for word in ["eval(", "new Function", "setTimeout(\"", "javascript:", "document.write"] {
            assert!(!file.text.contains(word), "{:?} has {word:?}", file.name);
        }
    }
    for file in own() {
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "dangerouslySetInnerHTML", "srcdoc"] {
            assert!(!file.text.contains(word), "{:?} has {word:?}", file.name);
        }
    }
    let index = find("").unwrap().text;
    assert!(!index.contains("<style") && !index.contains(" style=") && !index.contains(" on"), "{index}");
    for (at, _) in index.match_indices("<script") {
        let tag = index[at..].split('>').next().unwrap();
        assert!(tag.contains(" src=\"ui/"), "{tag}");
    }
    assert!(!POLICY.contains("unsafe") && POLICY.starts_with("default-src 'none'"), "{POLICY}");
}

#[test]
fn etags_are_compared_as_browsers_send_them() {
    let file = find("app.css").unwrap();
    let etag = file.etag().to_owned();
    for tags in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        assert!(file.matches(&tags), "{tags}");
    }
    for tags in ["", "\"other\"", etag.trim_matches('"'), find("").unwrap().etag()] {
        assert!(!file.matches(tags), "{tags}");
    }
}
