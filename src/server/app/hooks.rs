//! Wiring of the webhooks.

use std::sync::Arc;

use slog::Logger;

use super::{
    StartError,
    certificates::{Certificates, webhook_seal},
};
use crate::{
    config::Settings,
    health::DispatchStatus,
    journal::{Duties, Journal},
    metrics::Metrics,
    record::ExecutorName,
    redact::Redactor,
    runtime::tasks::TaskSet,
    time::{Clock, MachineClock},
    webhooks::{ExecutorStates, Parts, SenderOptions, Source, Webhooks},
};

/// What webhooks are made of.
pub(super) struct Hooks<'s> {
    pub(super) settings: &'s Settings,
    pub(super) certificates: &'s Certificates,
    pub(super) journal: &'s Arc<dyn Journal>,
    pub(super) clock: &'s Arc<dyn Clock>,
    pub(super) duties: &'s Arc<Duties>,
    pub(super) wall: Arc<dyn MachineClock>,
    pub(super) dispatch: &'s Arc<DispatchStatus>,
    pub(super) metrics: &'s Metrics,
    pub(super) tasks: &'s TaskSet,
}

impl Hooks<'_> {
    /// Starts them, unless they are off.
    pub(super) fn begin(self, log: Logger) -> Result<Option<Arc<Webhooks>>, StartError> {
        let Self { settings, certificates, journal, clock, duties, wall, dispatch, metrics, tasks } = self;
        let Some(webhooks) = &settings.webhooks else { return Ok(None) };
        let public_url = settings.public_url.as_ref().map(|url| url.without_credentials());
        let sender = SenderOptions {
            targets: webhooks.targets.clone(),
            connect_timeout: settings.calls.connect_timeout,
            tls: certificates.nameless()?,
            redactor: Redactor::new(&settings.redact),
            wall,
        };
        let begun = Webhooks::begin(Parts {
            journal: Arc::clone(journal),
            clock: Arc::clone(clock),
            duties: Arc::clone(duties),
            sender,
            source: Source { public_url },
            seal: webhook_seal(settings)?,
            executors: states(Arc::clone(dispatch)),
            metrics: metrics.clone(),
            tasks: tasks.clone(),
            log,
        });
        begun.map(Some).map_err(StartError::Setup)
    }
}

/// Whether each executor is down: its circuit breaker is not closed.
fn states(dispatch: Arc<DispatchStatus>) -> ExecutorStates {
    Box::new(move || {
        let of = |executor: &'static str| {
            move |member: crate::health::MemberReport| {
                let name = ExecutorName { executor: executor.to_owned(), member: member.name };
                (name, member.breaker != "closed")
            }
        };
        let members = dispatch.members().into_iter();
        members.flat_map(|(executor, members)| members.into_iter().map(of(executor))).collect()
    })
}
