//! The words: a list of those that the project does not use, because they name
//! nothing or are not English as it is spoken about software. And the names of
//! tests, which must be short and name their subject.

use super::{Report, Source, tokens::Token};

/// The banned words. This file is exempt from its own rule.
const BANNED: [&str; 17] = [
    "nobody",
    "somebody",
    "whoever",
    "everybody",
    "anybody",
    "one who",
    "anew",
    "so many",
    "so long",
    "so often",
    "as ever",
    "for long",
    "to be mended",
    "told",
    "telling",
    "how-manieth",
    "its last words",
];
const OWN_FILE: &str = "xtask/tasks/src/tidy/words.rs";

/// The first words of names that have no subject.
const NO_SUBJECT: [&str; 8] = ["it", "they", "who", "what", "whatever", "one", "those", "this"];
const LONGEST_NAME: usize = 60;

pub(super) fn check(source: &Source, report: &mut Report<'_>) {
    let is_text = source.path.ends_with(".rs") || source.path.ends_with(".md");
    if !is_text || source.path == OWN_FILE {
        return;
    }
    for (index, line) in source.text.lines().enumerate() {
        for word in banned(line) {
            report.error(index + 1, format!("\"{word}\": say it in plain technical English, with a subject"));
        }
    }
}

/// The banned words in a line; `_` separates words, as in names.
fn banned(line: &str) -> impl Iterator<Item = &'static str> {
    let line: Vec<String> = line
        .replace('_', " ")
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let line = format!(" {} ", line.join(" "));
    BANNED.into_iter().filter(move |word| line.contains(&format!(" {word} ")))
}

/// The names of tests.
pub(super) fn check_names(tokens: &[Token], report: &mut Report<'_>) {
    for Token { text: name, line, .. } in tests(tokens) {
        let length = name.chars().count();
        if length > LONGEST_NAME {
            report.error(*line, format!("`{name}` has {length} characters: at most {LONGEST_NAME}"));
        }
        if name.split('_').next().is_some_and(|first| NO_SUBJECT.contains(&first)) {
            report.error(*line, format!("`{name}` does not name its subject"));
        }
    }
}

/// The names of the functions with an attribute that ends in `test`.
fn tests(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut is_test = false;
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        match token.text.as_str() {
            "test" if matches!(text(at + 1), "]" | "(") && at > 0 && matches!(text(at - 1), "[" | "::") => {
                is_test |= text(at - 1) == "::" || text(at.wrapping_sub(2)) == "#";
            }
            "fn" if is_test => {
                is_test = false;
                return tokens.get(at + 1);
            }
            "}" | ";" => is_test = false,
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tokens::tokens, *};

    #[test]
    fn banned_words_are_found_as_whole_words() {
        for line in ["/// Nobody waits.", "fn nobody_waits() {}", "waits so long", "a_wait_for_long"] {
            assert_eq!(banned(line).count(), 1, "{line}");
        }
        for line in ["as long as it takes", "for longer", "a toldness", "renewal"] {
            assert_eq!(banned(line).count(), 0, "{line}");
        }
    }

    #[test]
    fn names_of_tests_are_found_behind_their_attributes() {
        let text = "#[test] fn a() {} #[tokio::test(flavor = \"x\")] #[cfg(unix)] async fn b() {} \
                    #[cfg(test)] mod m { fn c() {} } fn d() {}";
        let tokens = tokens("src/a.rs", text).unwrap();
        assert_eq!(tests(&tokens).map(|token| token.text.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
