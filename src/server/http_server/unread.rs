//! Takes in a body that no endpoint reads: of an operation that has none, or of a
//! request that is refused.
//!
//! If it stayed unread, the connection would be closed with bytes waiting in it,
//! which resets it, and the peer could lose the end of its answer.

use std::time::Duration;

use dropshot::Body;
use http_body_util::BodyExt;
use hyper::body::Body as _;

/// The maximum size of a body that is taken in.
const SIZE_MAX: u64 = 64 << 10;

/// The time limit for it to arrive.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Takes in `body`, if it is small and arrives soon; not if its sender waits for a
/// word before it sends it. Returns whether the connection can be used for another
/// request.
pub(super) async fn take_in(mut body: Body, is_awaited: bool) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if is_awaited || body.size_hint().lower() > SIZE_MAX {
        return false;
    }
    let arriving = async {
        let mut left = SIZE_MAX;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(less) = left.checked_sub(length) else { return false };
            left = less;
        }
        true
    };
    tokio::time::timeout(TIME_MAX, arriving).await.unwrap_or(false)
}
