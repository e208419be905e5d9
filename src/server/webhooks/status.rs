//! What health and metrics say about webhooks, as the pump last read it.

use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use url::Url;

use crate::{
    journal::StoredWebhook,
    metrics::{Reading, families as f},
    time::Timestamp,
    types::{HealthCheck, JsonObject},
};

/// A target that fails for longer degrades health.
const TOLERATED: Duration = Duration::from_secs(600);

/// Hosts that health names.
const NAMED_MAX: usize = 5;

#[derive(Default)]
pub(super) struct Status(Mutex<Vec<Known>>);

/// What is known of one subscription.
struct Known {
    host: String,
    failing_since: Option<Timestamp>,
    disabled: bool,
    backlog: u64,
    oldest: Option<Timestamp>,
}

/// The host of a target, for people: the rest of a URL may be secret.
pub(super) fn host(url: &str) -> String {
    let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_default()
}

impl Status {
    pub(super) fn set(&self, webhooks: &[StoredWebhook]) {
        let known = |stored: &StoredWebhook| Known {
            host: host(&stored.webhook.url),
            failing_since: stored.status.failing_since,
            disabled: stored.status.disabled_at.is_some(),
            backlog: stored.status.backlog,
            oldest: stored.status.oldest,
        };
        *self.0.lock() = webhooks.iter().map(known).collect();
    }

    pub(super) fn check(&self, now: Timestamp) -> HealthCheck {
        let known = self.0.lock();
        let fails = |known: &&Known| {
            !known.disabled && known.failing_since.is_some_and(|since| now.since(since) >= TOLERATED)
        };
        let mut hosts: Vec<&str> = known.iter().filter(fails).map(|known| known.host.as_str()).collect();
        let (failing, all) = (hosts.len(), known.len());
        hosts.sort_unstable();
        hosts.dedup();
        let more = if hosts.len() > NAMED_MAX { ", …" } else { "" };
        hosts.truncate(NAMED_MAX);
        let minutes = TOLERATED.as_secs() / 60;
        let trouble = (failing > 0).then(|| {
            format!(
                "{failing} of {all} webhooks have been failing for more than {minutes} minutes: {}{more}",
                hosts.join(", ")
            )
        });
        let backlog: u64 = known.iter().map(|known| known.backlog).sum();
        let disabled = known.iter().filter(|known| known.disabled).count();
        let details = json!({"webhooks": all, "disabled": disabled, "backlog": backlog});
        HealthCheck::new("webhooks", trouble, Some(JsonObject::of(&details)))
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        let known = self.0.lock();
        let backlog: u64 = known.iter().map(|known| known.backlog).sum();
        let oldest = known.iter().filter_map(|known| known.oldest).min();
        let mut readings = vec![Reading::new(&f::WEBHOOK_BACKLOG, backlog as f64)];
        let seconds = |at: Timestamp| at.as_micros() as f64 / 1e6;
        readings.extend(oldest.map(|oldest| Reading::new(&f::WEBHOOK_OLDEST, seconds(oldest))));
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::WebhookStatus,
        record::{Actor, KeptSecret, Webhook, WebhookId},
        types::HealthStatus,
    };

    #[test]
    fn check_names_hosts_that_keep_failing() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let stored = |url: &str, failing_since: Option<i64>, disabled_at: Option<i64>| StoredWebhook {
            webhook: Webhook {
                webhook_id: WebhookId::new("wh_1"),
                url: url.into(),
                events: Vec::new(),
                node_type: None,
                tenant: None,
                description: None,
                secret: KeptSecret::Plain(String::new()),
                created_at: at(0),
                created_by: Actor::Coordinator,
            },
            status: WebhookStatus {
                failing_since: failing_since.map(at),
                disabled_at: disabled_at.map(at),
                backlog: 2,
                ..WebhookStatus::default()
            },
        };
        let status = Status::default();
        assert_eq!(status.check(at(0)).status, HealthStatus::Ok);
        let (a, b) = ("https://b.test/secret-path?key=1", "https://a.test");
        status.set(&[stored(a, Some(0), None), stored(b, None, None), stored(b, Some(0), Some(5))]);
        assert_eq!(status.check(at(599)).status, HealthStatus::Ok);
        let check = status.check(at(600));
        assert_eq!(check.status, HealthStatus::Degraded);
        let message = check.message.expect("a message");
        assert_eq!(message, "1 of 3 webhooks have been failing for more than 10 minutes: b.test");
    }
}
