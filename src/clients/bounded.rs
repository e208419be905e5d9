//! Answers that are read up to a limit, and no further.
//!
//! ```text
//!   Peer::execute ──▶ reqwest::Response ──▶ body(…, bytes)         ──▶ the reader, in pieces
//!                                           json(…, bytes, levels) ──▶ the reader, whole
//!                                                │ beyond a limit
//!                                                └──▶ an error; the connection is dropped
//! ```
//!
//! The generated clients read an answer whole before they parse it, and leave the
//! depth to their parser. So the limits are below them, in the body itself. A
//! `Content-Length` is believed only if it is too large. A body that is not asked
//! for is not read.

use std::{error::Error, fmt};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::header::CONTENT_LENGTH;

use crate::types::json;

/// The limit that an answer exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Bytes(usize),
    /// Of nesting.
    Levels(u32),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(limit) => write!(f, "more than {limit} bytes"),
            Self::Levels(limit) => write!(f, "more than {limit} levels of nesting"),
        }
    }
}

impl Error for Limit {}

type Failure = Box<dyn Error + Send + Sync>;

/// The same answer, whose body fails beyond `limit` bytes.
pub(super) fn body(answer: reqwest::Response, limit: usize) -> reqwest::Response {
    let is_too_large = announced(&answer).is_some_and(|announced| announced > limit as u64);
    let head = head(&answer);
    let mut left = limit;
    let pieces = answer.bytes_stream().map(move |piece| {
        let piece = piece?;
        match left.checked_sub(piece.len()) {
            Some(rest) if !is_too_large => left = rest,
            Some(_) | None => return Err(Limit::Bytes(limit).into()),
        }
        Ok::<_, Failure>(piece)
    });
    head.map(|()| reqwest::Body::wrap_stream(pieces)).into()
}

/// The same answer, whose body comes in one piece and fails beyond `limit` bytes
/// or `levels` levels of nesting. The pieces are joined as they come, so that
/// they are never in memory twice.
pub(super) fn json(answer: reqwest::Response, limit: usize, levels: u32) -> reqwest::Response {
    let announced = announced(&answer).and_then(|announced| announced.try_into().ok()).unwrap_or_default();
    let head = head(&answer);
    let mut pieces = body(answer, limit).bytes_stream();
    let whole = async move {
        let mut whole = Vec::new();
        while let Some(piece) = pieces.try_next().await? {
            if whole.is_empty() {
                whole.reserve_exact(limit.min(announced));
            }
            whole.extend_from_slice(&piece);
        }
        match json::levels(&whole) {
            found if found > levels => Err(Limit::Levels(levels).into()),
            _ => Ok::<_, Failure>(Bytes::from(whole)),
        }
    };
    head.map(|()| reqwest::Body::wrap_stream(futures::stream::once(whole))).into()
}

fn announced(answer: &reqwest::Response) -> Option<u64> {
    answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn head(answer: &reqwest::Response) -> http::Response<()> {
    let mut head = http::Response::new(());
    *head.status_mut() = answer.status();
    *head.headers_mut() = answer.headers().clone();
    *head.version_mut() = answer.version();
    head
}

/// The limit that made reading fail, if one did.
pub(super) fn limit_broken(error: &(dyn Error + 'static)) -> Option<Limit> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(limit) = error.downcast_ref::<Limit>() {
            return Some(*limit);
        }
        cause = error.source();
    }
    None
}
