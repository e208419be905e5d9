//! Webhooks: reports to systems of the operator, at least once each (contract §26).
//!
//! ```text
//!   commit ──▶ journal: notices ──▶ fan out: what is it, who wants it? ──▶ deliveries
//!                                                                            │ due
//!   target ◀── signed request ◀── sender ◀── pump: some at once for each target
//!      └─ 2xx: deleted · else: again later, for a day · 410: disabled
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `pump` | the loop that fans out, sends and settles |
//! | `fan_out` | notices to deliveries |
//! | `event` | what a report looks like: CloudEvents |
//! | `facts` | what the records say about a notice |
//! | `target` | one target in memory, and what a failure leads to |
//! | `sender`, `resolver` | the request, to permitted addresses only |
//! | `secret` | secrets and signatures |
//! | `executors` | which executors are down, as was last reported |
//! | `status` | health and metrics |
//!
//! **Architecture invariants.** A report is a row of the journal from the commit of what
//! it is about until its target has accepted it or it is given up; the pump's memory
//! only saves looking. One slow or failing target delays neither another one nor
//! anything else. Requests go only where the allow-list permits, at each connection.

mod event;
mod executors;
mod facts;
mod fan_out;
mod pump;
mod resolver;
mod secret;
mod sender;
mod status;
mod target;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use slog::Logger;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::{
    event::Source,
    secret::{BadSecret, SigningSecret},
    sender::SenderOptions,
};
use self::{sender::Sender, status::Status};
use crate::{
    config::{NoTarget, WebhookTargets},
    delegation::Seal,
    journal::{Duties, Journal},
    metrics::{Metrics, Reading},
    record::{ExecutorName, KeptSecret, Webhook, WebhookId},
    runtime::tasks::TaskSet,
    time::{Clock, Timestamp},
    types::HealthCheck,
};

/// Says which executors there are, and whether each is down.
pub type ExecutorStates = Box<dyn Fn() -> Vec<(ExecutorName, bool)> + Send + Sync>;

/// What webhooks are made of.
pub struct Parts {
    pub journal: Arc<dyn Journal>,
    pub clock: Arc<dyn Clock>,
    /// Housekeeping is one of them.
    pub duties: Arc<Duties>,
    pub sender: SenderOptions,
    /// Who reports.
    pub source: Source,
    /// What seals their secrets. `None`: they are kept as they are.
    pub seal: Option<Seal>,
    pub executors: ExecutorStates,
    pub metrics: Metrics,
    pub tasks: TaskSet,
    pub log: Logger,
}

/// The pump, and what others ask of it.
pub struct Webhooks {
    journal: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    duties: Arc<Duties>,
    sender: Sender,
    source: Source,
    seal: Option<Seal>,
    executors: ExecutorStates,
    metrics: Metrics,
    status: Status,
    /// There are new notices, or the subscriptions have changed.
    news: Notify,
    changed: AtomicBool,
    stopping: CancellationToken,
    log: Logger,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    pub event_id: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// `None`: the target has accepted it.
    pub error: Option<String>,
    pub took: Duration,
}

impl Webhooks {
    /// Starts the pump. It begins with what an earlier process has left.
    pub fn begin(parts: Parts) -> Result<Arc<Self>, String> {
        let Parts { journal, clock, duties, sender, source, seal, executors, metrics, tasks, log } = parts;
        let webhooks = Arc::new(Self {
            journal,
            sender: Sender::new(sender, Arc::clone(&clock))?,
            source,
            seal,
            executors,
            metrics,
            status: Status::default(),
            news: Notify::new(),
            changed: AtomicBool::new(true),
            stopping: tasks.stopping().clone(),
            log,
            clock: Arc::clone(&clock),
            duties,
        });
        let pump = Arc::clone(&webhooks);
        tasks.supervise("webhooks", clock, move || {
            let webhooks = Arc::clone(&pump);
            async move { pump::run_on_duty(&webhooks).await }
        });
        Ok(webhooks)
    }

    /// Notifies the pump that a commit has added notices.
    pub fn notices_added(&self) {
        self.news.notify_one();
    }

    /// Notifies the pump that subscriptions or deliveries have changed.
    pub fn changed(&self) {
        self.changed.store(true, std::sync::atomic::Ordering::Release);
        self.news.notify_one();
    }

    /// Judges the URL of a subscription.
    pub fn admits(&self, url: &str) -> Result<(), NoTarget> {
        self.sender.targets().admits(url).map(drop)
    }

    /// The form in which a secret is kept.
    pub fn keep(&self, webhook: &WebhookId, secret: &SigningSecret) -> Option<KeptSecret> {
        match &self.seal {
            None => Some(KeptSecret::Plain(secret.expose())),
            Some(seal) => seal.seal(webhook.as_str(), &secret.expose()).map(KeptSecret::Sealed),
        }
    }

    /// Sends a test to the target of a subscription, once and now.
    pub async fn test(&self, webhook: &Webhook, nonce: &str) -> TestOutcome {
        let began = self.clock.now();
        let (event_id, body) = event::test(&self.source, &webhook.webhook_id, nonce, began);
        let sent = self.send(webhook, &event_id, &body).await;
        let took = self.clock.now().since(began);
        match sent {
            Ok(status) => TestOutcome { event_id, status: Some(status), error: None, took },
            Err(failure) => {
                TestOutcome { event_id, status: failure.status, error: Some(failure.error), took }
            }
        }
    }

    /// The health check of the webhooks.
    pub fn check(&self, now: Timestamp) -> HealthCheck {
        self.status.check(now)
    }

    /// What a scrape of the metrics reads.
    pub(crate) fn readings(&self) -> Vec<Reading> {
        self.status.readings()
    }

    async fn send(&self, webhook: &Webhook, event_id: &str, body: &str) -> Result<u16, sender::Failure> {
        match self.reveal(webhook) {
            Some(secret) => self.sender.send(&webhook.url, &secret, event_id, body).await,
            None => Err(sender::Failure::of_target(
                "its secret was encrypted with another JARVIS_RUN_COORDINATOR_SECRETS_KEY",
            )),
        }
    }

    fn reveal(&self, webhook: &Webhook) -> Option<SigningSecret> {
        let text = match (&webhook.secret, &self.seal) {
            (KeptSecret::Plain(text), _) => text.clone(),
            (KeptSecret::Sealed(sealed), Some(seal)) => seal.open(webhook.webhook_id.as_str(), sealed)?,
            (KeptSecret::Sealed(_), None) => return None,
        };
        SigningSecret::parse(&text).ok()
    }
}
