//! The verified caller: who it is, what roles it has, and how far its token
//! reaches. What it may do with that is decided by `coordinator::access`.

use std::sync::Arc;

use crate::{
    clients::SubjectToken,
    record::{Actor, Identity, NodePath},
    time::Timestamp,
    types::{NodeRunId, RunId},
};

/// The verified caller. Only authentication makes one, or a record of one, and every method of the
/// coordinator that acts for a caller takes one: a caller that is not
/// authenticated cannot act.
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Arc<Verified>, Option<SubjectToken>);

#[derive(Debug, PartialEq, Eq)]
struct Verified {
    identity: Identity,
    actor: Actor,
    roles: Roles,
    scope: Scope,
}

/// How far the caller's authority reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The runs that the rules of authorization give to this identity: the token
    /// of a user or a service, or the subject of a server without
    /// authentication.
    Identity,
    /// As above, but the caller sent no token although others do.
    Anonymous,
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

/// The roles that a token may give, in the claim that the setting
/// `ROLES_CLAIM` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// `arp.run.read`: read the runs of one's own tenant.
    pub read: bool,
    /// `arp.run.operate`: read and change the runs of one's own tenant.
    pub operate: bool,
    /// `arp.admin`: read and change every run.
    pub admin: bool,
}

impl Roles {
    pub const READ: &str = "arp.run.read";
    pub const OPERATE: &str = "arp.run.operate";
    pub const ADMIN: &str = "arp.admin";

    /// The roles among these names. Others are of no concern here.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut roles = Self::default();
        for name in names {
            roles.read |= name == Self::READ;
            roles.operate |= name == Self::OPERATE;
            roles.admin |= name == Self::ADMIN;
        }
        roles
    }
}

impl Principal {
    /// The bearer of a token of the issuer.
    pub(super) fn verified(identity: Identity, roles: Roles) -> Self {
        Self::new(identity, roles, Scope::Identity)
    }

    /// A caller that the configuration names, without authentication.
    pub(super) fn configured(subject: &str) -> Self {
        Self::new(Identity::bare(subject), Roles::default(), Scope::Identity)
    }

    /// A caller that sent no token, under the subject that the configuration
    /// names.
    pub(super) fn anonymous(subject: &str) -> Self {
        Self::new(Identity::bare(subject), Roles::default(), Scope::Anonymous)
    }

    /// A caller that was verified when a record of it was made, with the roles that it had
    /// then. Nothing is done with its token.
    pub(crate) fn recorded(identity: Identity, roles: Roles, is_anonymous: bool) -> Self {
        Self::new(identity, roles, if is_anonymous { Scope::Anonymous } else { Scope::Identity })
    }

    /// The executor of a NodeRun, with its assignment token.
    pub(super) fn assigned(issuer: &str, subtree: Subtree) -> Self {
        let identity =
            Identity { issuer: Some(issuer.to_owned()), ..Identity::bare(subtree.node.to_string()) };
        Self::new(identity, Roles::default(), Scope::Subtree(subtree))
    }

    fn new(identity: Identity, roles: Roles, scope: Scope) -> Self {
        let actor = match &scope {
            Scope::Identity | Scope::Anonymous => Actor::Caller(identity.clone()),
            Scope::Subtree(own) => Actor::Executor { node_run_id: own.node.clone() },
        };
        Self(Arc::new(Verified { identity, actor, roles, scope }), None)
    }

    /// The same caller with the token that it sent, if it is the token of a user or
    /// a service: for calls on its behalf.
    pub(super) fn bearing(self, token: &str) -> Self {
        match self.scope() {
            Scope::Identity => Self(self.0, Some(SubjectToken::new(token))),
            Scope::Anonymous | Scope::Subtree(_) => self,
        }
    }

    /// The token that the caller sent, if tokens are exchanged.
    pub fn subject_token(&self) -> Option<&SubjectToken> {
        self.1.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn for_test(subject: &str) -> Self {
        Self::configured(subject)
    }

    #[cfg(test)]
    pub(crate) fn with_for_test(identity: Identity, roles: Roles, scope: Scope) -> Self {
        Self::new(identity, roles, scope)
    }

    /// The subject (`sub`). Unique only together with [`Principal::issuer`].
    pub fn subject(&self) -> &str {
        &self.0.identity.subject
    }

    /// The issuer of the token (`iss`); `None` for a configured subject.
    pub fn issuer(&self) -> Option<&str> {
        self.0.identity.issuer.as_deref()
    }

    /// The client that the token was issued to (`azp`, `client_id`).
    pub fn client_id(&self) -> Option<&str> {
        self.0.identity.client.as_deref()
    }

    /// The tenant of the subject, if the token names one.
    pub fn tenant(&self) -> Option<&str> {
        self.0.identity.tenant.as_deref()
    }

    /// All of the above.
    pub fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The caller as events and the audit trail name it.
    pub fn actor(&self) -> &Actor {
        &self.0.actor
    }

    pub fn roles(&self) -> Roles {
        self.0.roles
    }

    /// How far the caller's authority reaches.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }
}
