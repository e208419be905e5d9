//! Commands that callers ask for: as `committer` runs them, and what comes between the
//! commit and the answer.
//!
//! ```text
//!   commit is durable ──▶ calls of nodes that have begun in it ──▶ the JARVIS stores accept it ──▶ answer
//! ```

use super::{
    attempts::Begun,
    committer::{Committer, Undecided},
    error::CoordinatorError,
};
use crate::{
    engine::{Cause, Cx, Decision},
    journal::OutboxId,
    types::RunId,
};

impl Committer {
    /// Runs a caller's command like [`Self::command`], and gives the JARVIS stores
    /// their time to accept what was decided.
    pub(super) async fn request<'s, T, F>(
        &'s self,
        cause: Cause<'s>,
        run: &RunId,
        decide: impl Fn(Cx<'s>) -> F + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<T>, CoordinatorError>> + Send,
    {
        let committed = Box::pin(self.decide_and_commit(cause, run, decide)).await;
        let (answer, owed) = committed.map_err(Undecided::error)?;
        self.stores_accept(run, owed).await;
        Ok(answer)
    }

    /// Runs a caller's command like [`Self::request`]. It creates nodes, of which some
    /// begin in its commit: their executors are called once that is durable.
    pub(super) async fn request_beginning<'s, T, F>(
        &'s self,
        cause: Cause<'s>,
        run: &RunId,
        decide: impl Fn(Cx<'s>) -> F + Send,
    ) -> Result<T, CoordinatorError>
    where
        T: Send,
        F: Future<Output = Result<Decision<(T, Vec<Begun>)>, CoordinatorError>> + Send,
    {
        let no_pause_meanwhile = self.pauses.begins().await;
        let committed = Box::pin(self.decide_and_commit(cause, run, decide)).await;
        drop(no_pause_meanwhile);
        let (answer, owed) = match committed {
            Ok(((answer, begun), owed)) => {
                begun.into_iter().for_each(Begun::call);
                (answer, owed)
            }
            Err(Undecided { error, answer }) => {
                answer.into_iter().flat_map(|(_, begun)| begun).for_each(Begun::settle);
                return Err(error);
            }
        };
        self.stores_accept(run, owed).await;
        Ok(answer)
    }

    /// Gives the JARVIS stores their time to accept what was decided.
    async fn stores_accept(&self, run: &RunId, owed: Option<OutboxId>) {
        if let (Some(outbox), Some(owed)) = (&self.outbox, owed) {
            outbox.accepted(run, owed).await;
        }
    }
}
