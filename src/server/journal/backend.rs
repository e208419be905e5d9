//! What a start needs of a journal that it has opened, whatever it is.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Figures, Journal, JournalError, OpenError, Owing, WithoutStores};
use crate::runtime::tasks::Fatal;

/// A journal on a database of its own.
#[async_trait]
pub trait Backend: Journal {
    /// For a server with JARVIS stores: the journal records that it owes them every
    /// change.
    async fn with_stores(&self) -> Result<(), JournalError>;

    /// For a server without JARVIS stores: what happens to entries that they are owed.
    async fn without_stores(&mut self, then: WithoutStores) -> Result<Owing, OpenError>;

    /// For a server whose webhooks are switched off: no notices are made, whatever
    /// subscriptions there are.
    fn without_webhooks(&self);

    /// Declared when what writes has ended unexpectedly: nothing can be written from then
    /// on, and the process has to be restarted.
    fn fatal(&self) -> &Fatal;

    /// What its writers have done so far.
    fn figures(&self) -> &Arc<Figures>;
}
