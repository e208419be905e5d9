//! Wiring: the sources of the health report, in the order of their checks.

use std::sync::Arc;

use super::peers::Watches;
use crate::{
    auth::Authenticator,
    config::PdpOutage,
    coordinator::Coordinator,
    health::{
        DispatchStatus, HealthReport, Source, clock_check, service_check, signing_keys_check, tasks_check,
    },
    outbox::Outbox,
    runtime::tasks::Panics,
    time::{SteadyClock, Timestamp},
    types::HealthCheck,
    webhooks::Webhooks,
};

/// The parts of a server that report on themselves.
pub(super) struct Reporters {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) dispatch: Arc<DispatchStatus>,
    pub(super) panics: Panics,
    pub(super) watches: Watches,
    pub(super) pdp_outage: PdpOutage,
    pub(super) outbox: Option<Arc<Outbox>>,
    pub(super) webhooks: Option<Arc<Webhooks>>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) clock: Arc<SteadyClock>,
    pub(super) certificates: Vec<Source>,
    pub(super) admission: Vec<Box<dyn Fn() -> HealthCheck + Send + Sync>>,
}

impl Reporters {
    pub(super) fn report(self) -> HealthReport {
        let Self {
            coordinator,
            dispatch,
            panics,
            watches,
            pdp_outage,
            outbox,
            webhooks,
            authenticator,
            clock,
            certificates,
            admission,
        } = self;
        let report_clock = Arc::clone(&clock);
        let offload = Arc::clone(&coordinator);
        let counted = Arc::clone(&dispatch);
        let mut sources: Vec<Source> = vec![
            Box::new(move |now| vec![coordinator.journal_check(now)]),
            Box::new(move |now| dispatch.checks(now)),
            Box::new(move |now| vec![tasks_check(&panics, now)]),
            Box::new(move |now| service_checks(&watches, pdp_outage, now)),
        ];
        if let Some(outbox) = outbox {
            sources.push(Box::new(move |_| outbox.checks(counted.counts().as_ref())));
            sources.push(Box::new(move |_| offload.offload_check().into_iter().collect()));
        }
        if let Some(webhooks) = webhooks {
            sources.push(Box::new(move |now| vec![webhooks.check(now)]));
        }
        sources.push(Box::new(move |_| signing_keys_check(&authenticator.status()).into_iter().collect()));
        sources.extend(certificates);
        sources.push(Box::new(move |_| admission.iter().map(|check| check()).collect()));
        sources.push(Box::new(move |_| vec![clock_check(clock.ahead_seconds())]));
        HealthReport::new(report_clock, sources)
    }
}

fn service_checks(watches: &Watches, pdp_outage: PdpOutage, now: Timestamp) -> Vec<HealthCheck> {
    let Watches { pdp, node_registry, token_service } = watches;
    let no_decision = match pdp_outage {
        PdpOutage::Hold => "nodes are held, and no run starts",
        PdpOutage::Deny => "nodes and runs are denied",
    };
    vec![
        service_check("pdp", pdp.as_deref(), no_decision, now),
        service_check("node_registry", node_registry.as_deref(), "node types that are not known wait", now),
        service_check(
            "token_service",
            token_service.as_deref(),
            "services are called without new tokens",
            now,
        ),
    ]
}
