//! Rules about the text of files.

use super::{
    Report, Source, is_rust,
    rules::{LINES_FAIL, LINES_WARN},
    tokens::Token,
};

/// Put together, so that this file does not break its own rules.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];
const MACHINES: [&str; 2] = [concat!("/", "work"), concat!("/", "root")];

/// What holds for every file.
pub(super) fn check(source: &Source, report: &mut Report<'_>) {
    // Checksums and what packages call themselves are not ours.
    if source.path == "Cargo.lock" {
        return;
    }
    for (index, line) in source.text.lines().enumerate() {
        for word in UNFINISHED.iter().filter(|word| has_word(line, word)) {
            report.error(index + 1, format!("{word}: do it now, or open an issue and take the mark out"));
        }
        for path in MACHINES.iter().filter(|path| has_path(line, path)) {
            report.error(
                index + 1,
                format!(
                    "a path below {path} is there on one machine only: make it relative to the workspace"
                ),
            );
        }
    }
}

/// What holds for Rust.
pub(super) fn check_rust(source: &Source, tokens: &[Token], report: &mut Report<'_>) {
    assert!(is_rust(&source.path));
    for window in tokens.windows(3) {
        if window.iter().map(|token| token.text).eq(["#", "[", "ignore"]) {
            report.error(window[0].line, "an ignored test proves nothing: mend it, or take it out".into());
        }
    }
    if !source.path.starts_with("src/") && !source.path.contains("/src/") {
        return;
    }
    if !source.text.starts_with("//!") {
        report.error(1, "begin the file with a `//!` comment that says what it is for".into());
    }
    let lines = lines_without_tests(source, tokens);
    let advice = "without its tests: split it by purpose";
    if lines > LINES_FAIL {
        report.error(0, format!("{lines} lines {advice} (at most {LINES_FAIL})"));
    } else if lines > LINES_WARN {
        report.warning(0, format!("{lines} lines {advice}, or know why not (more than {LINES_WARN})"));
    }
}

/// `word` with nothing that could belong to it on either side.
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

fn lines_without_tests(source: &Source, tokens: &[Token]) -> usize {
    let mut tests = 0;
    let mut tokens = tokens.iter().peekable();
    while let Some(first) = tokens.next() {
        if !first.test {
            continue;
        }
        let mut last = first;
        while let Some(next) = tokens.next_if(|token| token.test) {
            last = next;
        }
        tests += last.line - first.line + 1;
    }
    source.text.lines().count().saturating_sub(tests)
}
