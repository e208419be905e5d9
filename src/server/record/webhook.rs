//! Webhooks: subscriptions of operators to what happens (contract §26).
//!
//! **Invariant:** the secret of a subscription is in its record and nowhere else. It is
//! not shown by `Debug`, and no answer is made of it after the one to its creation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Actor, NoticeKind};
use crate::time::Timestamp;

/// Identifies a webhook: `wh_` + 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookId(String);

impl WebhookId {
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    pub webhook_id: WebhookId,
    pub url: String,
    pub events: Vec<NoticeKind>,
    /// Only about nodes of this type, and runs whose root is of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    /// Only about runs of this tenant. `None`: of all, and about what belongs to no
    /// run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub secret: KeptSecret,
    pub created_at: Timestamp,
    pub created_by: Actor,
}

/// The secret with which deliveries are signed, as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptSecret {
    /// As it is: each reader of the journal has it.
    Plain(String),
    /// Encrypted with the operator's key.
    Sealed(String),
}

impl fmt::Debug for KeptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "KeptSecret::Plain(***)",
            Self::Sealed(_) => "KeptSecret::Sealed(***)",
        })
    }
}

/// What a subscription is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'r> {
    pub kind: NoticeKind,
    /// The tenant of the run, if it has one and is known.
    pub tenant: Option<&'r str>,
    /// The type of the node, or of the run's root.
    pub node_type: Option<&'r str>,
}

impl Webhook {
    /// Whether it wants a report. What the tenant of a run is not known of goes to no
    /// subscription of one tenant.
    pub fn wants(&self, reported: Reported<'_>) -> bool {
        let Reported { kind, tenant, node_type } = reported;
        let is = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
        };
        self.events.contains(&kind) && is(&self.tenant, tenant) && is(&self.node_type, node_type)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(tenant: Option<&str>, node_type: Option<&str>) -> Webhook {
        Webhook {
            webhook_id: WebhookId::new("wh_1"),
            url: "https://hooks.example.com/".into(),
            events: vec![NoticeKind::RunCompleted],
            node_type: node_type.map(str::to_owned),
            tenant: tenant.map(str::to_owned),
            description: None,
            secret: KeptSecret::Plain("whsec_aHVzaA==".into()),
            created_at: Timestamp::from_micros(0),
            created_by: Actor::Coordinator,
        }
    }

    #[test]
    fn webhook_wants_only_what_passes_its_filters() {
        let completed = NoticeKind::RunCompleted;
        let of = |kind, tenant, node_type| Reported { kind, tenant, node_type };
        let (acme, beta, echo) = (Some("acme"), Some("beta"), Some("atomic.echo"));
        for (webhook, reported, wanted) in [
            (webhook(None, None), of(completed, acme, echo), true),
            (webhook(None, None), of(completed, None, None), true),
            (webhook(None, None), of(NoticeKind::NodeRunFailed, acme, echo), false),
            (webhook(acme, None), of(completed, acme, echo), true),
            (webhook(acme, None), of(completed, beta, echo), false),
            (webhook(acme, None), of(completed, None, echo), false),
            (webhook(None, echo), of(completed, beta, echo), true),
            (webhook(None, echo), of(completed, beta, None), false),
            (webhook(acme, echo), of(completed, acme, Some("atomic.other")), false),
        ] {
            assert_eq!(webhook.wants(reported), wanted, "{webhook:?} {reported:?}");
        }
    }

    #[test]
    fn secret_of_a_webhook_is_not_shown() {
        let shown = format!("{:?}", webhook(None, None));
        assert!(shown.contains("***") && !shown.contains("aHVzaA"), "{shown}");
    }
}
