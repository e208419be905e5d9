//! What a pump makes of a call that the store accepted or refused, and of an entry that
//! the journal cannot read: how long to wait, and what is logged.

use std::{sync::atomic::Ordering, time::Duration};

use slog::{error, warn};

use super::{
    backoff,
    call_error::{is_about_content, reason},
    destination::PumpParts,
};
use crate::{clients::CallError, journal::JournalError, time::Timestamp, types::RunId};

/// Failed tries after which an entry counts as set aside, which is logged once:
/// it is then tried every [`SLOW`].
const SET_ASIDE_AFTER: u32 = 8;

/// The longest backoff of an entry that a store rejects or the journal cannot
/// read.
const SLOW: Duration = Duration::from_secs(300);

/// The reason that is reported for a damaged entry; the details are in the log.
const UNREADABLE: &str = "it cannot be read from the journal";

/// How a failed call is treated.
pub(super) struct Refusal {
    /// What the store said.
    pub(super) reason: String,
    /// The store is well and rejects the content: others need not wait.
    pub(super) is_about_content: bool,
    /// The store accepted everything before.
    pub(super) is_first: bool,
    /// The longest backoff of the entries.
    pub(super) cap: Duration,
}

impl PumpParts {
    /// Records that the store accepted a call.
    pub(super) fn accepted(&self, now: Timestamp) {
        self.store.accepted.fetch_add(1, Ordering::Relaxed);
        self.store.backoff.accepted();
        self.watch.answered(now);
    }

    /// Records that the store refused a call.
    pub(super) fn refused(&self, error: &CallError, now: Timestamp) -> Refusal {
        self.store.refused.fetch_add(1, Ordering::Relaxed);
        let is_about_content = is_about_content(error);
        let (is_first, cap) = if is_about_content {
            self.watch.answered(now);
            (false, SLOW)
        } else {
            self.watch.failed(error, now);
            (self.store.backoff.failed(error, now), backoff::CAP)
        };
        Refusal { reason: reason(error), is_about_content, is_first, cap }
    }

    /// Logs a refused entry: at first, and when it is set aside.
    pub(super) fn log_refused(&self, run: &RunId, entry: &str, tries: u32, refusal: &Refusal) {
        let error = &refusal.reason;
        if refusal.is_first || tries == 0 {
            warn!(self.log, "store did not accept an entry, will retry";
                "run_id" => %run, "entry" => entry, "error" => error);
        } else if refusal.is_about_content && tries == SET_ASIDE_AFTER {
            error!(self.log, "store rejects an entry, retrying every few minutes";
                "run_id" => %run, "entry" => entry, "error" => error);
        }
    }

    /// Records that an entry cannot be read from the journal. Returns the longest
    /// backoff of it.
    pub(super) fn unreadable(
        &self,
        run: &RunId,
        entry: &str,
        tries: u32,
        failure: &JournalError,
    ) -> Duration {
        if matches!(tries, 0 | SET_ASIDE_AFTER) {
            error!(self.log, "could not read an outbox entry, will retry";
                "run_id" => %run, "entry" => entry, "tries" => tries, "error" => %failure);
        }
        self.store.backlog.refuse(run, UNREADABLE);
        match failure {
            // Only an operator can repair it.
            JournalError::Damaged(_) | JournalError::TooBig(_) => SLOW,
            JournalError::Conflict
            | JournalError::Fenced
            | JournalError::Full(_)
            | JournalError::Reserved
            | JournalError::Failed(_) => backoff::CAP,
        }
    }
}
