//! The table of contents of the site: every page of `docs/` is in it, once. A page that
//! is not there is not on the site.

use super::{Report, Source, references::resolve};

const SUMMARY: &str = "docs/SUMMARY.md";

pub(super) fn check(source: &Source, sources: &[Source], report: &mut Report<'_>) {
    if source.path != SUMMARY {
        return;
    }
    let listed: Vec<String> = links(&source.text).filter_map(|link| resolve(SUMMARY, link)).collect();
    for page in sources.iter().map(|source| source.path.as_str()) {
        let is_page = page.starts_with("docs/") && page.ends_with(".md") && page != SUMMARY;
        match listed.iter().filter(|path| *path == page).count() {
            0 if is_page => report.error(0, format!("{page} is not in it")),
            0 | 1 => {}
            times => report.error(0, format!("{page} is in it {times} times")),
        }
    }
}

/// Where the entries lead.
pub(crate) fn links(summary: &str) -> impl Iterator<Item = &str> {
    summary.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_listed_once() {
        let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
        let text = "# Summary\n\n- [A](a.md)\n  - [B](adr/b.md)\n- [A](a.md)\n- [R](../README.md)\n";
        let sources = [
            file(SUMMARY, text),
            file("docs/a.md", ""),
            file("docs/adr/b.md", ""),
            file("docs/adr/c.md", ""),
            file("docs/ui/run.png", ""),
            file("README.md", ""),
        ];
        let mut findings = Vec::new();
        check(&sources[0], &sources, &mut Report { path: SUMMARY, findings: &mut findings });
        let found: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(found, ["docs/a.md is in it 2 times", "docs/adr/c.md is not in it"]);
    }
}
