//! Answers that are read up to a limit, and no further.
//!
//! ```text
//!   Peer::execute ──▶ reqwest::Response ──▶ body(…, limit) ──▶ whoever reads it: whole, or in pieces
//!                                                │ beyond the limit
//!                                                └──▶ an error; the connection is dropped
//! ```
//!
//! The generated clients read answers whole before they look at them. So the
//! limit is under them, in the body itself; what a `Content-Length` promises is
//! believed only if it is too much.

use std::{error::Error, fmt};

use futures::StreamExt;
use http::header::CONTENT_LENGTH;

/// An answer had more bytes than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LimitBroken(usize);

impl fmt::Display for LimitBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} bytes", self.0)
    }
}

impl Error for LimitBroken {}

/// The same answer, whose body fails when more than `limit` bytes of it have
/// come.
pub(super) fn body(answer: reqwest::Response, limit: usize) -> reqwest::Response {
    let announced =
        answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut head = http::Response::new(());
    *head.status_mut() = answer.status();
    *head.headers_mut() = answer.headers().clone();
    *head.version_mut() = answer.version();
    let (broken, mut left) = (LimitBroken(limit), limit);
    let is_too_large = announced.is_some_and(|announced: u64| announced > limit as u64);
    let pieces = answer.bytes_stream().map(move |piece| {
        let piece = piece?;
        match left.checked_sub(piece.len()) {
            Some(rest) if !is_too_large => left = rest,
            Some(_) | None => return Err(broken.into()),
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(piece)
    });
    head.map(|()| reqwest::Body::wrap_stream(pieces)).into()
}

/// The limit, if it was that at which reading has failed.
pub(super) fn limit_broken(error: &(dyn Error + 'static)) -> Option<usize> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(LimitBroken(limit)) = error.downcast_ref() {
            return Some(*limit);
        }
        cause = error.source();
    }
    None
}
