//! Holding and releasing runs (contract §25).
//!
//! ```text
//!   hold, release ─▶ authorize ─▶ engine: run, live nodes ─▶ commit: mark, wake-ups, audit record ─▶ answer
//!                                                              └─▶ set aside, or claimed and dispatched
//! ```
//!
//! **Invariant:** when a hold is answered, no node of the run begins an attempt until
//! it is released: each begin is decided under the lock of the run.

use std::time::Duration;

use slog::info;

use super::{
    Coordinator,
    approvals::check_reason,
    error::{CoordinatorError, FieldError},
};
use crate::{
    auth::Principal,
    engine::{self, Cause, HeldRun, HoldRun},
    record::{AuditObject, Operation},
    time::Timestamp,
    types::RunId,
};

/// The longest time after which a hold ends by itself.
const HOLD_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

impl Coordinator {
    /// Keeps a run from starting work, until it is released or `until`.
    pub async fn run_hold(
        &self,
        caller: &Principal,
        run: &RunId,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Result<HeldRun, CoordinatorError> {
        self.run_authorize(caller, Operation::HoldRun, run).await?;
        check_reason(reason)?;
        let committer = &*self.committer;
        check_until(until, committer.clock.now())?;
        let reason = committer.redactor.message(reason).into_owned();
        let command = &HoldRun { reason, until };
        let held = committer
            .request(Cause::asked(caller.actor(), Operation::HoldRun), run, |cx| async move {
                let record = committer.run_fetch(run).await?;
                let live = committer.journal.nodes_live(run, None).await?;
                Ok(engine::run_hold(record, live, command, cx)?)
            })
            .await;
        let held = self.audit_trail().judged(caller, Operation::HoldRun, AuditObject::run(run), held).await?;
        info!(committer.log, "run held"; "run_id" => %run,
            "until" => held.hold.as_ref().and_then(|hold| hold.until).map(|until| until.to_string()));
        Ok(held)
    }

    /// Lets a run start work again. One that is not held stays as it is.
    pub async fn run_release(
        &self,
        caller: &Principal,
        run: &RunId,
        reason: &str,
    ) -> Result<HeldRun, CoordinatorError> {
        self.run_authorize(caller, Operation::ReleaseRun, run).await?;
        check_reason(reason)?;
        let committer = &*self.committer;
        let reason = &*committer.redactor.message(reason).into_owned();
        let released = committer
            .request(Cause::asked(caller.actor(), Operation::ReleaseRun), run, |cx| async move {
                let record = committer.run_fetch(run).await?;
                let live = committer.journal.nodes_live(run, None).await?;
                Ok(engine::run_release(record, live, reason, cx)?)
            })
            .await;
        let object = AuditObject::run(run);
        let released = self.audit_trail().judged(caller, Operation::ReleaseRun, object, released).await?;
        info!(committer.log, "run released"; "run_id" => %run);
        Ok(released)
    }
}

fn check_until(until: Option<Timestamp>, now: Timestamp) -> Result<(), CoordinatorError> {
    let is_good = until.is_none_or(|until| now < until && until <= now + HOLD_MAX);
    if is_good {
        return Ok(());
    }
    let message = "a hold ends in the future, within 366 days".to_owned();
    let location = vec!["body".into(), "until".into()];
    Err(CoordinatorError::Invalid(vec![FieldError { kind: "value_error", location, message }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hold_ends_within_a_year() {
        let now = Timestamp::from_micros(1_000_000);
        let micro = |at: Timestamp, by: i64| Timestamp::from_micros(at.as_micros() + by);
        assert!(check_until(None, now).is_ok());
        assert!(check_until(Some(now), now).is_err());
        assert!(check_until(Some(micro(now, 1)), now).is_ok());
        assert!(check_until(Some(now + HOLD_MAX), now).is_ok());
        assert!(check_until(Some(micro(now + HOLD_MAX, 1)), now).is_err());
        assert!(check_until(Some(Timestamp::from_micros(i64::MAX)), now).is_err());
    }
}
