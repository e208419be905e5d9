//! Leave to send one request, which can be withdrawn.
//!
//! ```text
//!   token of the callee ──▶ connection ──▶ head, body ──▶ on the wire
//!          ▲                                   ▲               ▲
//!          └── withdrawn: not sent ────────────┘               └── withdrawn: too late
//! ```
//!
//! Whoever waits for an answer may simply drop the call; but the request may be
//! in the hands of the connection's own task by then, and leave a moment later.
//! So its body asks for leave at the moment in which it is handed to the
//! connection's buffer. A request whose body has not come is no request: the
//! connection breaks off.
//!
//! What is left are bytes that are on the wire, or between that buffer and the
//! system call that is made next without waiting for anything.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// Leave to send a request.
#[derive(Clone, Debug)]
pub struct Permit(CancellationToken);

/// Why nothing is sent.
#[derive(Debug, thiserror::Error)]
#[error("the call is no longer wanted")]
pub(super) struct Withdrawn;

impl Permit {
    /// Until `withdrawn` is cancelled.
    pub fn until(withdrawn: CancellationToken) -> Self {
        Self(withdrawn)
    }

    /// Whether it still stands.
    pub(super) fn check(&self) -> Result<(), Withdrawn> {
        if self.0.is_cancelled() { Err(Withdrawn) } else { Ok(()) }
    }

    /// The same request, whose body asks for leave before it goes.
    pub(super) fn bind(&self, mut request: reqwest::Request) -> reqwest::Request {
        if let Some(body) = request.body_mut().take() {
            *request.body_mut() = Some(reqwest::Body::wrap(Guarded { permit: self.clone(), body }));
        }
        request
    }
}

/// A body that is not given without leave.
struct Guarded {
    permit: Permit,
    body: reqwest::Body,
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Err(withdrawn) = self.permit.check() {
            return Poll::Ready(Some(Err(withdrawn.into())));
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// What a service gets of a request whose permit is withdrawn before it is
    /// handed over, or not.
    async fn received(withdrawn: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let http = reqwest::Client::new();
        let token = CancellationToken::new();
        let request = http.post(url).body("the work").build().unwrap();
        let request = Permit::until(token.clone()).bind(request);
        if withdrawn {
            token.cancel();
        }
        let listen = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            while !String::from_utf8_lossy(&bytes).contains("the work")
                && socket.read_buf(&mut bytes).await.unwrap_or(0) > 0
            {}
            let _gone = socket.write_all(b"HTTP/1.1 204 -\r\nconnection: close\r\n\r\n").await;
            String::from_utf8(bytes).unwrap()
        };
        let (answer, received) = tokio::join!(http.execute(request), listen);
        assert_eq!(answer.is_err(), withdrawn);
        received
    }

    #[tokio::test]
    async fn a_request_goes_as_it_is_or_without_the_work() {
        let whole = received(false).await;
        assert!(whole.contains("content-length: 8\r\n") && whole.ends_with("\r\n\r\nthe work"), "{whole}");
        let nothing = received(true).await;
        assert!(!nothing.contains("the work"), "{nothing}");
    }
}
