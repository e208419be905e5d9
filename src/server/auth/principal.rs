//! The verified caller.

use std::sync::Arc;

use crate::{
    record::NodePath,
    types::{NodeRunId, RunId},
};

/// The verified caller. Only authentication makes one, and every call of the
/// coordinator asks for one: what is not authenticated cannot be called.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Arc<Identity>);

/// What a token says about its bearer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) subject: String,
    pub(super) issuer: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) scope: Scope,
}

/// On what a caller may act, whoever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Users and services.
    Everything,
    /// Whoever has an assignment token.
    Subtree(Subtree),
}

/// A NodeRun and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    pub node: NodeRunId,
    pub run: RunId,
    /// Where `node` stands in `run`.
    pub path: NodePath,
}

impl Principal {
    pub(super) fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }

    /// A caller that is known by configuration, not by a token.
    pub(super) fn configured(subject: &str) -> Self {
        Self::new(Identity {
            subject: subject.to_owned(),
            issuer: None,
            client_id: None,
            tenant: None,
            scope: Scope::Everything,
        })
    }

    /// The executor of a NodeRun, known by the token that it was given for it.
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

    /// Who it is. Unique only together with [`Principal::issuer`].
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Who vouches for the subject. None: our own configuration.
    pub fn issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// The program that the token was given to.
    pub fn client_id(&self) -> Option<&str> {
        self.0.client_id.as_deref()
    }

    pub fn tenant(&self) -> Option<&str> {
        self.0.tenant.as_deref()
    }

    /// On what it may act.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }
}
