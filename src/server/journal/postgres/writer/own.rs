//! Work that has a transaction of its own.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::oneshot;

use super::ended;
use crate::journal::{
    JournalError,
    postgres::{batch::Failure, link::Live},
};

/// One transaction that is not a change of a run.
pub(super) trait Own: Send {
    /// Called again if the transaction has to be repeated.
    fn apply(&mut self, live: Arc<Live>) -> BoxFuture<'_, Result<(), Failure>>;

    /// Answers the caller: with the failure of the transaction, else with its outcome.
    fn answer(self: Box<Self>, failed: Option<JournalError>);
}

pub(super) struct OwnWork<T, W> {
    pub(super) work: W,
    pub(super) outcome: Option<T>,
    pub(super) reply: oneshot::Sender<Result<T, JournalError>>,
}

impl<T, W, F> Own for OwnWork<T, W>
where
    T: Send,
    W: FnMut(Arc<Live>) -> F + Send,
    F: Future<Output = Result<T, Failure>> + Send,
{
    fn apply(&mut self, live: Arc<Live>) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            self.outcome = Some((self.work)(live).await?);
            Ok(())
        }
        .boxed()
    }

    fn answer(self: Box<Self>, failed: Option<JournalError>) {
        let outcome = match (failed, self.outcome) {
            (Some(failure), _) => Err(failure),
            (None, Some(outcome)) => Ok(outcome),
            (None, None) => Err(ended()),
        };
        // The caller may have stopped waiting: the work is done nevertheless.
        let _gone = self.reply.send(outcome);
    }
}
