//! The accounts of budgets (contract §7.4): no limit is passed unnoticed, and every
//! reservation ends.

use super::{Findings, Scene, records::about};
use crate::{
    record::{Account, Amounts, Kind, NodeRecord},
    types::{Extensions, NodeKind, NodeRunId},
};

pub(super) fn check(scene: &Scene<'_>, findings: &mut Findings) {
    let run = scene.run;
    let place = Place { id: &run.id(), ended: run.is_terminal(), extensions: run.run.extensions.as_ref() };
    place.check(scene, run.account.as_ref(), |_| true, findings);
    let reserved = run.account.map(|account| account.reserved).unwrap_or_default();
    let all_ended = !run.is_terminal() || reserved.is_nothing();
    findings
        .rule("every reservation ends with its run", all_ended, || format!("{reserved:?} of {}", run.id()));
    for node in scene.nodes.values() {
        let below = |other: &NodeRecord| node.path.contains(&other.path);
        let (ended, extensions) = (node.is_terminal(), node.node.extensions.as_ref());
        let place = Place { id: &node.id(), ended, extensions };
        place.check(scene, node.budget.account.as_ref(), below, findings);
        if !scene.adopted {
            let nearest = payer(scene, node);
            findings.same(
                "a node pays at the nearest account above it",
                &node.id(),
                &node.budget.payer.as_ref(),
                &nearest,
            );
        }
        let may_reserve = node.attempt > 0 && node.node.kind == Some(NodeKind::Atomic);
        let fits = node.budget.reserved.is_none() || may_reserve;
        findings.rule("only an atomic node at an executor has a reservation", fits, || about(node));
    }
}

fn payer<'h>(scene: &Scene<'h>, node: &NodeRecord) -> Option<&'h NodeRunId> {
    let mut above = scene.parent(node);
    // No tree is deeper than the number of its nodes.
    for _ in 0..scene.nodes.len() {
        let node = above?;
        if node.budget.account.is_some() {
            return Some(node.id());
        }
        above = scene.parent(node);
    }
    None
}

/// What has an account.
struct Place<'p> {
    id: &'p dyn std::fmt::Display,
    ended: bool,
    extensions: Option<&'p Extensions>,
}

impl Place<'_> {
    fn check(
        &self,
        scene: &Scene<'_>,
        account: Option<&Account>,
        below: impl Fn(&NodeRecord) -> bool,
        findings: &mut Findings,
    ) {
        let mirror = self.extensions.and_then(|extensions| extensions.get("jarvis.budget"));
        let Some(account) = account else { return };
        let shown = Some(account.shown().into());
        findings.same("an account is shown as it is", &self.id, &mirror, &shown);
        let covered = |kind: Kind| {
            let spent = account.used.get(kind).saturating_add(account.reserved.get(kind));
            let limit = account.limit.get(kind);
            limit.is_none_or(|limit| spent <= limit.saturating_add(account.unreserved.get(kind)))
        };
        let holds = Kind::ALL.into_iter().all(covered);
        findings.rule("no limit is passed but by what was not reserved", holds, || {
            format!("{}: {account:?}", self.id)
        });
        if !self.ended {
            let open =
                scene.nodes.values().filter(|node| below(node)).filter_map(|node| node.budget.reserved);
            let open = open.fold(Amounts::default(), |sum, reserved| sum.plus(&reserved));
            findings.same(
                "what is reserved is the sum of the allowances",
                &self.id,
                &account.reserved,
                &open,
            );
        }
        if !scene.adopted {
            let started = scene.nodes.values().filter(|node| below(node) && node.node.started_at.is_some());
            let steps = started.count() as u64;
            findings.same("steps are the nodes that were handed over", &self.id, &account.used.steps, &steps);
        }
    }
}
