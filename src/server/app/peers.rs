//! Wiring: the clients of the services around us, as far as they are configured.

use std::{sync::Arc, time::Duration};

use slog::{Logger, o};

use super::StartError;
use crate::{
    clients::{self, CallTimeout, Peer, Service, TokenSource, TokenSourceOptions},
    config::{self, Endpoint, HttpUrl, Mode, SchemaMode, Settings},
    coordinator::{Offload, Schemas},
    dispatch::{Executor, Executors},
    redact::Redactor,
    runtime::tasks::TaskSet,
    services::{
        self,
        node_registry::{NodeTypes, RegistryOptions},
        policy::{self, Policy},
        schemas::Judge,
    },
    time::Clock,
    types::Uri,
};

/// Makes a client for each service that is configured.
pub(super) struct Peers {
    http: reqwest::Client,
    tokens: Option<Arc<TokenSource>>,
    /// Larger answers of services are refused.
    max_answer_bytes: usize,
    /// For what services say about failures.
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    log: Logger,
}

impl Peers {
    pub(super) fn new(
        settings: &Settings,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: &TaskSet,
        log: &Logger,
    ) -> Self {
        let log = log.new(o!("component" => "clients"));
        let tokens = settings.outbound.as_ref().map(|outbound| {
            let secret = outbound.client_secret.clone();
            let read = move || match secret.read() {
                Ok(secret) => Ok(secret.expose().to_owned()),
                Err(error) => Err(error.to_string()),
            };
            let options = TokenSourceOptions {
                endpoint: outbound.token_endpoint.as_str().to_owned(),
                client_id: outbound.client_id.clone(),
                client_secret: Arc::new(read),
                scope: outbound.scope.clone(),
                audience_field: outbound.audience_field.as_str(),
                timeout: outbound.timeout,
            };
            TokenSource::new(options, http.clone(), Arc::clone(&clock), tasks.clone(), log.clone())
        });
        let max_answer_bytes = settings.limits.answer_bytes;
        Self { http, tokens, max_answer_bytes, redactor: Redactor::new(&settings.redact), clock, log }
    }

    fn peer(&self, service: Service, endpoint: &Endpoint) -> Peer {
        let peer = match &self.tokens {
            Some(tokens) => Peer::with_audience(service, tokens, &endpoint.audience),
            None => Peer::anonymous(service),
        };
        self.limited(peer)
    }

    fn limited(&self, peer: Peer) -> Peer {
        peer.answers_within(self.max_answer_bytes).redacted_by(&self.redactor)
    }

    pub(super) fn stores(&self, stores: &config::Stores, limit: Duration) -> services::Stores {
        let timeout = CallTimeout { clock: Arc::clone(&self.clock), limit };
        let runs = clients::run_store::Client::new_with_client(
            stores.run_store.url.as_str(),
            self.http.clone(),
            self.peer(Service::RunStore, &stores.run_store),
        );
        let events = clients::event_stream::Client::new_with_client(
            stores.event_stream.url.as_str(),
            self.http.clone(),
            self.peer(Service::EventStream, &stores.event_stream),
        );
        let artifacts = clients::artifact_store::Client::new_with_client(
            stores.artifact_store.url.as_str(),
            self.http.clone(),
            self.peer(Service::ArtifactStore, &stores.artifact_store),
        );
        services::Stores {
            runs: services::RunStore::new(runs, timeout.clone()),
            events: services::EventStream::new(events, timeout.clone()),
            artifacts: services::ArtifactStore::new(artifacts, timeout),
        }
    }

    pub(super) fn policy(&self, settings: &Settings) -> Policy {
        match (&settings.pdp, settings.policy) {
            (Some(pdp), _) => Policy::Pdp {
                pdp: Arc::new(clients::pdp::Client::new_with_client(
                    pdp.url.as_str(),
                    self.http.clone(),
                    self.peer(Service::Pdp, pdp),
                )),
                timeout: settings.calls.call_timeout,
                outage: policy::Outage::new(settings.pdp_outage),
                clock: Arc::clone(&self.clock),
                log: self.log.clone(),
            },
            (None, posture) => Policy::Local(posture),
        }
    }

    /// What judges values by the schemas of node types, if that is switched on.
    pub(super) fn schemas(&self, settings: &Settings) -> Option<Schemas> {
        match settings.schemas {
            SchemaMode::Off => None,
            mode @ (SchemaMode::Record | SchemaMode::Enforce) => {
                Some(Schemas { mode, judge: Arc::new(Judge::new(Arc::clone(&self.clock))) })
            }
        }
    }

    pub(super) fn node_types(&self, settings: &Settings, schemas: Option<&Schemas>) -> NodeTypes {
        let Some(registry) = &settings.node_registry else { return NodeTypes::by_prefix() };
        // The registry expects no token where inbound authentication is off
        // (contract §20).
        let peer = match settings.inbound.mode {
            Mode::Disabled => self.limited(Peer::anonymous(Service::NodeRegistry)),
            Mode::Required | Mode::Optional => self.peer(Service::NodeRegistry, registry),
        };
        let options = RegistryOptions {
            registry: Arc::new(clients::node_registry::Client::new_with_client(
                registry.url.as_str(),
                self.http.clone(),
                peer,
            )),
            timeout: settings.calls.call_timeout,
            outage: settings.registry_outage,
            judge: schemas.map(|schemas| Arc::clone(&schemas.judge)),
        };
        NodeTypes::from_registry(options, Arc::clone(&self.clock), self.log.clone())
    }

    /// Offloading of large outputs, if it is configured.
    pub(super) fn offload(&self, settings: &Settings) -> Option<Offload> {
        let (stores, limit) = (settings.stores.as_ref()?, settings.offload_outputs_bytes?);
        let artifacts = self.stores(stores, settings.calls.call_timeout).artifacts;
        Some(Offload::new(artifacts, limit, Arc::clone(&self.clock)))
    }

    pub(super) fn executors(&self, settings: &Settings) -> Result<Executors, StartError> {
        let uri = |url: &HttpUrl| {
            let text = url.without_credentials();
            Uri::try_from(text.clone()).map_err(|error| StartError::Setup(format!("{text}: {error}")))
        };
        let max_in_flight = settings.calls.max_in_flight;
        let atomic = match &settings.atomic_executor {
            None => None,
            Some(endpoint) => {
                let peer = self.peer(Service::AtomicExecutor, endpoint);
                let url = endpoint.url.as_str();
                let client = clients::atomic_executor::Client::new_with_client(url, self.http.clone(), peer);
                Some(Executor::atomic(client, uri(&endpoint.url)?, max_in_flight))
            }
        };
        let composite = match &settings.composite_executor {
            None => None,
            Some(endpoint) => {
                let peer = self.peer(Service::CompositeExecutor, endpoint);
                let url = endpoint.url.as_str();
                let client =
                    clients::composite_executor::Client::new_with_client(url, self.http.clone(), peer);
                Some(Executor::composite(client, uri(&endpoint.url)?, max_in_flight))
            }
        };
        // With its credentials: executors call back with it, and no record has it.
        let coordinator_url = settings.public_url.as_ref().map(|url| {
            let text = url.as_str().to_owned();
            Uri::try_from(text).map_err(|error| StartError::Setup(format!("{url:?}: {error}")))
        });
        let coordinator_url = coordinator_url.transpose()?;
        Ok(Executors { atomic, composite, coordinator_url, call_timeout: settings.calls.call_timeout })
    }
}
