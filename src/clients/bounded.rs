//! Answers that are read up to a limit, and no further.
//!
//! ```text
//!   Peer::execute ──▶ reqwest::Response ──▶ body(…, bytes)         ──▶ whoever reads it, in pieces
//!                                           json(…, bytes, levels) ──▶ whoever reads it, whole
//!                                                │ beyond a limit
//!                                                └──▶ an error; the connection is dropped
//! ```
//!
//! The generated clients read answers whole before they look at them, and then
//! leave it to their parser how deep is too deep. So the limits are under them,
//! in the body itself; what a `Content-Length` promises is believed only if it
//! is too much. A body that nobody asks for is not read.

use std::{error::Error, fmt};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::header::CONTENT_LENGTH;

use crate::types::json;

/// What an answer had more of than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
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

/// The same answer, whose body fails when more than `limit` bytes of it have
/// come.
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

/// The same answer, whose body comes in one piece, and fails when that has more
/// than `limit` bytes, or is nested more than `levels` deep. The pieces are put
/// together as they come, so that they are never there twice.
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

/// The limit, if it was that at which reading has failed.
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
