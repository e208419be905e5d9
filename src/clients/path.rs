//! Ids in the paths of calls: one segment that decodes to exactly the id, or no
//! call at all.
//!
//! ```text
//!   id ──▶ encode_path ──▶ everything but unreserved characters as %XX ──▶ the URL
//!              └ "", ".", ".." ─▶ a mark ──▶ refuse_marked: nothing is sent
//! ```
//!
//! The generated clients call [`encode_path`] (`build.rs` sees to that) and not
//! progenitor's function of that name, which leaves `\` alone: URL parsers read
//! it as `/`, so an id could walk to any other path of the service, with our
//! token. An empty segment and dot segments cannot be encoded, since `%2E%2E` is
//! a dot segment too.

use std::fmt::Write as _;

/// Stands for a segment that no path can carry. No id is encoded as this: `!`
/// is not an unreserved character.
const MARK: &str = "!";

/// `id` as one segment of a path.
pub(crate) fn encode_path(id: &str) -> String {
    if !fits_into_a_path(id) {
        return MARK.to_owned();
    }
    let mut segment = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => segment.push(byte.into()),
            _ => _ = write!(segment, "%{byte:02X}"),
        }
    }
    segment
}

/// Whether the path of a URL can carry this as a segment.
pub(crate) fn fits_into_a_path(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
}

/// Refuses a request with a segment that [`encode_path`] has marked.
pub(super) fn refuse_marked(request: &reqwest::Request) -> Result<(), String> {
    let marked = |segment: &str| {
        segment.strip_prefix(MARK).is_some_and(|verb| verb.is_empty() || verb.starts_with(':'))
    };
    match request.url().path_segments().is_some_and(|mut segments| segments.any(marked)) {
        true => Err("this id cannot be a part of a path".into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
