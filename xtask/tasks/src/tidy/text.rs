//! Rules about the text of files.

use super::{Report, Source, is_rust, tokens::Token};

/// The most lines of a file in `src/` or of a tool, its tests included.
const LONGEST_FILE: usize = 400;

/// Put together, so that this file does not break its own rules.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const MACHINES: [&str; 2] = [concat!("/", "work"), concat!("/", "root")];

/// Rules for every file.
pub(super) fn check(source: &Source, report: &mut Report<'_>) {
    // Checksums and the names of packages are not ours.
    if source.path == "Cargo.lock" {
        return;
    }
    for (index, line) in source.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            report.error(index + 1, format!("{word}: do it now, or open an issue and remove the mark"));
        }
        for path in MACHINES.iter().filter(|path| has_path(line, path)) {
            report.error(
                index + 1,
                format!("a path below {path} exists on one machine only: make it relative to the workspace"),
            );
        }
    }
}

/// Rules for Rust files.
pub(super) fn check_rust(source: &Source, tokens: &[Token], report: &mut Report<'_>) {
    assert!(is_rust(&source.path));
    for window in tokens.windows(3) {
        if window.iter().map(|token| token.text.as_str()).eq(["#", "[", "ignore"]) {
            report.error(window[0].line, "an ignored test proves nothing: repair it, or remove it".into());
        }
    }
    if !source.path.starts_with("src/") && !source.path.contains("/src/") {
        return;
    }
    if !source.text.starts_with("//!") {
        report.error(1, "begin the file with a `//!` comment that states its purpose".into());
    }
    let lines = source.text.lines().count();
    if lines > LONGEST_FILE {
        report.error(0, format!("{lines} lines, at most {LONGEST_FILE}: split it by purpose"));
    }
}

/// Whether the line has `word` as a whole word.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let continues = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !continues(line[..at].chars().next_back()) && !continues(line[at + word.len()..].chars().next())
    })
}

/// `path` at the beginning of an absolute path: not `https://host/path`, not
/// `dir/path`, not `/pathological`.
fn has_path(line: &str, path: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_-.~/}#*".contains(c));
    let continues = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_-.".contains(c));
    line.match_indices(path).any(|(at, _)| {
        !joins(line[..at].chars().next_back()) && !continues(line[at + path.len()..].chars().next())
    })
}
