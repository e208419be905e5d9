//! Rust source as tokens: enough to see paths and blocks, and not to take a
//! comment or a string for code. (A real parser would not see into macros.)

/// A word, `::`, a literal or a single other character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) text: &'s str,
    pub(super) line: usize,
    /// It is in an item for tests only.
    pub(super) test: bool,
}

pub(super) fn tokens<'s>(path: &str, text: &'s str) -> Vec<Token<'s>> {
    let mut tokens = Lexer { text, at: 0, line: 1 }.collect::<Vec<_>>();
    if is_test_file(path) {
        tokens.iter_mut().for_each(|token| token.test = true);
    } else {
        mark_tests(&mut tokens);
    }
    tokens
}

/// `tests.rs`, or what is in a folder `tests`.
fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

/// Marks each item behind `#[cfg(test)]`.
fn mark_tests(tokens: &mut [Token]) {
    const GATE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut at = 0;
    while at < tokens.len() {
        let is_gate = tokens[at..].iter().map(|token| token.text).take(GATE.len()).eq(GATE);
        if !is_gate {
            at += 1;
            continue;
        }
        let end = item_end(tokens, at);
        tokens[at..end].iter_mut().for_each(|token| token.test = true);
        at = end;
    }
}

/// Behind the item that begins at `start`, maybe with attributes: behind its
/// block, or its `;`.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let (mut depth, mut is_use) = (0_usize, false);
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "use" if depth == 0 => is_use = true,
            "{" | "(" | "[" => depth += 1,
            // The end of what the item is in: it was a field, or the like.
            "}" | ")" | "]" if depth == 0 => return at,
            "}" | ")" | "]" => {
                depth -= 1;
                if depth == 0 && token.text == "}" && !is_use {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

struct Lexer<'s> {
    text: &'s str,
    at: usize,
    line: usize,
}

impl<'s> Iterator for Lexer<'s> {
    type Item = Token<'s>;

    fn next(&mut self) -> Option<Token<'s>> {
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let (length, is_code) = if first.is_whitespace() {
                (first.len_utf8(), false)
            } else if rest.starts_with("//") {
                (rest.find('\n').unwrap_or(rest.len()), false)
            } else if rest.starts_with("/*") {
                (block_comment(rest), false)
            } else {
                (code(rest, first), true)
            };
            let token = Token { text: &rest[..length], line: self.line, test: false };
            self.at += length;
            self.line += token.text.matches('\n').count();
            if is_code {
                return Some(token);
            }
        }
    }
}

fn code(rest: &str, first: char) -> usize {
    match first {
        '"' => string(rest),
        '\'' => char_or_lifetime(rest),
        ':' if rest.starts_with("::") => 2,
        first if is_word(first) => {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            match &rest[..length] {
                "r" | "br" | "cr" => raw(rest, length),
                _ => length,
            }
        }
        _ => first.len_utf8(),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// They nest.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `"…"`, with escapes.
fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, or a raw identifier (`r#gen`): then the prefix only.
fn raw(rest: &str, prefix: usize) -> usize {
    let hashes = rest[prefix..].bytes().take_while(|&byte| byte == b'#').count();
    let start = prefix + hashes + 1;
    if rest.as_bytes().get(start - 1) != Some(&b'"') {
        return prefix + hashes;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len())
}

/// `'x'`, `'\n'`, or the mark of a lifetime with its name.
fn char_or_lifetime(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    let (first, second) = (chars.next(), chars.next());
    match (first, second) {
        (Some((_, '\\')), Some((escape, c))) => {
            let after = escape + c.len_utf8();
            rest[after..].find('\'').map_or(rest.len(), |at| after + at + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1 + rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens("src/a.rs", text).iter().filter(|token| !token.test).map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        for text in ["a // crate::x\nb", "a /* crate /* :: */ x */ b", "a /// [`crate::x`] it's\n b"] {
            assert_eq!(words(text), ["a", "b"], "{text}");
        }
        for text in [
            r#"a "crate\"::x" b"#,
            r##"a r#"crate"::x"# b"##,
            r"a '\'' b",
            "a '\"' b",
            "a 'é' b",
            "a 'static b",
        ] {
            assert_eq!(words(text).len(), 3, "{text}");
            assert_eq!(words(text)[2], "b", "{text}");
        }
        assert_eq!(words("r#gen::x"), ["r#", "gen", "::", "x"]);
        assert_eq!(words(r"b'\\' c"), ["b", r"'\\'", "c"]);
    }

    #[test]
    fn items_for_tests_are_marked_and_nothing_else() {
        assert_eq!(words("a #[cfg(test)] mod tests { x { y } z } b"), ["a", "b"]);
        assert_eq!(words("a #[cfg(test)] #[path = \"t.rs\"] mod tests; b"), ["a", "b"]);
        assert_eq!(words("a #[cfg(test)] use x::{y, z}; b"), ["a", "b"]);
        assert_eq!(words("a #[cfg(test)] fn f(a: [u8; 2]) { x } b"), ["a", "b"]);
        assert_eq!(words("struct S { #[cfg(test)] a: u8 } b"), ["struct", "S", "{", "}", "b"]);
        assert!(words("#[cfg(not(test))] mod m { x }").contains(&"x"));
        assert!(tokens("src/store/sqlite/tests.rs", "x").iter().all(|token| token.test));
    }

    #[test]
    fn lines_are_counted_through_everything() {
        let text = "a\n/*\n\n*/ \"\n\" b";
        let lines: Vec<_> = tokens("a.rs", text).iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 4, 5]);
    }
}
