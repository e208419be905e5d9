//! Documents that name tests as proof: between the marks `<!-- proofs -->` and
//! `<!-- end of proofs -->`, each link `[name](file)` is to a word of a file of
//! ours. A link to a test that was renamed or removed proves nothing.

use super::{Report, Source, references::resolve, text::has_word};

const BEGIN: &str = "<!-- proofs -->";
const END: &str = "<!-- end of proofs -->";

pub(super) fn check(source: &Source, sources: &[Source], report: &mut Report<'_>) {
    let mut inside = false;
    for (index, line) in source.text.lines().enumerate() {
        match line.trim() {
            BEGIN => inside = true,
            END => inside = false,
            row if inside => {
                for (name, target) in links(row) {
                    let path = resolve(&source.path, target).unwrap_or_default();
                    let file = sources.iter().find(|source| source.path == path);
                    if !file.is_some_and(|file| file.text.lines().any(|line| has_word(line, name))) {
                        report
                            .error(index + 1, format!("`{name}` is not in {path}: name a test that exists"));
                    }
                }
            }
            _ => {}
        }
    }
}

/// The links in a line of Markdown: text and target.
fn links(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('[').skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("](")?;
        Some((name, rest.split_once(')')?.0))
    })
}
