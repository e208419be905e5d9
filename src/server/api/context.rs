//! The context of endpoints and the door.

use std::sync::Arc;

use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use super::{door::Admitter, front::Front};
use crate::{
    auth::{Admission, AuthError, Authenticator, Principal},
    coordinator::Coordinator,
    health::HealthReport,
};

/// The context of every endpoint.
pub struct ServerContext {
    pub coordinator: Arc<Coordinator>,
    pub authenticator: Arc<Authenticator>,
    pub health: HealthReport,
    /// Cancelled when the server begins to stop. Streams that wait for more
    /// events end then, because closing waits for them.
    pub stopping: CancellationToken,
    pub front: Front,
}

impl Admitter for ServerContext {
    async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Admission, AuthError> {
        self.authenticator.authenticate(path, headers).await
    }

    async fn rate_limited(&self, operation: &str, caller: &Principal) {
        self.coordinator.audit_trail().rate_limited(caller, operation).await;
    }

    fn front(&self) -> &Front {
        &self.front
    }

    async fn exempt_caller(&self, headers: &HeaderMap) -> Principal {
        self.authenticator.caller_of_exempt_path(headers).await
    }
}
