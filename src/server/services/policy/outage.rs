//! A policy point that makes no decision: what follows for the question, and how
//! long it has been so.
//!
//! | no decision, because | `deny` | `hold` |
//! |---|---|---|
//! | no connection, no token, no answer in time | denied | held |
//! | 5xx, 408, 425, 429, 401, 403, or a status without an envelope | denied | held |
//! | a malformed answer | denied | held |
//! | the PDP refuses the question in its own envelope (any other 4xx) | denied | denied |
//!
//! A held question is asked again later. A refused question would be refused
//! again.

use std::time::Duration;

use parking_lot::Mutex;
use slog::{Logger, info, warn};

use crate::{
    clients::{CallError, Failure},
    config::PdpOutage,
    resilience::CoolDown,
    time::Timestamp,
    types::HealthCheck,
};

/// How long health reports a failure after which no question was asked.
const REPORTED: Duration = Duration::from_secs(60);

/// The outage of the PDP, if there is one.
pub struct Outage {
    setting: PdpOutage,
    failures: Mutex<CoolDown>,
}

impl Outage {
    pub fn new(setting: PdpOutage) -> Self {
        Self { setting, failures: Mutex::default() }
    }

    /// Whether the question that failed like this is held.
    pub(super) fn holds(&self, error: &CallError) -> bool {
        match self.setting {
            PdpOutage::Deny => false,
            PdpOutage::Hold => !is_refusal(error),
        }
    }

    pub(super) fn failed(&self, error: &CallError, now: Timestamp, log: &Logger) {
        if self.failures.lock().failed(now) {
            warn!(log, "the PDP is unavailable: nodes are held"; "error" => %error);
        }
    }

    pub(super) fn answered(&self, now: Timestamp, log: &Logger) {
        if let Some(since) = self.failures.lock().succeeded() {
            info!(log, "the PDP is available again"; "after_seconds" => now.since(since).as_secs());
        }
    }

    /// The health check, where nodes are held. Without errors: health is public.
    pub(super) fn check(&self, now: Timestamp) -> Option<HealthCheck> {
        match self.setting {
            PdpOutage::Deny => return None,
            PdpOutage::Hold => {}
        }
        let is_out = !self.failures.lock().is_over(REPORTED, now);
        let trouble = is_out.then(|| "The PDP is unavailable: nodes are held, and no run starts".into());
        Some(HealthCheck::new("pdp", trouble, None))
    }
}

/// Whether the PDP has read the question and refuses to answer it.
fn is_refusal(error: &CallError) -> bool {
    match error.failure {
        Failure::Envelope { status: 401 | 403 | 408 | 425 | 429, .. } => false,
        Failure::Envelope { status, .. } => (400..500).contains(&status),
        Failure::NotSent(_)
        | Failure::NoResponse { .. }
        | Failure::HttpStatus { .. }
        | Failure::Malformed { .. }
        | Failure::TooLarge { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use slog::{Discard, o};

    use super::*;
    use crate::{
        clients::{NotSent, Service},
        types::{HealthStatus, JsonObject},
    };

    fn error(failure: Failure) -> CallError {
        CallError::new(Service::Pdp, failure)
    }

    fn status(status: u16) -> CallError {
        error(Failure::HttpStatus { status, reason: "why".into(), retry_after: None })
    }

    fn envelope(status: u16) -> CallError {
        error(Failure::Envelope {
            status,
            code: "code".into(),
            message: "Message".into(),
            details: JsonObject::new(),
            retryable: false,
            retry_after: None,
        })
    }

    #[test]
    fn refused_question_is_denied_and_an_unanswered_one_held() {
        let (hold, deny) = (Outage::new(PdpOutage::Hold), Outage::new(PdpOutage::Deny));
        for (error, held) in [
            (CallError::no_response(Service::Pdp, "why"), true),
            (error(Failure::NotSent(NotSent::NoConnection)), true),
            (error(Failure::NotSent(NotSent::NoToken { reason: "why".into() })), true),
            (CallError::malformed(Service::Pdp, "why"), true),
            (envelope(500), true),
            (status(503), true),
            (envelope(401), true),
            (envelope(403), true),
            (envelope(408), true),
            (envelope(429), true),
            (status(404), true),
            (envelope(400), false),
            (envelope(404), false),
            (envelope(422), false),
        ] {
            assert_eq!(hold.holds(&error), held, "{error:?}");
            assert!(!deny.holds(&error), "{error:?}");
        }
    }

    #[test]
    fn health_reports_an_outage_until_an_answer_or_for_a_minute() {
        let (outage, log) = (Outage::new(PdpOutage::Hold), Logger::root(Discard, o!()));
        let error = CallError::no_response(Service::Pdp, "why");
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let status = |seconds| outage.check(at(seconds)).map(|check| check.status);
        assert_eq!(status(0), Some(HealthStatus::Ok));
        outage.failed(&error, at(0), &log);
        assert_eq!([status(59), status(60)], [Some(HealthStatus::Degraded), Some(HealthStatus::Ok)]);
        outage.failed(&error, at(60), &log);
        assert_eq!(status(61), Some(HealthStatus::Degraded));
        outage.answered(at(62), &log);
        assert_eq!(status(62), Some(HealthStatus::Ok));
        let deny = Outage::new(PdpOutage::Deny);
        assert_eq!(deny.check(at(0)), None, "no node waits for the PDP");
    }
}
