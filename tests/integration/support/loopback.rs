//! HTTP servers on loopback for the services around the coordinator.

use std::sync::Arc;

use dropshot::{ApiDescription, ConfigDropshot, ConfigTls, HttpServer, ServerBuilder};
use slog::{Discard, Logger, o};

/// Starts a server on a free port of loopback; returns it and its URL.
pub fn serve<S: Send + Sync + 'static>(
    api: ApiDescription<Arc<S>>,
    state: &Arc<S>,
) -> (HttpServer<Arc<S>>, String) {
    serve_with_tls(api, state, None)
}

/// [`serve`], over HTTPS if there is a configuration.
pub fn serve_with_tls<S: Send + Sync + 'static>(
    api: ApiDescription<Arc<S>>,
    state: &Arc<S>,
    tls: Option<rustls::ServerConfig>,
) -> (HttpServer<Arc<S>>, String) {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let config = ConfigDropshot {
        bind_address: "127.0.0.1:0".parse().expect("an address"),
        default_request_body_max_bytes: 64 << 20,
        ..ConfigDropshot::default()
    };
    let server = ServerBuilder::new(api, Arc::clone(state), Logger::root(Discard, o!()))
        .config(config)
        .tls(tls.map(ConfigTls::Dynamic))
        .start()
        .expect("the service listens");
    let url = format!("{scheme}://{}", server.local_addr());
    (server, url)
}
