//! A permit to send one request, which can be withdrawn, and says on whose behalf
//! it is sent.
//!
//! ```text
//!   service's token ──▶ connection ──▶ head, body ──▶ on the wire
//!          ▲                               ▲               ▲
//!          └── withdrawn: not sent ────────┘               └── withdrawn: too late
//! ```
//!
//! A caller that no longer wants an answer drops the call. But the task of the
//! connection may have the request by then, and send it a moment later. So the
//! body of the request checks the permit at the moment when it is moved into the
//! buffer of the connection. A request without its body is not a request: the
//! connection breaks off.
//!
//! The permit cannot stop bytes that are on the wire, or between that buffer and
//! the system call that follows without waiting.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use super::Subject;

/// A permit to send a request.
#[derive(Clone, Debug)]
pub struct Permit {
    withdrawn: CancellationToken,
    pub(super) subject: Subject,
}

/// The permit was withdrawn: nothing is sent.
#[derive(Debug, thiserror::Error)]
#[error("the call is no longer wanted")]
pub(super) struct Withdrawn;

impl Permit {
    /// A permit that stands until `withdrawn` is cancelled.
    pub fn until(withdrawn: CancellationToken) -> Self {
        Self { withdrawn, subject: Subject::Own }
    }

    /// The same for a request on behalf of `subject`.
    #[must_use]
    pub fn on_behalf_of(self, subject: Subject) -> Self {
        Self { subject, ..self }
    }

    /// Checks that the permit still stands.
    pub(super) fn check(&self) -> Result<(), Withdrawn> {
        if self.withdrawn.is_cancelled() { Err(Withdrawn) } else { Ok(()) }
    }

    /// The same request, whose body checks the permit before it is sent.
    pub(super) fn bind(&self, mut request: reqwest::Request) -> reqwest::Request {
        if let Some(body) = request.body_mut().take() {
            *request.body_mut() = Some(reqwest::Body::wrap(Guarded { permit: self.clone(), body }));
        }
        request
    }
}

/// A body that is only given while the permit stands.
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

    /// What a service receives of a request whose permit is, or is not, withdrawn
    /// before it is sent.
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
    async fn withdrawn_permit_keeps_the_body_back() {
        let whole = received(false).await;
        assert!(whole.contains("content-length: 8\r\n") && whole.ends_with("\r\n\r\nthe work"), "{whole}");
        let nothing = received(true).await;
        assert!(!nothing.contains("the work"), "{nothing}");
    }
}
