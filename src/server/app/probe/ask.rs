//! A request whose answer is looked at, whatever it is: status, the beginning of the
//! body, and what the other machine's clock says.

use std::time::Duration;

use serde_json::Value;

use crate::{
    clients::with_causes,
    time::{Clock, Timestamp},
};

/// More of a body is not read.
const BODY_BYTES: usize = 64 << 10;

/// Asks services.
pub(super) struct Asker<'a> {
    pub(super) http: reqwest::Client,
    /// For a whole answer.
    pub(super) limit: Duration,
    pub(super) clock: &'a dyn Clock,
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Null if it is not JSON.
    pub(super) body: Value,
    /// By how many seconds this machine's clock is ahead, if the answer has a date.
    pub(super) ahead_seconds: Option<i64>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) reason: String,
}

impl NoAnswer {
    /// Whether the other side's certificate, or ours, is the cause.
    pub(super) fn is_about_certificates(&self) -> bool {
        self.reason.contains("certificate") || self.reason.contains("UnknownIssuer")
    }
}

impl Asker<'_> {
    /// `GET`, with a bearer token if there is one.
    pub(super) async fn get(&self, url: &str, token: Option<&str>) -> Result<Answer, NoAnswer> {
        let mut request = self.http.get(url).timeout(self.limit);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let asked = self.clock.now();
        let mut response = request.send().await.map_err(|error| no_answer(&error.without_url()))?;
        let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
        let ahead_seconds = date.and_then(|date| ahead(date, asked, self.clock.now()));
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > BODY_BYTES {
                break;
            }
        }
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer { status: response.status().as_u16(), body, ahead_seconds })
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A text of the body.
    pub(super) fn text(&self, member: &str) -> Option<&str> {
        self.body.get(member).and_then(Value::as_str)
    }
}

/// The innermost cause says most: "Connection refused (os error 111)".
fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let all = with_causes(error);
    let reason = if error.is_timeout() {
        "it does not answer in time".to_owned()
    } else {
        all.rsplit(": ").next().map_or_else(|| all.clone(), str::to_owned)
    };
    // Of a certificate the last part alone says too little.
    let reason = match all.find("invalid peer certificate") {
        Some(at) => all[at..].to_owned(),
        None => reason,
    };
    NoAnswer { reason }
}

/// The difference between a date and the middle of the request, in whole seconds. A date
/// has no fraction of a second, so that a difference of a second is none.
fn ahead(date: &str, asked: Timestamp, answered: Timestamp) -> Option<i64> {
    let theirs = chrono::DateTime::parse_from_rfc2822(date).ok()?.timestamp_micros();
    let ours = asked.as_micros() / 2 + answered.as_micros() / 2;
    let seconds = (ours - theirs) as f64 / 1e6 - 0.5;
    Some(seconds.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_in_whole_seconds() {
        let at = |text: &str| -> Timestamp { text.parse().expect("a time") };
        let date = "Sat, 28 Nov 2026 12:00:00 GMT";
        for (asked, answered, seconds) in [
            ("2026-11-28T12:00:00.000Z", "2026-11-28T12:00:00.900Z", 0),
            ("2026-11-28T12:00:00.900Z", "2026-11-28T12:00:01.000Z", 0),
            ("2026-11-28T12:01:00.500Z", "2026-11-28T12:01:00.500Z", 60),
            ("2026-11-28T11:59:00.500Z", "2026-11-28T11:59:00.500Z", -60),
        ] {
            assert_eq!(ahead(date, at(asked), at(answered)), Some(seconds), "{asked}");
        }
        assert_eq!(ahead("yesterday", at("2026-11-28T12:00:00Z"), at("2026-11-28T12:00:00Z")), None);
    }
}
