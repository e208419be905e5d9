//! Ids in the paths of calls: each is one segment that decodes to exactly the id,
//! or the call is not sent.
//!
//! ```text
//!   id ──▶ encode_path ──▶ all but unreserved characters as %XX ──▶ the URL
//!              └ "", ".", ".." ─▶ a mark ──▶ refuse_marked: nothing is sent
//! ```
//!
//! `build.rs` makes the generated clients call [`encode_path`] instead of the
//! function of that name in progenitor, which does not encode `\`. URL parsers read
//! `\` as `/`, so an id could reach any other path of the service, with our token.
//! An empty segment and dot segments cannot be encoded: `%2E%2E` is a dot segment
//! as well.

use std::fmt::Write as _;

/// Marks a segment that no path can carry. No id is encoded as this, because `!`
/// is not an unreserved character.
const MARK: &str = "!";

/// Encodes an id as one segment of a path.
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

/// Whether the path of a URL can carry the id as a segment.
pub(crate) fn fits_into_a_path(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
}

/// Refuses a request with a segment that [`encode_path`] has marked.
pub(super) fn refuse_marked(request: &reqwest::Request) -> Result<(), String> {
    let marked = |segment: &str| {
        segment.strip_prefix(MARK).is_some_and(|verb| verb.is_empty() || verb.starts_with(':'))
    };
    if request.url().path_segments().is_some_and(|mut segments| segments.any(marked)) {
        return Err("this id cannot be a part of a path".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
