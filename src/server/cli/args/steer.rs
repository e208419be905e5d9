//! `dispatch`, `audit` and `webhooks`.

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::{
    change::Change,
    output::{AtMost, Printed, Shown},
    parse::{Since, outcome, since},
};
use crate::{clients::operator::types::WebhookEventType, record::AuditOutcome, types::RunId};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum DispatchCommand {
    /// List what is paused
    List {
        #[command(flatten)]
        shown: Shown,
    },
    /// Dispatch no more node runs, of all runs; what is at an executor goes on
    Pause {
        #[command(flatten)]
        scope: PauseScope,
        /// The reason, which is kept with the pause
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Dispatch them again
    Resume {
        #[command(flatten)]
        scope: PauseScope,
        /// The reason, which is kept in the audit trail
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        shown: Shown,
    },
}

/// Which node runs, by exactly one of these.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[group(required = true, multiple = false)]
pub struct PauseScope {
    /// All of them
    #[arg(long)]
    pub all: bool,
    /// Those of this executor, or of this member of a pool, as health names it
    #[arg(long, value_name = "NAME")]
    pub executor: Option<String>,
    /// Those of this type, of whatever version
    #[arg(long, value_name = "NODE_TYPE")]
    pub node_type: Option<String>,
    /// Those of the runs of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
}

/// Which records of the audit trail.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct AuditSelect {
    /// Only about this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Only of this actor: a subject, the node run of an executor, coordinator or command_line
    #[arg(long, value_name = "SUBJECT")]
    pub actor: Option<String>,
    /// Only of this operation, such as cancel_run
    #[arg(long, value_name = "OPERATION")]
    pub operation: Option<String>,
    /// Only with this outcome
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(["applied", "refused"]).map(outcome))]
    pub outcome: Option<AuditOutcome>,
    /// Only from this time on, such as 2026-11-28T12:00:00Z, or this long ago, such as 12h
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub before: Option<Since>,
    #[command(flatten)]
    pub at_most: AtMost,
    #[command(flatten)]
    pub shown: Shown,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum WebhooksCommand {
    /// Create a webhook, and show its secret once
    Create(NewWebhook),
    /// List the webhooks
    List {
        #[command(flatten)]
        printed: Printed,
    },
    /// Show a webhook and how its deliveries go
    Get {
        webhook: String,
        #[command(flatten)]
        printed: Printed,
    },
    /// Delete webhooks with all that their targets have yet to accept
    Delete {
        /// Ids of webhooks; - reads them from stdin, one a line
        #[arg(required = true, value_name = "WEBHOOK")]
        webhooks: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Send a test to the target, once and now; exit code 7 if it does not accept it
    Test {
        webhook: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// List the deliveries that failed at least once, the newest first
    Deliveries {
        webhook: String,
        #[command(flatten)]
        at_most: AtMost,
        #[command(flatten)]
        shown: Shown,
    },
    /// Send a delivery again, also one that was given up
    Redeliver { webhook: String, delivery: u64 },
}

/// A webhook to be created.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where reports are sent
    #[arg(value_name = "URL")]
    pub url: String,
    /// What is reported: run.completed, node_run.failed, approval.requested, work.parked, executor.down, executor.up
    #[arg(long = "event", value_name = "EVENT", required = true, value_parser = reported)]
    pub events: Vec<WebhookEventType>,
    /// Only about node runs of this type, or runs whose root is
    #[arg(long, value_name = "NODE_TYPE")]
    pub node_type: Option<String>,
    /// Only about runs of this tenant
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    #[command(flatten)]
    pub printed: Printed,
}

fn reported(text: &str) -> Result<WebhookEventType, String> {
    text.parse().map_err(|_| "there is no such event".to_owned())
}
