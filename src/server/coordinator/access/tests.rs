//! The rules by table. `tests/integration/authority.rs` has the same matrix as a
//! real server answers it.

use super::rules::{Authority, ExecutorReach, Object, Reach, Refused, executor_may, rule};
use crate::{
    auth::{Principal, Roles, Scope, Subtree},
    config::{Authorization, Belongs},
    record::{Identity, NodePath, Operation},
};

fn identity(subject: &str, tenant: Option<&str>) -> Identity {
    Identity {
        issuer: Some("https://sts".into()),
        subject: subject.into(),
        client: Some(format!("{subject}-client")),
        tenant: tenant.map(str::to_owned),
    }
}

fn caller(subject: &str, tenant: Option<&str>, roles: &[&str]) -> Principal {
    Principal::with_for_test(identity(subject, tenant), Roles::of(roles.iter().copied()), Scope::Identity)
}

fn authority(belongs: Belongs) -> Authority {
    Authority::new(Authorization {
        belongs,
        trusted_clients: vec!["gateway-client".into()],
        by_token: true,
        approval_by_starter: false,
    })
}

/// The answers to reading and operating a run of alice, of tenant acme.
fn answers(belongs: Belongs, caller: &Principal) -> [Result<(), Refused>; 2] {
    let alice = identity("alice", Some("acme"));
    [Reach::Read, Reach::Operate].map(|reach| authority(belongs).judge(caller, reach, Some(&alice)))
}

#[test]
fn rules_decide_by_owner_tenant_and_role() {
    const YES: Result<(), Refused> = Ok(());
    const FOREIGN: Result<(), Refused> = Err(Refused::Foreign);
    let lacks = |role| Err(Refused::LacksRole(role));
    let (acme, beta) = (Some("acme"), Some("beta"));
    let cases = [
        // Caller, then (read, operate) with the settings owner and tenant.
        (caller("alice", acme, &[]), [YES, YES], [YES, YES]),
        (caller("alice", beta, &[]), [FOREIGN, FOREIGN], [FOREIGN, FOREIGN]),
        (caller("bob", acme, &[]), [FOREIGN, FOREIGN], [lacks(Roles::READ), lacks(Roles::OPERATE)]),
        (caller("bob", acme, &[Roles::READ]), [YES, lacks(Roles::OPERATE)], [YES, lacks(Roles::OPERATE)]),
        (caller("bob", acme, &[Roles::OPERATE]), [YES, YES], [YES, YES]),
        (caller("carol", beta, &[Roles::READ, Roles::OPERATE]), [FOREIGN, FOREIGN], [FOREIGN, FOREIGN]),
        (caller("dave", None, &[Roles::OPERATE]), [FOREIGN, FOREIGN], [FOREIGN, FOREIGN]),
        (caller("root", None, &[Roles::ADMIN]), [YES, YES], [YES, YES]),
        (caller("gateway", beta, &[]), [YES, YES], [YES, YES]),
        (
            Principal::with_for_test(Identity::bare("alice"), Roles::default(), Scope::Anonymous),
            [Err(Refused::NoToken), Err(Refused::NoToken)],
            [Err(Refused::NoToken), Err(Refused::NoToken)],
        ),
    ];
    for (caller, by_owner, by_tenant) in cases {
        assert_eq!(answers(Belongs::Owner, &caller), by_owner, "owner: {caller:?}");
        assert_eq!(answers(Belongs::Tenant, &caller), by_tenant, "tenant: {caller:?}");
        assert_eq!(answers(Belongs::Open, &caller), [Ok(()), Ok(())], "open: {caller:?}");
    }
}

#[test]
fn callers_without_a_tenant_share_none() {
    let nameless = identity("alice", None);
    let bob = caller("bob", None, &[Roles::READ, Roles::OPERATE]);
    for belongs in [Belongs::Owner, Belongs::Tenant] {
        assert_eq!(authority(belongs).judge(&bob, Reach::Read, Some(&nameless)), Err(Refused::Foreign));
        assert_eq!(authority(belongs).judge(&bob, Reach::Read, None), Err(Refused::Foreign), "no owner");
        let alice = caller("alice", None, &[]);
        assert_eq!(authority(belongs).judge(&alice, Reach::Operate, Some(&nameless)), Ok(()));
    }
}

#[test]
fn owner_of_an_earlier_journal_is_known_by_its_subject() {
    let stored = Identity::bare("alice");
    let judged = |caller: &Principal| authority(Belongs::Tenant).judge(caller, Reach::Operate, Some(&stored));
    assert_eq!(judged(&caller("alice", Some("acme"), &[])), Ok(()));
    assert_eq!(judged(&caller("bob", Some("acme"), &[Roles::OPERATE])), Err(Refused::Foreign));
}

#[test]
fn named_tenant_must_be_the_one_of_the_token() {
    let owner = |belongs, caller: &Principal, named: Option<&str>| {
        authority(belongs).owner(caller, named).map(|owner| owner.tenant)
    };
    let alice = caller("alice", Some("acme"), &[]);
    let tenant = |name: &str| Some(Some(name.to_owned()));
    for belongs in [Belongs::Owner, Belongs::Tenant] {
        assert_eq!(owner(belongs, &alice, None), tenant("acme"));
        assert_eq!(owner(belongs, &alice, Some("acme")), tenant("acme"));
        assert_eq!(owner(belongs, &alice, Some("gold")), None);
        assert_eq!(owner(belongs, &caller("alice", None, &[]), Some("gold")), None);
        assert_eq!(owner(belongs, &caller("gateway", Some("acme"), &[]), Some("gold")), tenant("gold"));
        assert_eq!(owner(belongs, &caller("root", None, &[Roles::ADMIN]), Some("gold")), tenant("gold"));
        let endless = "x".repeat(1 << 20);
        assert_eq!(owner(belongs, &caller("gateway", Some("acme"), &[]), Some(&endless)), None);
    }
    // Where authorization is off the claim still counts, and the run context only
    // without one.
    assert_eq!(owner(Belongs::Open, &alice, Some("gold")), tenant("acme"));
    let seen =
        |owner: &Identity, named| authority(Belongs::Open).tenant(Some(owner), named).map(str::to_owned);
    assert_eq!(seen(&identity("alice", Some("acme")), Some("gold")), Some("acme".into()));
    assert_eq!(seen(&identity("alice", None), Some("gold")), Some("gold".into()));
    assert_eq!(authority(Belongs::Tenant).tenant(Some(&identity("alice", None)), Some("gold")), None);
}

#[test]
fn assignment_token_reaches_its_subtree_only() {
    let own = NodePath::root().child(4);
    let subtree = Subtree { node: "n".into(), run: "r".into(), path: own.clone(), created_at: None };
    let executor = Principal::with_for_test(Identity::bare("n"), Roles::default(), Scope::Subtree(subtree));
    let (run, other) = ("r".into(), "s".into());
    let (below, beside) = (own.child(9), NodePath::root().child(5));
    for operation in Operation::ALL {
        let may = |object| executor_may(&executor, operation, object).expect("an executor").is_ok();
        let reach = rule(operation).executor;
        assert_eq!(may(Some(Object::Run(&run))), reach != ExecutorReach::Nothing, "{operation}");
        let in_subtree = reach == ExecutorReach::Subtree;
        assert_eq!(may(Some(Object::Node(&run, &own))), in_subtree, "{operation}");
        assert_eq!(may(Some(Object::Node(&run, &below))), in_subtree, "{operation}");
        for outside in [
            None,
            Some(Object::Run(&other)),
            Some(Object::Node(&other, &own)),
            Some(Object::Node(&run, &beside)),
            Some(Object::Node(&run, &NodePath::root())),
        ] {
            assert!(!may(outside), "{operation}");
        }
        assert!(executor_may(&caller("alice", None, &[]), operation, None).is_none());
    }
}

#[test]
fn server_as_a_whole_is_for_callers_of_all_runs() {
    let acme = Some("acme");
    for (caller, limited) in [
        (caller("root", None, &[Roles::ADMIN]), Ok(())),
        (caller("gateway", acme, &[]), Ok(())),
        (caller("bob", acme, &[Roles::READ, Roles::OPERATE]), Err(Refused::LacksRole(Roles::ADMIN))),
        (caller("dave", None, &[]), Err(Refused::LacksRole(Roles::ADMIN))),
        (
            Principal::with_for_test(Identity::bare("x"), Roles::default(), Scope::Anonymous),
            Err(Refused::NoToken),
        ),
    ] {
        for belongs in [Belongs::Owner, Belongs::Tenant] {
            assert_eq!(authority(belongs).judge(&caller, Reach::Server, None), limited, "{caller:?}");
        }
        assert_eq!(authority(Belongs::Open).judge(&caller, Reach::Server, None), Ok(()), "{caller:?}");
    }
}

/// Whether each caller may decide about an approval of alice's run, of tenant acme.
#[test]
fn decisions_about_approvals_need_the_role_and_another_caller() {
    const YES: Result<(), Refused> = Ok(());
    const FOREIGN: Result<(), Refused> = Err(Refused::Foreign);
    const STARTER: Result<(), Refused> = Err(Refused::Starter);
    const LACKS: Result<(), Refused> = Err(Refused::LacksRole(Roles::OPERATE));
    let (acme, beta) = (Some("acme"), Some("beta"));
    let anonymous = Principal::with_for_test(Identity::bare("alice"), Roles::default(), Scope::Anonymous);
    let of = |belongs, caller: &Principal, by_starter, by_token| {
        let authority = Authority::new(Authorization {
            belongs,
            trusted_clients: vec!["gateway-client".into()],
            by_token,
            approval_by_starter: by_starter,
        });
        authority.judge(caller, Reach::Approve, Some(&identity("alice", acme)))
    };
    for (caller, open, owner, tenant) in [
        (caller("bob", acme, &[Roles::OPERATE]), YES, YES, YES),
        (caller("bob", acme, &[Roles::READ]), LACKS, LACKS, LACKS),
        (caller("bob", acme, &[]), LACKS, FOREIGN, LACKS),
        (caller("carol", beta, &[Roles::OPERATE]), YES, FOREIGN, FOREIGN),
        (caller("dave", None, &[Roles::OPERATE]), YES, FOREIGN, FOREIGN),
        (caller("root", None, &[Roles::ADMIN]), YES, YES, YES),
        (caller("gateway", beta, &[]), LACKS, LACKS, LACKS),
        (caller("gateway", beta, &[Roles::OPERATE]), YES, YES, YES),
        (caller("alice", acme, &[]), LACKS, LACKS, LACKS),
        (caller("alice", acme, &[Roles::OPERATE]), STARTER, STARTER, STARTER),
        (caller("alice", acme, &[Roles::ADMIN]), STARTER, STARTER, STARTER),
        (anonymous, Err(Refused::NoToken), Err(Refused::NoToken), Err(Refused::NoToken)),
    ] {
        for (belongs, expected) in
            [(Belongs::Open, &open), (Belongs::Owner, &owner), (Belongs::Tenant, &tenant)]
        {
            assert_eq!(of(belongs, &caller, false, true), *expected, "{belongs:?}: {caller:?}");
            let by_starter = if *expected == STARTER { &YES } else { expected };
            assert_eq!(of(belongs, &caller, true, true), *by_starter, "{belongs:?}: {caller:?}");
        }
        // Without tokens all callers are the same.
        assert_eq!(of(Belongs::Open, &caller, false, false), YES, "{caller:?}");
    }
    // The starter is known by its subject alone where a journal has no more.
    let stored = Identity::bare("alice");
    let authority = authority(Belongs::Open);
    let alice = caller("alice", beta, &[Roles::OPERATE]);
    assert_eq!(authority.judge(&alice, Reach::Approve, Some(&stored)), STARTER);
}
