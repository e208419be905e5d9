//! An answer on its way out.
//!
//! ```text
//!   body ──pieces of 16 KiB──▶ hyper ──▶ kernel ──▶ reader
//!     │ not asked for the next piece: the reader is slow
//! ```
//!
//! Hyper takes a piece when it has room for it. So what is not taken yet belongs
//! to a reader who is slow, and since when is recorded for the scans. What hyper
//! and the kernel have taken is bounded, and the kernel gives up a reader who
//! takes nothing (`socket_options`).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use dropshot::Body;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::InProgress;
use crate::http_server::limits::{Place, Share};

/// The size of a piece. Hyper buffers up to 16 of one answer.
const PIECE: usize = 16 << 10;

/// Marks an answer as an event stream: it has no end that its reader could wait
/// for, and a place of its own.
#[derive(Clone, Copy)]
pub(in crate::server::http_server) struct Streamed;

/// What a request holds until its answer has been taken: its place among the
/// requests, and its principal's.
type Held = (Option<Place>, Option<Share>);

/// Keeps the connection of `in_progress` busy, and what the request holds, until
/// the answer has been taken or is given up.
pub(in crate::server::http_server) fn sending(
    answer: Response<Body>,
    in_progress: InProgress,
    held: Held,
) -> Response<Body> {
    let is_stream = answer.extensions().get::<Streamed>().is_some();
    in_progress.progress.waits_since(in_progress.connections.now());
    // A stream has a place of its own.
    let held = Some(held).filter(|_| !is_stream);
    answer.map(|body| Body::wrap(Sending { body, rest: Bytes::new(), is_stream, in_progress, _held: held }))
}

struct Sending {
    body: Body,
    /// What is left of the last frame.
    rest: Bytes,
    is_stream: bool,
    in_progress: InProgress,
    _held: Option<Held>,
}

impl Sending {
    fn piece(&mut self, mut data: Bytes) -> Bytes {
        let piece = data.split_to(data.len().min(PIECE));
        self.rest = data;
        piece
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.piece(rest)))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if self.is_stream {
            let progress = &self.in_progress.progress;
            match &polled {
                // It is we who have nothing to send.
                Poll::Pending => progress.goes_on(),
                Poll::Ready(_) => progress.waits_since(self.in_progress.connections.now()),
            }
        }
        polled.map(|frame| {
            frame.map(|frame| {
                frame.map(|frame| match frame.into_data() {
                    Ok(data) => Frame::data(self.piece(data)),
                    Err(other) => other,
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            whole.set_upper(upper.saturating_add(rest));
        }
        whole
    }
}
