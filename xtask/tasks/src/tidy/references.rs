//! References between code and documents. Each must lead to something:
//!
//! ```text
//!   §6.6               ──▶ a heading of docs/contract.md
//!   D-07               ──▶ an anchor there
//!   G04                ──▶ an anchor of docs/migrating-from-python.md
//!   [text](path#place) ──▶ a tracked file or folder, and a heading or anchor in it
//!   a row that quotes  ──▶ a string literal of the product (log messages, health checks)
//! ```
//!
//! `§` after `RFC nnnn` is that RFC's. Text between backquotes in Markdown is
//! not a link.

use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Source};

const CONTRACT: &str = "docs/contract.md";
const DIFFERENCES: &str = "docs/migrating-from-python.md";

/// Rows of tables between these marks begin with something that the product
/// says literally, in backquotes.
const QUOTES_BEGIN: &str = "<!-- quotes of src -->";
const QUOTES_END: &str = "<!-- end of quotes -->";

/// Names and checksums of packages, what a fuzzer once tried, and golden files,
/// whose references are checked where they are made.
const NOT_OURS: [&str; 3] = ["Cargo.lock", "proptest-regressions/", "tests/output/"];

/// What references may lead to.
pub(super) struct Targets<'s> {
    sources: &'s [Source],
    /// `6.6`, of the contract.
    sections: BTreeSet<&'s str>,
    /// The places of each Markdown file: slugs of headings, and explicit anchors.
    places: BTreeMap<&'s str, BTreeSet<String>>,
}

impl<'s> Targets<'s> {
    pub(super) fn of(sources: &'s [Source]) -> Self {
        let documents = || sources.iter().filter(|source| source.path.ends_with(".md"));
        let contract = documents().find(|source| source.path == CONTRACT);
        let headings = contract.into_iter().flat_map(|contract| headings(&contract.text));
        let sections = headings.filter_map(|heading| heading.strip_prefix('§')?.split(' ').next()).collect();
        let places = documents().map(|source| (source.path.as_str(), places(&source.text))).collect();
        Self { sources, sections, places }
    }

    fn has_place(&self, path: &str, place: &str) -> bool {
        self.places.get(path).is_some_and(|places| places.contains(place))
    }

    fn has_file(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.sources.iter().any(|source| source.path == path || source.path.starts_with(&folder))
    }

    /// Whether the product has a string literal that begins like this and ends
    /// there, or goes on with a value.
    fn is_said(&self, words: &str) -> bool {
        let whole = format!("\"{words}\"");
        let mut product = self.sources.iter().filter(|source| source.path.starts_with("src/"));
        product.any(|source| source.text.contains(&whole))
    }
}

pub(super) fn check(source: &Source, targets: &Targets<'_>, report: &mut Report<'_>) {
    if NOT_OURS.iter().any(|path| source.path.contains(path)) {
        return;
    }
    for (index, line) in source.text.lines().enumerate() {
        for wrong in codes(line, targets) {
            report.error(index + 1, wrong);
        }
    }
    if source.path.ends_with(".md") {
        check_document(source, targets, report);
    }
}

/// What is cited in a line by a code that leads nowhere.
fn codes(line: &str, targets: &Targets<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, sign) in line.match_indices('§') {
        let before = line[..at].trim_end();
        let section = section(&line[at + sign.len()..]);
        if section.is_empty() || is_of_an_rfc(before) {
            continue;
        }
        if before.ends_with("design") {
            wrong.push(format!("design §{section} is in no document: cite {CONTRACT} or a page of docs/adr"));
        } else if !targets.sections.contains(section) {
            wrong.push(format!("§{section} is no section of {CONTRACT}"));
        }
    }
    for (prefix, file) in [("D-", CONTRACT), ("G", DIFFERENCES)] {
        for code in numbered(line, prefix) {
            if !targets.has_place(file, &code.to_lowercase()) {
                wrong.push(format!("{code} is not in {file}"));
            }
        }
    }
    wrong
}

/// `6.6` of `6.6, and more`; empty if no number is there.
fn section(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

fn is_of_an_rfc(before: &str) -> bool {
    let number = before.trim_end_matches(|c: char| c.is_ascii_digit());
    number.len() < before.len() && number.ends_with("RFC ")
}

/// Words that are `prefix` and two digits.
fn numbered<'l>(line: &'l str, prefix: &'l str) -> impl Iterator<Item = &'l str> {
    let continues = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(prefix).filter_map(move |(at, _)| {
        let code = line.get(at..at + prefix.len() + 2)?;
        let digits = code[prefix.len()..].bytes().all(|byte| byte.is_ascii_digit());
        let alone = !line[..at].chars().next_back().is_some_and(continues)
            && !line[at + code.len()..].chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
        (digits && alone).then_some(code)
    })
}

fn check_document(source: &Source, targets: &Targets<'_>, report: &mut Report<'_>) {
    let (mut fenced, mut quoting) = (false, false);
    for (index, line) in source.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        match line.trim() {
            _ if fenced => continue,
            QUOTES_BEGIN => quoting = true,
            QUOTES_END => quoting = false,
            row if quoting => {
                let words = row.strip_prefix("| `").and_then(|rest| rest.split('`').next());
                if let Some(words) = words.filter(|words| !targets.is_said(words)) {
                    report
                        .error(index + 1, format!("{words:?} is in no file of src: quote what it says now"));
                }
            }
            _ => {}
        }
        for target in links(line) {
            if let Some(wrong) = follow(&source.path, &target, targets) {
                report.error(index + 1, wrong);
            }
        }
    }
}

/// What is wrong with a link, if anything.
fn follow(from: &str, target: &str, targets: &Targets<'_>) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, place) = target.split_once('#').unwrap_or((target, ""));
    let path = match path {
        "" => from.to_owned(),
        path => match resolve(from, path) {
            Some(path) => path,
            None => return Some(format!("the link to {target} leads out of the project")),
        },
    };
    if !targets.has_file(&path) {
        return Some(format!("the link to {target} leads to {path}, which is not there"));
    }
    let found = place.is_empty() || targets.has_place(&path, place);
    (!found).then(|| format!("the link to {target}: {path} has no heading or anchor {place:?}"))
}

/// The path, from the root of the project, of what a document links to.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    let mut steps: Vec<&str> = from.split('/').collect();
    steps.pop();
    for step in target.trim_end_matches('/').split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()?),
            step => steps.push(step),
        }
    }
    Some(steps.join("/"))
}

/// Where the links of a document lead; what is in blocks of code is no link.
pub(crate) fn targets(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if !fenced && !is_fence {
            found.extend(links(line).into_iter().filter(|target| !target.contains("://")));
        }
    }
    found
}

/// Where the links of a line of Markdown lead.
fn links(line: &str) -> Vec<String> {
    let text: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.filter_map(|(target, _)| target.split(' ').next().map(str::to_owned)).collect()
}

fn headings(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let title = line.trim_start_matches('#');
        if !fenced && title.len() < line.len() && title.starts_with(' ') {
            found.push(title.trim());
        }
    }
    found
}

fn places(text: &str) -> BTreeSet<String> {
    let mut found: BTreeSet<String> =
        text.split("<a id=\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect();
    for heading in headings(text) {
        let slug = slug(heading);
        let again = (1..).map(|times| format!("{slug}-{times}"));
        let free = std::iter::once(slug.clone()).chain(again).find(|name| !found.contains(name));
        found.extend(free);
    }
    found
}

/// The anchor that forges give a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: &str = "# Contract\n\n## §6 Endpoints\n\n### §6.6 POST `/v1/node-runs`\n\n<a id=\"d-07\"></a>";
    const OTHERS: &str = "# From Python\n\n- <a id=\"g04\"></a>**G04 States.**";

    /// What is found in a file, among the documents that it may cite.
    fn found(path: &str, text: &str) -> Vec<String> {
        let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let product = file("src/a.rs", "//! A file.\nconst SAID: &str = \"cannot claim work\";");
        let sources = [file(CONTRACT, LAW), file(DIFFERENCES, OTHERS), product, file(path, text)];
        let mut findings = Vec::new();
        check(&sources[3], &Targets::of(&sources), &mut Report { path, findings: &mut findings });
        findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.message)).collect()
    }

    #[test]
    fn codes_that_resolve_pass() {
        let text = "//! See §6, §6.6. and D-07 (G04), RFC 9110 §9.1, §n, an ID-99, G4, G040, WG04.";
        assert_eq!(found("src/b.rs", text), Vec::<String>::new());
        assert_eq!(found("Cargo.lock", "§9 D-08 G05"), Vec::<String>::new());
    }

    #[test]
    fn codes_that_lead_nowhere_are_found() {
        let text = concat!("//! A.\n// §6.7, D-08; G05\n// design", " §4\n");
        let wrong = found("tests/b.rs", text);
        let expected = [
            "2: §6.7 is no section of docs/contract.md",
            "2: D-08 is not in docs/contract.md",
            "2: G05 is not in docs/migrating-from-python.md",
            concat!("3: design", " §4 is in no document: cite docs/contract.md or a page of docs/adr"),
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn links_that_resolve_pass() {
        let text = "# A page\n\n[a](../src/a.rs) [b](../src) [c](contract.md#66-post-v1node-runs) [d](#a-page)\n\
            [e](https://example.com/x#y) `[f](nowhere)` [g](contract.md#d-07 \"title\") [h](./contract.md)\n\
            ```text\n[i](nowhere)\n```\n";
        assert_eq!(found("docs/page.md", text), Vec::<String>::new());
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let wrong = found("docs/page.md", "[a](src/a.rs)\n[b](contract.md#6) [c](#x)\n[d](../../x)");
        let expected = [
            "1: the link to src/a.rs leads to docs/src/a.rs, which is not there",
            "2: the link to contract.md#6: docs/contract.md has no heading or anchor \"6\"",
            "2: the link to #x: docs/page.md has no heading or anchor \"x\"",
            "3: the link to ../../x leads out of the project",
        ];
        assert_eq!(wrong, expected);
    }

    #[test]
    fn quotes_are_what_the_product_says() {
        let text = format!(
            "| `nothing` |\n{QUOTES_BEGIN}\n| message |\n| `cannot claim work` |\n| `cannot claim` |\n{QUOTES_END}\n"
        );
        let wrong = found("docs/page.md", &text);
        assert_eq!(wrong, ["5: \"cannot claim\" is in no file of src: quote what it says now"]);
    }

    #[test]
    fn repeated_headings_have_numbered_slugs() {
        let places = places("# One two\n## One two\n## `x_y`: Ü?\n");
        assert_eq!(places.into_iter().collect::<Vec<_>>(), ["one-two", "one-two-1", "x_y-ü"]);
    }
}
