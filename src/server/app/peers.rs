//! Wiring: the clients of the services around us, as far as they are configured.

use std::{sync::Arc, time::Duration};

use slog::{Logger, o};

use super::StartError;
use crate::{
    clients::{self, CallObserver, CallTimeout, Peer, Service, TokenSource, TokenSourceOptions},
    config::{self, ExecutorUrls, HttpUrl, MemberUrl, Mode, SchemaMode, Settings, settings::OutboundAuth},
    coordinator::{Offload, Schemas},
    dispatch::{Executors, Member, Names, Pool, PoolOptions},
    metrics::Metrics,
    redact::Redactor,
    resilience::ServiceWatch,
    runtime::tasks::TaskSet,
    services::{
        self,
        executors::{AtomicExecutor, CompositeExecutor},
        node_registry::{NodeTypes, RegistryOptions},
        policy::{self, Policy},
        schemas::Judge,
    },
    time::Clock,
    types::Uri,
};

impl CallObserver for Metrics {
    fn answered(&self, service: Service, status: Option<u16>, time: Duration) {
        self.call_answered(service.name(), status, time);
    }
}

/// Makes a client for each service that is configured.
pub(super) struct Peers {
    http: reqwest::Client,
    tokens: Option<Arc<TokenSource>>,
    /// Larger answers of services are refused.
    max_answer_bytes: usize,
    /// For what services say about failures.
    redactor: Redactor,
    observer: Arc<dyn CallObserver>,
    watches: Watches,
    clock: Arc<dyn Clock>,
    log: Logger,
}

/// Watches the services whose health is reported; `None`: not configured.
#[derive(Clone)]
pub(super) struct Watches {
    pub(super) pdp: Option<Arc<ServiceWatch>>,
    pub(super) node_registry: Option<Arc<ServiceWatch>>,
    pub(super) token_service: Option<Arc<ServiceWatch>>,
}

impl Watches {
    /// Those that are configured, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &Arc<ServiceWatch>)> {
        let Self { pdp, node_registry, token_service } = self;
        let named = [("pdp", pdp), ("node_registry", node_registry), ("token_service", token_service)];
        named.into_iter().filter_map(|(name, watch)| Some((name, watch.as_ref()?)))
    }

    fn of(settings: &Settings, log: &Logger) -> Self {
        let watch = |service: &'static str, url: Option<&HttpUrl>| {
            url.map(|url| Arc::new(ServiceWatch::new(service, url.address(), 1, log.clone())))
        };
        Self {
            pdp: watch(Service::Pdp.name(), settings.pdp.as_ref().map(|pdp| &pdp.url)),
            node_registry: watch(
                Service::NodeRegistry.name(),
                settings.node_registry.as_ref().map(|registry| &registry.url),
            ),
            token_service: watch(
                "token_service",
                settings.outbound.as_ref().map(|outbound| &outbound.token_endpoint),
            ),
        }
    }
}

/// How tokens are asked for.
pub(super) fn token_source_options(
    outbound: &OutboundAuth,
    watch: Arc<ServiceWatch>,
    asked: Arc<dyn Fn(bool) + Send + Sync>,
) -> TokenSourceOptions {
    let secret = outbound.client_secret.clone();
    let read = move || match secret.read() {
        Ok(secret) => Ok(secret.expose().to_owned()),
        Err(error) => Err(error.to_string()),
    };
    TokenSourceOptions {
        endpoint: outbound.token_endpoint.as_str().to_owned(),
        client_id: outbound.client_id.clone(),
        client_secret: Arc::new(read),
        scope: outbound.scope.clone(),
        audience_field: outbound.audience_field.as_str(),
        timeout: outbound.timeout,
        watch,
        asked,
    }
}

impl Peers {
    pub(super) fn new(
        settings: &Settings,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: &TaskSet,
        (metrics, log): (&Metrics, &Logger),
    ) -> Self {
        let log = log.new(o!("component" => "clients"));
        let watches = Watches::of(settings, &log);
        let tokens =
            settings.outbound.as_ref().zip(watches.token_service.clone()).map(|(outbound, watch)| {
                let metrics = metrics.clone();
                let asked = move |is_ok| metrics.token_asked(if is_ok { "ok" } else { "failed" });
                let options = token_source_options(outbound, watch, Arc::new(asked));
                TokenSource::new(options, http.clone(), Arc::clone(&clock), tasks.clone(), log.clone())
            });
        let max_answer_bytes = settings.limits.answer_bytes;
        let observer = Arc::new(metrics.clone());
        Self {
            http,
            tokens,
            max_answer_bytes,
            redactor: Redactor::new(&settings.redact),
            observer,
            watches,
            clock,
            log,
        }
    }

    pub(super) fn watches(&self) -> &Watches {
        &self.watches
    }

    fn peer(&self, service: Service, audience: &str) -> Peer {
        let peer = match &self.tokens {
            Some(tokens) => Peer::with_audience(service, tokens, audience),
            None => Peer::anonymous(service),
        };
        self.limited(peer)
    }

    fn limited(&self, peer: Peer) -> Peer {
        let peer = peer.answers_within(self.max_answer_bytes).redacted_by(&self.redactor);
        peer.observed_by(Arc::clone(&self.observer))
    }

    pub(super) fn stores(&self, stores: &config::Stores, limit: Duration) -> services::Stores {
        let timeout = CallTimeout { clock: Arc::clone(&self.clock), limit };
        let runs = clients::run_store::Client::new_with_client(
            stores.run_store.url.as_str(),
            self.http.clone(),
            self.peer(Service::RunStore, &stores.run_store.audience),
        );
        let events = clients::event_stream::Client::new_with_client(
            stores.event_stream.url.as_str(),
            self.http.clone(),
            self.peer(Service::EventStream, &stores.event_stream.audience),
        );
        let artifacts = clients::artifact_store::Client::new_with_client(
            stores.artifact_store.url.as_str(),
            self.http.clone(),
            self.peer(Service::ArtifactStore, &stores.artifact_store.audience),
        );
        services::Stores {
            runs: services::RunStore::new(runs, timeout.clone()),
            events: services::EventStream::new(events, timeout.clone()),
            artifacts: services::ArtifactStore::new(artifacts, timeout),
        }
    }

    pub(super) fn policy(&self, settings: &Settings) -> Policy {
        match (settings.pdp.as_ref().zip(self.watches.pdp.clone()), settings.policy) {
            (Some((pdp, watch)), _) => Policy::Pdp {
                pdp: Arc::new(clients::pdp::Client::new_with_client(
                    pdp.url.as_str(),
                    self.http.clone(),
                    self.peer(Service::Pdp, &pdp.audience),
                )),
                timeout: settings.calls.call_timeout,
                outage: policy::Outage::new(settings.pdp_outage, watch),
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
        let configured = settings.node_registry.as_ref().zip(self.watches.node_registry.clone());
        let Some((registry, watch)) = configured else { return NodeTypes::by_prefix() };
        // The registry expects no token where inbound authentication is off
        // (contract §20).
        let peer = match settings.inbound.mode {
            Mode::Disabled => self.limited(Peer::anonymous(Service::NodeRegistry)),
            Mode::Required | Mode::Optional => self.peer(Service::NodeRegistry, &registry.audience),
        };
        let options = RegistryOptions {
            registry: Arc::new(clients::node_registry::Client::new_with_client(
                registry.url.as_str(),
                self.http.clone(),
                peer,
            )),
            timeout: settings.calls.call_timeout,
            outage: settings.registry_outage,
            watch,
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
        let max_in_flight = settings.calls.max_in_flight;
        let (clock, log) = (&self.clock, &self.log);
        let options =
            |names| PoolOptions { names, max_in_flight, clock: Arc::clone(clock), log: log.clone() };
        let atomic = settings.atomic_executor.as_ref().map(|executors| {
            let (names, members) = self.members(executors, Pool::<dyn AtomicExecutor>::SINGLE, |url| {
                let peer = self.peer(Service::AtomicExecutor, &executors.audience);
                let client = clients::atomic_executor::Client::new_with_client;
                Arc::new(client(url, self.http.clone(), peer)) as Arc<dyn AtomicExecutor>
            })?;
            Ok::<_, StartError>(Pool::atomic(members, options(names)))
        });
        let composite = settings.composite_executor.as_ref().map(|executors| {
            let (names, members) = self.members(executors, Pool::<dyn CompositeExecutor>::SINGLE, |url| {
                let peer = self.peer(Service::CompositeExecutor, &executors.audience);
                let client = clients::composite_executor::Client::new_with_client;
                Arc::new(client(url, self.http.clone(), peer)) as Arc<dyn CompositeExecutor>
            })?;
            Ok::<_, StartError>(Pool::composite(members, options(names)))
        });
        let (atomic, composite) = (atomic.transpose()?, composite.transpose()?);
        // With its credentials: executors call back with it, and no record has it.
        let coordinator_url = settings.public_url.as_ref().map(|url| {
            let text = url.as_str().to_owned();
            Uri::try_from(text).map_err(|error| StartError::Setup(format!("{url:?}: {error}")))
        });
        let coordinator_url = coordinator_url.transpose()?;
        Ok(Executors { atomic, composite, coordinator_url, call_timeout: settings.calls.call_timeout })
    }

    /// The members of a pool. NodeRuns show the audience of tokens for the members of
    /// a list; those of a single executor have never shown it.
    fn members<E: ?Sized>(
        &self,
        executors: &config::Executors,
        single: &str,
        client: impl Fn(&str) -> Arc<E>,
    ) -> Result<(Names, Vec<Member<E>>), StartError> {
        let audience = self.tokens.as_ref().map(|_| executors.audience.clone());
        let member = |id: &str, url: &HttpUrl, audience| {
            let text = url.without_credentials();
            let endpoint = Uri::try_from(text.clone());
            let endpoint = endpoint.map_err(|error| StartError::Setup(format!("{text}: {error}")))?;
            Ok::<_, StartError>(Member {
                role: client(url.as_str()),
                instance_id: id.to_owned(),
                endpoint,
                audience,
            })
        };
        let of_list = |members: &[MemberUrl]| {
            members
                .iter()
                .map(|MemberUrl { id, url }| member(id, url, audience.clone()))
                .collect::<Result<Vec<_>, _>>()
        };
        match &executors.urls {
            ExecutorUrls::Single(url) => Ok((Names::Single, vec![member(single, url, None)?])),
            ExecutorUrls::Addresses(members) => Ok((Names::Addresses, of_list(members)?)),
            ExecutorUrls::Named(members) => Ok((Names::Given, of_list(members)?)),
        }
    }
}
