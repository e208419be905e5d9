//! Finds credentials in a text, in one pass.
//!
//! | looks like | becomes |
//! |---|---|
//! | `Bearer eyJ…`, `Basic dXNl…` | `Bearer [redacted]` |
//! | a JWT: `eyJ….….…` | `[redacted]` |
//! | `password=x`, `"api_key": "x"`, `Authorization: x` | `password=[redacted]`, … |
//! | `https://user:password@host` | `https://[redacted]@host` |

use std::borrow::Cow;

use super::{
    MASK,
    names::{LONGEST, Names},
};

/// After `Bearer` or `Basic`, a shorter word without digits is a word.
const CREDENTIAL_MIN: usize = 16;

/// `text` with its credentials masked, and not longer than `chars` characters.
pub(super) fn redacted<'t>(names: &Names, text: &'t str, chars: usize) -> Cow<'t, str> {
    let mut out = Out { text, kept: 0, masked: String::new(), left: chars };
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let end = span(bytes, at, is_word);
        at = match secret(names, text, at, end) {
            None => end,
            Some(Found { start, end, .. })
                if text[start..].starts_with(MASK) && end <= start + MASK.len() =>
            {
                start + MASK.len()
            }
            Some(Found { start, end }) => {
                if !out.mask(start, end) {
                    break;
                }
                end
            }
        };
    }
    out.done()
}

/// Where a secret is.
struct Found {
    start: usize,
    end: usize,
}

/// The secret that the word at `start..end` is, or announces.
fn secret(names: &Names, text: &str, start: usize, end: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    let word = &text[start..end];
    if word.starts_with("eyJ") && word.len() > 8 {
        let dotted = span(bytes, start, |byte| is_word(byte) || byte == b'.');
        if text[start..dotted].trim_end_matches('.').matches('.').count() >= 2 {
            return Some(Found { start, end: dotted });
        }
    }
    if bytes[end..].starts_with(b"://") {
        let from = end + 3;
        let to = span(bytes, from, |byte| !byte.is_ascii_whitespace() && !b"/?#\"'<>\\".contains(&byte));
        let user = text[from..to].rfind('@')?;
        return (user > 0).then_some(Found { start: from, end: from + user });
    }
    if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
        let from = span(bytes, end, |byte| byte == b' ');
        let to = span(bytes, from, is_token68);
        let credential = &bytes[from..to];
        let is_credential = credential.len() >= CREDENTIAL_MIN || credential.iter().any(u8::is_ascii_digit);
        if from > end && is_credential {
            return Some(Found { start: from, end: to });
        }
    }
    if word.len() <= LONGEST && names.contain(word) {
        return named(text, word, end);
    }
    None
}

/// The value after a secret name that ends at `end`.
fn named(text: &str, name: &str, end: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    // "name": or \"name\": or name= or name =>
    let after_quote = span(bytes, end, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b'`'));
    let sign = span(bytes, after_quote, |byte| byte == b' ');
    let from = match bytes.get(sign..)? {
        [b'=', b'>', ..] => sign + 2,
        [b'=' | b':', ..] => sign + 1,
        _ => return None,
    };
    let start = span(bytes, from, |byte| byte == b' ');
    let quote = span(bytes, start, |byte| byte == b'\\');
    let to = match bytes.get(quote)? {
        opening @ (b'"' | b'\'' | b'`') => {
            let inside = quote + 1;
            return Some(closing(bytes, inside, *opening, quote - start))
                .filter(|found| found.end > found.start);
        }
        b'{' | b'[' => balanced(bytes, quote),
        _ if name.to_ascii_lowercase().ends_with("authorization")
            || name.to_ascii_lowercase().ends_with("cookie") =>
        {
            // A header: to the end of its line.
            span(bytes, start, |byte| !matches!(byte, b'\r' | b'\n' | b'"' | b'\''))
        }
        _ => unquoted(bytes, start),
    };
    // `[redacted]` ends with what ends a value.
    let to = if text[start..].starts_with(MASK) { start + MASK.len() } else { to };
    (to > start).then_some(Found { start, end: to })
}

/// The end of a value without quotes, or with quotes inside: `Some("x")`.
fn unquoted(bytes: &[u8], start: usize) -> usize {
    let end = span(bytes, start, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b',' | b';' | b'&' | b'"' | b'\'' | b'}' | b')' | b']')
    });
    match bytes.get(end) {
        Some(quote @ (b'"' | b'\'')) if end > start => {
            (closing(bytes, end + 1, *quote, 0).end + 1).min(bytes.len())
        }
        _ => end,
    }
}

/// What is between quotes, without those; to the end, if there is no second one.
/// A quote that has more backslashes before it than the first is one inside.
fn closing(bytes: &[u8], start: usize, quote: u8, backslashes: usize) -> Found {
    let mut run = 0;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        if *byte == quote && run <= backslashes {
            return Found { start, end: at - run };
        }
        run = if *byte == b'\\' { run + 1 } else { 0 };
    }
    Found { start, end: bytes.len() }
}

/// The end of an object or a list; that of the text, if it has none.
fn balanced(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    bytes.len()
}

/// The end of the bytes from `start` on for which `is` holds.
fn span(bytes: &[u8], start: usize, is: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !is(*byte)).unwrap_or(rest.len())
}

/// Of names and of the parts of a JWT.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// Of credentials (RFC 7235).
fn is_token68(byte: u8) -> bool {
    is_word(byte) || b".~+/=".contains(&byte)
}

/// The text so far: borrowed until something is masked.
struct Out<'t> {
    text: &'t str,
    /// What is before has been copied.
    kept: usize,
    masked: String,
    /// How many more characters there may be.
    left: usize,
}

impl<'t> Out<'t> {
    /// Masks a part; returns whether there is room for more.
    fn mask(&mut self, start: usize, end: usize) -> bool {
        let before = &self.text[self.kept..start];
        self.push(before) && {
            self.kept = end;
            self.push(MASK)
        }
    }

    fn push(&mut self, piece: &str) -> bool {
        match cut(piece, self.left) {
            None => {
                // A text has no more characters than bytes.
                self.left =
                    if self.left == usize::MAX { self.left } else { self.left - piece.chars().count() };
                self.masked.push_str(piece);
                true
            }
            Some(piece) => {
                self.masked.push_str(piece);
                self.masked.push('…');
                self.kept = self.text.len();
                self.left = 0;
                false
            }
        }
    }

    fn done(mut self) -> Cow<'t, str> {
        if self.kept == 0 && self.masked.is_empty() && cut(self.text, self.left).is_none() {
            return Cow::Borrowed(self.text);
        }
        let rest = &self.text[self.kept..];
        if !rest.is_empty() {
            self.push(rest);
        }
        Cow::Owned(self.masked)
    }
}

/// The first `chars` characters of a text that has more.
fn cut(text: &str, chars: usize) -> Option<&str> {
    if text.len() <= chars {
        return None;
    }
    text.char_indices().nth(chars).map(|(end, _)| &text[..end])
}
