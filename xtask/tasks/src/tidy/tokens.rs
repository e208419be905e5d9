//! Rust source as one flat list of tokens: enough to see paths, blocks and
//! names, inside macros as well, where a parser of items would see nothing.
//! `proc-macro2` reads it, so comments and strings are not mistaken for code.

use std::str::FromStr;

use proc_macro2::{Delimiter, LexError, Spacing, TokenStream, TokenTree};

/// A word, `::`, a literal, a delimiter or a single other character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    /// Belongs to an item that exists in tests only.
    pub(super) test: bool,
}

pub(super) fn tokens(path: &str, text: &str) -> Result<Vec<Token>, LexError> {
    let mut tokens = Vec::new();
    flatten(TokenStream::from_str(text)?, is_test_file(path), &mut tokens);
    Ok(tokens)
}

/// `tests.rs`, `…_tests.rs`, or a file in a folder `tests`.
fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.starts_with("tests/") || path.contains("/tests/")
}

fn flatten(stream: TokenStream, test: bool, out: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let (mut item_is_test, mut is_use) = (false, false);
    let mut at = 0;
    while at < trees.len() {
        item_is_test |= is_test_gate(&trees[at..]);
        let tree = &trees[at];
        let line = tree.span().start().line;
        let test = test || item_is_test;
        let mut push = |text: &str, line| out.push(Token { text: text.to_owned(), line, test });
        at += 1;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(open, line);
                flatten(group.stream(), test, out);
                let line = group.span_close().end().line;
                out.push(Token { text: close.to_owned(), line, test });
                // A block ends an item; the braces of a `use` do not.
                item_is_test &= is_use || group.delimiter() != Delimiter::Brace;
            }
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                is_use |= text == "use";
                push(text.strip_prefix("r#").unwrap_or(&text), line);
            }
            TokenTree::Punct(punct) => {
                let is_path = punct.as_char() == ':'
                    && punct.spacing() == Spacing::Joint
                    && matches!(trees.get(at), Some(TokenTree::Punct(next)) if next.as_char() == ':');
                if is_path {
                    push("::", line);
                    at += 1;
                } else {
                    push(&punct.as_char().to_string(), line);
                }
                if punct.as_char() == ';' {
                    (item_is_test, is_use) = (false, false);
                }
            }
            TokenTree::Literal(literal) => push(&literal.to_string(), line),
        }
    }
}

/// Whether this begins with `#[cfg(test)]`.
fn is_test_gate(trees: &[TokenTree]) -> bool {
    let [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] = trees else { return false };
    hash.as_char() == '#' && attribute.stream().to_string().replace(' ', "") == "cfg(test)"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let tokens = tokens("src/a.rs", text).unwrap();
        tokens.into_iter().filter(|token| !token.test).map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        for text in ["a // crate::x\nb", "a /* crate /* :: */ x */ b"] {
            assert_eq!(words(text), ["a", "b"], "{text}");
        }
        for text in [r#"a "crate\"::x" b"#, r##"a r#"crate"::x"# b"##, r"a '\'' b", "a 'é' b"] {
            assert_eq!(words(text).len(), 3, "{text}");
            assert_eq!(words(text)[2], "b", "{text}");
        }
        assert_eq!(words("r#gen::x"), ["gen", "::", "x"]);
    }

    #[test]
    fn test_items_are_marked_and_nothing_else() {
        assert_eq!(words("a #[cfg(test)] mod tests { x { y } z } b"), ["a", "b"]);
        assert_eq!(words("a #[cfg(test)] #[path = \"t.rs\"] mod tests; b"), ["a", "b"]);
        assert_eq!(words("a #[cfg(test)] use x::{y, z}; b"), ["a", "b"]);
        assert_eq!(words("a #[cfg(test)] fn f(a: [u8; 2]) { x } b"), ["a", "b"]);
        assert_eq!(words("struct S { #[cfg(test)] a: u8 } b"), ["struct", "S", "{", "}", "b"]);
        assert!(words("#[cfg(not(test))] mod m { x }").contains(&"x".to_owned()));
        let in_test_file = tokens("src/server/journal/sqlite/tests.rs", "x").unwrap();
        assert!(in_test_file.iter().all(|token| token.test));
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let text = "a\n/*\n\n*/ \"\n\" b";
        let lines: Vec<_> = tokens("a.rs", text).unwrap().iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 4, 5]);
    }

    #[test]
    fn text_that_is_not_rust_is_refused() {
        assert!(tokens("src/a.rs", "fn f( {").is_err());
    }
}
