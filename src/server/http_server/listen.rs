//! Listens, and serves an API until it is closed.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use dropshot::{ApiDescription, BuildError, ConfigDropshot, ConfigTls, HandlerTaskMode, ServerBuilder};
use slog::{Drain, LevelFilter, Logger, o, warn};

use super::{
    connections::Watch,
    context::ServerContext,
    door::behind_door,
    errors::ApiError,
    front::Front,
    limits, socket_options,
    tls::{Running, with_few_handshakes},
};
use crate::runtime::tasks::TaskSet;

/// The time limit for connections to end that are cut off.
const CUT_OFF: Duration = Duration::from_millis(250);

/// The address to listen on, and the limits of the HTTP server.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// Port 0 takes any free port.
    pub bind_address: SocketAddr,
    /// Larger request bodies are answered with 413.
    pub body_limit_bytes: usize,
    /// With it, the server speaks HTTPS, and nothing else.
    pub tls: Option<rustls::ServerConfig>,
}

/// A server that listens.
pub struct Http {
    running: Running,
    address: SocketAddr,
    front: Front,
}

impl Http {
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The server, for replacing its certificate.
    pub fn running(&self) -> Running {
        self.running.clone()
    }

    /// Lets requests finish within `limit`. Connections that are open then are
    /// cut off, which is an error.
    pub async fn close(self, limit: Duration) -> Result<(), String> {
        let Self { running, address: _, front } = self;
        let Some(server) = running.take().await else { return Ok(()) };
        let mut closing = pin!(server.close());
        let closed = tokio::time::timeout(limit, &mut closing).await;
        let closed = match closed {
            Ok(closed) => closed,
            Err(_) => {
                front.connections.cut_off().await;
                // Handlers continue: what they do is completed, or is in the
                // journal.
                let _ = tokio::time::timeout(CUT_OFF, &mut closing).await;
                Err(format!("requests were cut off after {} s", limit.as_secs_f64()))
            }
        };
        front.closed.cancel();
        closed
    }
}

/// Listens, and serves these endpoints until [`Http::close`].
pub fn serve(
    config: &ListenConfig,
    endpoints: ApiDescription<ServerContext>,
    context: ServerContext,
    tasks: &TaskSet,
    log: &Logger,
) -> Result<Http, BuildError> {
    let tls = config.tls.clone().map(ConfigTls::Dynamic);
    let config = dropshot_config(config);
    let front = context.front.clone();
    let server = ServerBuilder::new(behind_door(endpoints), context, without_requests(log))
        .config(config)
        .tls(tls)
        .start()?;
    let address = server.local_addr();
    let refusal = || ApiError::overloaded(limits::connections(front.connections.limit())).on_the_wire();
    // In the middle of a handshake it could not be read.
    let farewell = (!server.using_tls()).then(refusal);
    if let Err(error) = socket_options::set(address, front.answer_timeout) {
        warn!(log, "could not set the options of the listener: events may arrive late"; "error" => %error);
    }
    let watch = Watch {
        listening_at: address,
        stopping: front.body_timeout.stopping.clone(),
        closed: front.closed.clone(),
        limits: Arc::clone(&front.limits),
        farewell,
        log: log.clone(),
    };
    let (folds, closed) = (Arc::clone(&front.folds), front.closed.clone());
    tasks.spawn("refusals", async move { folds.run(closed).await });
    tasks.spawn("connections", Arc::clone(&front.connections).watch(watch));
    Ok(Http { running: Running::new(server), address, front })
}

pub(super) fn dropshot_config(config: &ListenConfig) -> ConfigDropshot {
    ConfigDropshot {
        bind_address: config.bind_address,
        default_request_body_max_bytes: config.body_limit_bytes,
        // A request is completed even if its caller disconnects.
        default_handler_task_mode: HandlerTaskMode::Detached,
        ..ConfigDropshot::default()
    }
}

/// Removes dropshot's messages about each connection and request, unless
/// debugging: they take longer than many an endpoint.
pub(super) fn without_requests(log: &Logger) -> Logger {
    if log.is_debug_enabled() {
        with_few_handshakes(log.clone())
    } else {
        let log = with_few_handshakes(log.clone());
        Logger::root(LevelFilter::new(log, slog::Level::Warning).ignore_res(), o!())
    }
}
