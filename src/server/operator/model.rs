//! What several operations are asked about, and answer with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    record,
    types::{NodeRunId, RunId},
};

#[derive(Deserialize, JsonSchema)]
pub(super) struct RunPath {
    pub(super) run_id: RunId,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct NodeRunPath {
    pub(super) node_run_id: NodeRunId,
}

/// A user or a service, as its verified token names it
#[derive(Serialize, JsonSchema)]
pub(super) struct Principal {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    subject: String,
    /// The client that its token was issued to
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

/// Who caused a change
#[derive(Serialize, JsonSchema)]
pub(super) struct Actor {
    kind: ActorKind,
    /// Of a caller
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<Principal>,
    /// Of an executor: the node run that it executes
    #[serde(skip_serializing_if = "Option::is_none")]
    node_run_id: Option<NodeRunId>,
}

/// The kind of an actor
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ActorKind {
    Caller,
    Executor,
    Coordinator,
    CommandLine,
}

impl From<record::Identity> for Principal {
    fn from(identity: record::Identity) -> Self {
        let record::Identity { issuer, subject, client, tenant } = identity;
        Self { issuer, subject, client, tenant }
    }
}

impl From<record::Actor> for Actor {
    fn from(actor: record::Actor) -> Self {
        let bare = |kind| Self { kind, principal: None, node_run_id: None };
        match actor {
            record::Actor::Caller(identity) => {
                Self { principal: Some(identity.into()), ..bare(ActorKind::Caller) }
            }
            record::Actor::Executor { node_run_id } => {
                Self { node_run_id: Some(node_run_id), ..bare(ActorKind::Executor) }
            }
            record::Actor::Coordinator => bare(ActorKind::Coordinator),
            record::Actor::CommandLine => bare(ActorKind::CommandLine),
        }
    }
}
