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

use std::sync::Arc;

use crate::{
    clients::{CallError, Failure},
    config::PdpOutage,
    resilience::ServiceWatch,
    time::Timestamp,
};

/// What follows from an outage of the PDP, and who notes it.
pub struct Outage {
    setting: PdpOutage,
    watch: Arc<ServiceWatch>,
}

impl Outage {
    pub fn new(setting: PdpOutage, watch: Arc<ServiceWatch>) -> Self {
        Self { setting, watch }
    }

    /// Whether the question that failed like this is held.
    pub(super) fn holds(&self, error: &CallError) -> bool {
        match self.setting {
            PdpOutage::Deny => false,
            PdpOutage::Hold => !is_refusal(error),
        }
    }

    /// Notes how a question failed. A PDP that refuses it has answered. Returns
    /// whether that is news, and not one more failure of an outage.
    pub(super) fn failed(&self, error: &CallError, now: Timestamp) -> bool {
        if is_refusal(error) {
            self.watch.answered(now);
            true
        } else {
            self.watch.failed(error, now) == 1
        }
    }

    pub(super) fn answered(&self, now: Timestamp) {
        self.watch.answered(now);
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
    use slog::{Discard, Logger, o};

    use super::*;
    use crate::{
        clients::{NotSent, Service},
        types::JsonObject,
    };

    fn outage(setting: PdpOutage) -> Outage {
        let watch = ServiceWatch::new("pdp", "pdp:8086", 1, Logger::root(Discard, o!()));
        Outage::new(setting, Arc::new(watch))
    }

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
        let (hold, deny) = (outage(PdpOutage::Hold), outage(PdpOutage::Deny));
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
    fn refusing_pdp_is_no_outage() {
        let now = Timestamp::from_micros(0);
        for setting in [PdpOutage::Hold, PdpOutage::Deny] {
            let outage = outage(setting);
            outage.failed(&CallError::no_response(Service::Pdp, "why"), now);
            assert!(outage.watch.outage(now).is_some());
            outage.failed(&envelope(400), now);
            assert_eq!(outage.watch.outage(now), None);
        }
    }
}
