//! The verified caller.

use std::sync::Arc;

use crate::{
    record::NodePath,
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The verified caller. Only authentication makes one, and every method of the
/// coordinator that acts for a caller takes one: a caller that is not
/// authenticated cannot act.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Arc<Identity>);

/// The claims of a token about its bearer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    pub(super) issuer: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) scope: Scope,
}

/// The part of all runs that a token is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All runs: the token of a user or a service.
    Everything,
    /// One subtree: an assignment token.
    Subtree(Subtree),
}

/// A NodeRun and its descendants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    pub node: NodeRunId,
    pub run: RunId,
    /// The path of `node` in `run`.
    pub path: NodePath,
    /// When `node` was created, if the token says so.
    pub created_at: Option<Timestamp>,
}

impl Principal {
    pub(super) fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }

    /// A caller that the configuration names, without a token.
    pub(super) fn configured(subject: &str) -> Self {
        Self::new(Identity {
            subject: subject.to_owned(),
            issuer: None,
            client_id: None,
            tenant: None,
            scope: Scope::Everything,
        })
    }

    /// The executor of a NodeRun, with its assignment token.
    pub(super) fn assigned(issuer: &str, subtree: Subtree) -> Self {
        Self::new(Identity {
            subject: subtree.node.to_string(),
            issuer: Some(issuer.to_owned()),
            client_id: None,
            tenant: None,
            scope: Scope::Subtree(subtree),
        })
    }

    #[cfg(test)]
    pub(crate) fn for_test(subject: &str) -> Self {
        Self::configured(subject)
    }

    /// The subject (`sub`). Unique only together with [`Principal::issuer`].
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The issuer of the token (`iss`); `None` for a configured subject.
    ///
    /// For authority over runs: the owner of a run is a subject of an issuer, not
    /// a subject alone.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// The client that the token was issued to (`azp`, `client_id`).
    ///
    /// For authority over runs: service clients are listed by this id (D-19).
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    /// The tenant of the subject, if the token names one.
    ///
    /// For authority over runs: a tenant's runs are not visible to others. Until
    /// then no decision uses it. The `tenant_id` that a PDP is asked with is that
    /// of the run context, which the caller wrote.
    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// The part of all runs that the caller may act on.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }
}
