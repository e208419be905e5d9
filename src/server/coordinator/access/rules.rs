//! The rules of authorization, as pure functions (contract §19, D-19).
//!
//! ```text
//!   assignment token ──▶ the operation's reach below its NodeRun ──────────────▶ yes │ outside
//!   steering ──────────▶ as below, but always with the role
//!   about an approval ─▶ as below, but always with the role, and never the starter
//!   to steer ──────────▶ as below, but always with the role
//!   setting `open` ────────────────────────────────────────────────────────────▶ yes
//!   no token ──────────────────────────────────────────────────────────────────▶ no token
//!   arp.admin, trusted client, the run's owner ────────────────────────────────▶ yes
//!   about the server as a whole ───────────────────────────────────────────────▶ lacks a role
//!   same tenant as the owner, with the role that the operation demands ────────▶ yes
//!   same tenant ─▶ with the other role, or setting `tenant` ───────────────────▶ lacks a role
//!   everything else ───────────────────────────────────────────────────────────▶ foreign
//! ```
//!
//! **Invariants.** Every operation has a rule: the match below has no default. A
//! caller without a tenant shares a tenant with no other, and a run without an
//! owner belongs to no caller.

use crate::{
    auth::{NAME_BYTES, Principal, Roles, Scope, Subtree},
    config::{Authorization, Belongs},
    record::{Identity, NodePath, Operation},
    types::{NodeRunId, RunId},
};

/// What an operation demands of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) reach: Reach,
    pub(crate) executor: ExecutorReach,
}

/// What an operation does with a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It makes a new one.
    Start,
    Read,
    /// It changes it.
    Operate,
    /// It changes it as operators do, for which a role is needed under every setting.
    Steer,
    /// It decides about an approval of it.
    Approve,
    /// It reads what belongs to no run: the server's work as a whole.
    Server,
}

/// What the executor of a NodeRun may do it with, by its assignment token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecutorReach {
    Nothing,
    /// With the run of its NodeRun.
    Run,
    /// With its NodeRun and those below it.
    Subtree,
}

/// The rule of each operation.
pub(crate) fn rule(operation: Operation) -> Rule {
    let (reach, executor) = match operation {
        Operation::StartRun => (Reach::Start, ExecutorReach::Nothing),
        Operation::GetRun => (Reach::Read, ExecutorReach::Run),
        Operation::CancelRun => (Reach::Operate, ExecutorReach::Nothing),
        Operation::StreamRunEvents => (Reach::Read, ExecutorReach::Nothing),
        Operation::CreateNodeRuns => (Reach::Operate, ExecutorReach::Subtree),
        Operation::GetNodeRun => (Reach::Read, ExecutorReach::Subtree),
        Operation::StreamNodeRunEvents => (Reach::Read, ExecutorReach::Subtree),
        Operation::ReportNodeRunEvaluation => (Reach::Operate, ExecutorReach::Subtree),
        Operation::CompleteNodeRun => (Reach::Operate, ExecutorReach::Subtree),
        Operation::ListApprovals
        | Operation::GetApproval
        | Operation::ListRuns
        | Operation::CountRuns
        | Operation::GetRunTree
        | Operation::ListAttempts
        | Operation::ExplainRun
        | Operation::ExplainNodeRun
        | Operation::ListDispatchPauses
        | Operation::GetCancelReport
        | Operation::ShowRun
        | Operation::ShowNodeRun
        | Operation::ShowRunEvents
        | Operation::WhoAmI
        | Operation::GetSystem
        | Operation::ListAudit
        | Operation::ExportRun
        | Operation::ListBulk
        | Operation::GetBulk
        | Operation::ListBulkResults => (Reach::Read, ExecutorReach::Nothing),
        Operation::RerunRun | Operation::StartBulk | Operation::AbortBulk => {
            (Reach::Steer, ExecutorReach::Nothing)
        }
        Operation::GetWork | Operation::GetConfiguration => (Reach::Server, ExecutorReach::Nothing),
        Operation::HoldRun
        | Operation::ReleaseRun
        | Operation::WakeNodeRun
        | Operation::CancelRunWithReport
        | Operation::PauseDispatch
        | Operation::ResumeDispatch => (Reach::Steer, ExecutorReach::Nothing),
        Operation::ApproveNodeRun | Operation::DenyNodeRun => (Reach::Approve, ExecutorReach::Nothing),
        // They are about no run: see `judge_webhooks`.
        Operation::CreateWebhook
        | Operation::ListWebhooks
        | Operation::GetWebhook
        | Operation::DeleteWebhook
        | Operation::TestWebhook
        | Operation::ListWebhookDeliveries
        | Operation::RedeliverWebhook => (Reach::Operate, ExecutorReach::Nothing),
    };
    Rule { reach, executor }
}

/// The webhooks that a caller may manage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server::coordinator) enum WebhookReach {
    All,
    /// Those that report runs of this tenant only.
    Tenant(String),
}

/// Why a rule refuses a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// For this caller the run does not exist.
    Foreign,
    /// There is no such run or NodeRun.
    Unknown,
    /// The caller may know of the run, but lacks this role.
    LacksRole(&'static str),
    /// The caller sent no token.
    NoToken,
    /// The caller's assignment token is for this NodeRun, and the object is
    /// outside of its subtree.
    Outside(NodeRunId),
    /// The caller has started the run.
    Starter,
}

/// What a caller asks for, beside the operation.
#[derive(Clone, Copy)]
pub(super) enum Object<'o> {
    Run(&'o RunId),
    Node(&'o RunId, &'o NodePath),
}

/// Whether an assignment token reaches the object of an operation; `None` for
/// every other caller.
pub(super) fn executor_may<'c>(
    caller: &'c Principal,
    operation: Operation,
    object: Option<Object<'_>>,
) -> Option<Result<&'c Subtree, Refused>> {
    let Scope::Subtree(own) = caller.scope() else { return None };
    let reaches = match (rule(operation).executor, object) {
        (ExecutorReach::Nothing, _) | (_, None) => false,
        (ExecutorReach::Run | ExecutorReach::Subtree, Some(Object::Run(run))) => *run == own.run,
        (ExecutorReach::Run, Some(Object::Node(..))) => false,
        (ExecutorReach::Subtree, Some(Object::Node(run, path))) => *run == own.run && own.path.contains(path),
    };
    Some(if reaches { Ok(own) } else { Err(Refused::Outside(own.node.clone())) })
}

/// The settings of authorization.
pub(crate) struct Authority(Authorization);

impl Authority {
    pub(crate) fn new(settings: Authorization) -> Self {
        Self(settings)
    }

    /// Whether every caller may act on every run.
    pub(super) fn is_open(&self) -> bool {
        match self.0.belongs {
            Belongs::Open => true,
            Belongs::Owner | Belongs::Tenant => false,
        }
    }

    /// Whether the caller acts on the runs of all owners.
    pub(super) fn is_unlimited(&self, caller: &Principal) -> bool {
        self.is_open() || self.speaks_for_all(caller)
    }

    /// Whether the caller may read a run of `owner`. Assignment tokens are no callers
    /// of lists.
    pub(crate) fn may_read(&self, caller: &Principal, owner: Option<&Identity>) -> bool {
        self.judge(caller, Reach::Read, owner).is_ok()
    }

    /// Whether the caller may do this with any run at all: with one of its own, or one
    /// of another in its tenant. Each run is judged again.
    pub(crate) fn may_ever(&self, caller: &Principal, operation: Operation) -> bool {
        if let Some(judged) = executor_may(caller, operation, None) {
            return judged.is_ok();
        }
        if let Some(judged) = self.webhooks_of(caller, operation) {
            return judged;
        }
        let own = caller.identity();
        // A subject that no token has, since they are not empty.
        let colleague = Identity { subject: String::new(), ..own.clone() };
        let reach = rule(operation).reach;
        [own, &colleague].into_iter().any(|owner| self.judge(caller, reach, Some(owner)).is_ok())
    }

    /// Whether the caller may do this with webhooks; `None`: it is about something else.
    fn webhooks_of(&self, caller: &Principal, operation: Operation) -> Option<bool> {
        let is_about_webhooks = matches!(
            operation,
            Operation::CreateWebhook
                | Operation::ListWebhooks
                | Operation::GetWebhook
                | Operation::DeleteWebhook
                | Operation::TestWebhook
                | Operation::ListWebhookDeliveries
                | Operation::RedeliverWebhook
        );
        is_about_webhooks.then(|| self.judge_webhooks(caller).is_ok())
    }

    /// Whether the caller is an administrator, or a client that acts for others.
    fn speaks_for_all(&self, caller: &Principal) -> bool {
        let client = caller.client_id();
        caller.roles().admin || self.0.trusted_clients.iter().any(|trusted| Some(trusted.as_str()) == client)
    }

    /// Whether a caller may do this with a run of `owner`. Assignment tokens have
    /// been judged before, by [`executor_may`].
    pub(super) fn judge(
        &self,
        caller: &Principal,
        reach: Reach,
        owner: Option<&Identity>,
    ) -> Result<(), Refused> {
        match reach {
            Reach::Approve => return self.judge_approval(caller, owner),
            Reach::Steer => return self.judge_steering(caller, owner),
            Reach::Start | Reach::Read | Reach::Operate | Reach::Server => {}
        }
        if self.is_open() {
            return Ok(());
        }
        identified(caller)?;
        if reach == Reach::Start || self.is_unlimited(caller) {
            return Ok(());
        }
        if reach == Reach::Server {
            return Err(Refused::LacksRole(Roles::ADMIN));
        }
        let owner = owner.ok_or(Refused::Foreign)?;
        if owns(owner, caller.identity()) {
            return Ok(());
        }
        if owner.tenant.is_none() || owner.tenant != caller.identity().tenant {
            return Err(Refused::Foreign);
        }
        let Roles { read, operate, admin: _ } = caller.roles();
        let (has, lacks) = match reach {
            Reach::Start | Reach::Read | Reach::Server => (read || operate, Roles::READ),
            Reach::Operate | Reach::Steer | Reach::Approve => (operate, Roles::OPERATE),
        };
        if has {
            return Ok(());
        }
        match self.0.belongs {
            Belongs::Open => Ok(()),
            Belongs::Tenant => Err(Refused::LacksRole(lacks)),
            Belongs::Owner if read => Err(Refused::LacksRole(lacks)),
            Belongs::Owner => Err(Refused::Foreign),
        }
    }

    /// Whether a caller may decide about the approvals of a run of `owner`. Who may
    /// operate a run may not decide by that alone: an approval is a second opinion.
    fn judge_approval(&self, caller: &Principal, owner: Option<&Identity>) -> Result<(), Refused> {
        if !self.0.by_token {
            return Ok(());
        }
        self.judge_steering(caller, owner)?;
        let is_starter = owner.is_some_and(|owner| started(owner, caller.identity()));
        if is_starter && !self.0.approval_by_starter { Err(Refused::Starter) } else { Ok(()) }
    }

    /// Whether a caller may steer a run of `owner`: its own run, too, only with the
    /// role, so that a key of a service that starts runs is none of an operator.
    fn judge_steering(&self, caller: &Principal, owner: Option<&Identity>) -> Result<(), Refused> {
        if !self.0.by_token {
            return Ok(());
        }
        identified(caller)?;
        // First: a foreign run does not exist for the caller.
        self.judge(caller, Reach::Operate, owner)?;
        has_role(caller)
    }

    /// Whether a caller may pause and resume the dispatch of a tenant; of `None`, that
    /// of all.
    pub(super) fn judge_pause(&self, caller: &Principal, tenant: Option<&str>) -> Result<(), Refused> {
        if !self.0.by_token {
            return Ok(());
        }
        identified(caller)?;
        has_role(caller)?;
        let is_own = tenant.is_some() && caller.identity().tenant.as_deref() == tenant;
        if is_own || self.is_unlimited(caller) { Ok(()) } else { Err(Refused::LacksRole(Roles::ADMIN)) }
    }

    /// Whether a caller may see a pause of the dispatch of a tenant; of `None`, that
    /// of all.
    pub(crate) fn may_see_pause(&self, caller: &Principal, tenant: Option<&str>) -> bool {
        let is_own = tenant.is_none() || caller.identity().tenant.as_deref() == tenant;
        is_own || self.is_unlimited(caller)
    }

    /// Which webhooks a caller may manage, and so whose runs they may report.
    pub(super) fn judge_webhooks(&self, caller: &Principal) -> Result<WebhookReach, Refused> {
        if !self.0.by_token {
            return Ok(WebhookReach::All);
        }
        identified(caller)?;
        let Roles { read: _, operate, admin } = caller.roles();
        if admin || (operate && self.is_unlimited(caller)) {
            return Ok(WebhookReach::All);
        }
        if !operate {
            return Err(Refused::LacksRole(Roles::OPERATE));
        }
        let tenant = caller.identity().tenant.clone();
        tenant.map(WebhookReach::Tenant).ok_or(Refused::LacksRole(Roles::ADMIN))
    }

    /// The owner of a run that the caller starts with this tenant in its run
    /// context; `None`: the caller may not name that tenant.
    pub(super) fn owner(&self, caller: &Principal, named: Option<&str>) -> Option<Identity> {
        let own = caller.identity();
        let Some(named) = named else { return Some(own.clone()) };
        if self.speaks_for_all(caller) && named.len() <= NAME_BYTES {
            return Some(Identity { tenant: Some(named.to_owned()), ..own.clone() });
        }
        // Where all callers are equal, none speaks for a tenant that its token does
        // not name.
        (self.is_open() || own.tenant.as_deref() == Some(named)).then(|| own.clone())
    }

    /// The tenant of a run that policy is asked with. Where all callers are equal,
    /// the run context has it if no token does.
    pub(crate) fn tenant<'t>(&self, owner: Option<&'t Identity>, named: Option<&'t str>) -> Option<&'t str> {
        owner.and_then(|owner| owner.tenant.as_deref()).or_else(|| named.filter(|_| self.is_open()))
    }
}

/// Refuses a caller without the role of an operator.
fn has_role(caller: &Principal) -> Result<(), Refused> {
    let Roles { read: _, operate, admin } = caller.roles();
    if operate || admin { Ok(()) } else { Err(Refused::LacksRole(Roles::OPERATE)) }
}

/// Whether a run of `owner` is the caller's own. Journals of earlier programs have
/// owners without an issuer: the issuer was the one that is configured.
fn owns(owner: &Identity, caller: &Identity) -> bool {
    started(owner, caller) && (owner.tenant.is_none() || owner.tenant == caller.tenant)
}

/// Whether a run of `owner` was started by the caller, whatever its tenant.
fn started(owner: &Identity, caller: &Identity) -> bool {
    owner.is_same_principal(caller) || (owner.issuer.is_none() && owner.subject == caller.subject)
}

/// Refuses a caller without a token of its own.
fn identified(caller: &Principal) -> Result<(), Refused> {
    match caller.scope() {
        Scope::Identity => Ok(()),
        Scope::Anonymous | Scope::Subtree(_) => Err(Refused::NoToken),
    }
}
