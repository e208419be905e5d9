//! Names to addresses, of which only those are given away that may be connected to.
//!
//! It is asked at each connection: a name that is permitted today and leads into the
//! private network tomorrow leads nowhere.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::config::WebhookTargets;

pub(super) struct GuardedResolver(pub(super) Arc<WebhookTargets>);

/// No address of a name may be connected to. The addresses are not said: they would
/// tell a caller about the private network.
#[derive(Debug, thiserror::Error)]
#[error(
    "the host resolves to addresses that are not public and not in JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS"
)]
struct NotPermitted;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let targets = Arc::clone(&self.0);
        Box::pin(async move {
            // The port is the URL's.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted: Vec<_> = found.filter(|address| targets.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(NotPermitted.into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}
