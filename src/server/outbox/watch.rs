//! Asks the stores from time to time whether they are there, so that health
//! knows before anybody needs them.

use std::{sync::Arc, time::Duration};

use super::pace::reason;
use crate::{clients::CallError, runtime::tasks::TaskSet, services::Stores, time::Clock};
use parking_lot::Mutex;

const EVERY: Duration = Duration::from_secs(10);

/// What is wrong with each store, if anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    pub(super) run_store: Option<String>,
    pub(super) event_stream: Option<String>,
    pub(super) artifact_store: Option<String>,
}

#[derive(Default)]
pub(super) struct Watch(Mutex<Found>);

impl Watch {
    pub(super) fn begin(stores: Stores, clock: Arc<dyn Clock>, tasks: &TaskSet) -> Arc<Self> {
        let watch = Arc::new(Self::default());
        let (watching, stopping) = (Arc::clone(&watch), tasks.stopping().clone());
        tasks.supervise("watch over the stores", Arc::clone(&clock), move || {
            let (watching, stores) = (Arc::clone(&watching), stores.clone());
            let (clock, stopping) = (Arc::clone(&clock), stopping.clone());
            async move {
                let work = async {
                    loop {
                        watching.look(&stores).await;
                        clock.sleep(EVERY).await;
                    }
                };
                stopping.run_until_cancelled(work).await;
            }
        });
        watch
    }

    pub(super) fn found(&self) -> Found {
        self.0.lock().clone()
    }

    async fn look(&self, stores: &Stores) {
        let (runs, events, artifacts) =
            tokio::join!(stores.runs.reach(), stores.events.reach(), stores.artifacts.reach());
        let trouble = |reached: Result<(), CallError>| reached.err().map(|error| reason(&error));
        *self.0.lock() = Found {
            run_store: trouble(runs),
            event_stream: trouble(events),
            artifact_store: trouble(artifacts),
        };
    }
}
