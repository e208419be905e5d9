//! Probes the stores periodically, so that health knows that one is unreachable
//! before it is needed.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Receivers, call_error::reason};
use crate::{clients::CallError, runtime::tasks::TaskSet, time::Clock};

const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The failure of each store's last probe, if it failed.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreachable {
    pub(super) run_store: Option<String>,
    pub(super) event_stream: Option<String>,
    pub(super) artifact_store: Option<String>,
}

#[derive(Default)]
pub(super) struct Probe(Mutex<Unreachable>);

impl Probe {
    pub(super) fn start(stores: Receivers, clock: Arc<dyn Clock>, tasks: &TaskSet) -> Arc<Self> {
        let probe = Arc::new(Self::default());
        let (probing, stopping) = (Arc::clone(&probe), tasks.stopping().clone());
        tasks.supervise("probe of the stores", Arc::clone(&clock), move || {
            let (probing, stores) = (Arc::clone(&probing), stores.clone());
            let (clock, stopping) = (Arc::clone(&clock), stopping.clone());
            async move {
                let work = async {
                    loop {
                        probing.run(&stores).await;
                        clock.sleep(PROBE_EVERY).await;
                    }
                };
                stopping.run_until_cancelled(work).await;
            }
        });
        probe
    }

    pub(super) fn unreachable(&self) -> Unreachable {
        self.0.lock().clone()
    }

    async fn run(&self, stores: &Receivers) {
        let artifacts = async {
            match &stores.artifacts {
                Some(artifacts) => artifacts.reach().await,
                None => Ok(()),
            }
        };
        let (runs, events, artifacts) = tokio::join!(stores.runs.reach(), stores.events.reach(), artifacts);
        let failure = |reached: Result<(), CallError>| reached.err().map(|error| reason(&error));
        *self.0.lock() = Unreachable {
            run_store: failure(runs),
            event_stream: failure(events),
            artifact_store: failure(artifacts),
        };
    }
}
