//! The two listeners: the API, and the operator API if it has an address.
//!
//! ```text
//!            ┌─▶ api       JARVIS_RUN_COORDINATOR's --host and --port
//!   context ─┤
//!            └─▶ operator  …_OPERATOR_LISTEN: own connections and places, so that
//!                          an overloaded API can be looked after
//! ```
//!
//! They share callers, certificates and the limits of a request. If the second
//! cannot listen, the first is closed: a start that fails leaves nothing behind.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use slog::Logger;
use tokio_util::sync::CancellationToken;

use super::{StartError, certificates::Certificates};
use crate::{
    api,
    auth::Authenticator,
    config::{Settings, settings::Listen, variables as v},
    coordinator::Coordinator,
    health::HealthReport,
    http_server::{self, BodyBounds, Front, FrontLimits, Hosts, Http, ListenConfig, Running, ServerContext},
    metrics::Metrics,
    operator,
    runtime::tasks::TaskSet,
    traces::Traces,
    types::HealthCheck,
};

/// What the operator API has for itself. People and a few machines use it.
const OPERATOR_CONNECTIONS: usize = 256;
const OPERATOR_REQUESTS: usize = 64;
const OPERATOR_STREAMS: usize = 32;

/// What is in use of each listener.
pub(super) struct Fronts {
    api: Front,
    operator: Option<Front>,
}

/// What the endpoints of both have.
pub(super) struct Shared {
    pub(super) coordinator: Arc<Coordinator>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) health: Arc<HealthReport>,
    pub(super) stopping: CancellationToken,
}

/// The servers that listen.
pub(super) struct Listeners {
    api: Http,
    operator: Option<Http>,
}

impl Fronts {
    pub(super) fn new(
        settings: &Settings,
        stopping: &CancellationToken,
        (metrics, traces): (&Metrics, &Traces),
        log: &Logger,
    ) -> Self {
        let api = limits(settings);
        let operator = settings.operator.is_some().then(|| FrontLimits {
            requests: api.requests.min(OPERATOR_REQUESTS),
            streams: api.streams.min(OPERATOR_STREAMS),
            connections: api.connections.min(OPERATOR_CONNECTIONS),
            // They are counted with the first listener.
            calls: 0,
            ..api
        });
        let others = operator.map_or(0, |operator| operator.connections);
        let api = FrontLimits { calls: api.calls.saturating_add(others), ..api };
        Self {
            api: Front::new(api, stopping, metrics.clone(), log).traced(traces),
            operator: operator
                .map(|limits| Front::new(limits, stopping, metrics.clone(), log).traced(traces)),
        }
    }

    /// The checks of what was refused: the report merges them.
    pub(super) fn checks(&self) -> Vec<Box<dyn Fn() -> HealthCheck + Send + Sync>> {
        let check = |front: &Front| Box::new(front.check()) as Box<dyn Fn() -> HealthCheck + Send + Sync>;
        std::iter::once(&self.api).chain(&self.operator).map(check).collect()
    }
}

impl Listeners {
    /// Listens on both addresses, or on none.
    pub(super) async fn listen(
        settings: &Settings,
        certificates: &Certificates,
        (fronts, shared): (Fronts, Shared),
        tasks: &TaskSet,
        log: &Logger,
    ) -> Result<Self, StartError> {
        let Shared { coordinator, authenticator, health, stopping } = shared;
        let in_effect: Arc<[_]> = settings.in_effect.as_slice().into();
        let start = async |listen: &Listen, what: Purpose, endpoints, front, hosts| {
            let context = ServerContext {
                coordinator: Arc::clone(&coordinator),
                authenticator: Arc::clone(&authenticator),
                health: Arc::clone(&health),
                in_effect: Arc::clone(&in_effect),
                stopping: stopping.clone(),
                front,
                hosts,
            };
            let config = ListenConfig {
                bind_address: address_of(listen).await.map_err(|reason| what.cannot(listen, reason))?,
                body_limit_bytes: settings.limits.body_bytes,
                tls: certificates.server_config(),
            };
            let log = log.new(slog::o!("component" => what.component()));
            let served = http_server::serve(&config, endpoints, context, tasks, &log);
            served.map_err(|error| what.cannot(listen, root_cause(&error)))
        };
        let api = start(&settings.listen, Purpose::Api, api::endpoints(), fronts.api, Hosts::Any).await?;
        let operator = match settings.operator.as_ref().zip(fronts.operator) {
            None => None,
            Some((operator, front)) => {
                let hosts = Hosts::only(&operator.listen.host, &operator.hosts);
                match start(&operator.listen, Purpose::Operator, operator::endpoints(), front, hosts).await {
                    Ok(http) => Some(http),
                    Err(error) => {
                        let _cut_off = api.close(Duration::ZERO).await;
                        return Err(error);
                    }
                }
            }
        };
        Ok(Self { api, operator })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.api.local_addr()
    }

    pub(super) fn operator_address(&self) -> Option<SocketAddr> {
        self.operator.as_ref().map(Http::local_addr)
    }

    /// The servers, for replacing their certificates.
    pub(super) fn running(&self) -> Vec<Running> {
        std::iter::once(&self.api).chain(&self.operator).map(Http::running).collect()
    }

    /// Lets requests finish within `limit`, of both at once.
    pub(super) async fn close(self, limit: Duration) -> Result<(), String> {
        let Self { api, operator } = self;
        let operator = async {
            match operator {
                Some(operator) => operator.close(limit).await,
                None => Ok(()),
            }
        };
        let (api, operator) = tokio::join!(api.close(limit), operator);
        api.and(operator)
    }
}

/// What a listener is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Api,
    Operator,
}

impl Purpose {
    fn component(self) -> &'static str {
        match self {
            Self::Api => "http",
            Self::Operator => "operator",
        }
    }

    /// What sets its address.
    pub(super) fn set_by(self) -> &'static str {
        match self {
            Self::Api => "--host and --port",
            Self::Operator => v::OPERATOR_LISTEN.name,
        }
    }

    fn cannot(self, listen: &Listen, reason: String) -> StartError {
        let Listen { host, port } = listen;
        let address = match self {
            Self::Api => format!("{host}:{port}"),
            Self::Operator => format!("{host}:{port} (operator API)"),
        };
        StartError::Listen { address, reason, set_by: self.set_by() }
    }
}

pub(super) async fn address_of(listen: &Listen) -> Result<SocketAddr, String> {
    let host = listen.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&listen.host);
    let mut found = tokio::net::lookup_host((host, listen.port)).await.map_err(|error| error.to_string())?;
    found.next().ok_or_else(|| "the name has no address".into())
}

fn limits(settings: &Settings) -> FrontLimits {
    let limits = &settings.limits;
    FrontLimits {
        requests: limits.requests,
        streams: limits.streams,
        per_principal: limits.per_principal,
        connections: limits.connections,
        // To each executor, and half as many again to all other services.
        calls: settings.calls.max_in_flight.saturating_mul(5) / 2,
        body: BodyBounds {
            values: limits.body_values,
            string_bytes: limits.string_bytes,
            items: limits.array_items,
        },
        body_timeout: limits.body_timeout,
        idle_timeout: limits.idle_timeout,
        answer_timeout: limits.answer_timeout,
        max_wait: limits.max_wait,
    }
}

/// The innermost cause of an error.
fn root_cause(mut error: &dyn std::error::Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
