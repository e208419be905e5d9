//! The ledger: budgets over the tree of a run (contract §7.4).
//!
//! ```text
//!   first hand-over of an atomic node                      account of the run
//!     allowance fits into what is left everywhere ─▶ reserve ─┬─ … of a node above it, if
//!     it does not ─▶ budget_exceeded                          │   that has stricter limits
//!                                                             └─ … of the node itself
//!   result ───────────▶ settle:  reserved ─▶ used, as reported; without a report all of it
//!   never begun ──────▶ release: reserved ─▶ ─
//!   ended by another ─▶ stays reserved, since its executor may have spent it, until …
//!   end of the run ───▶ close:   reserved ─▶ used
//! ```
//!
//! A budget covers the node that has it and everything below that node. The
//! constraints of a node include those of its ancestors, so it has an account
//! only for what is stricter there; what is as strict is counted above.
//!
//! **Invariants.** An account changes in the commit of what it is about.
//! `reserved + used ≤ limit + unreserved`: nothing passes a limit but use that
//! no reservation covered, which executors report afterwards. `reserved` is the
//! sum of the allowances of the nodes below. The account of what has ended does
//! not change any more. Without an account nothing is read or written here.
//!
//! - here: accounts; `allowance`: how much a node gets; `usage`: what it reports.

mod allowance;
mod usage;

use std::collections::HashMap;

use serde_json::json;

pub use self::{allowance::with_allowance, usage::Usage};
use super::{
    command::{NodeTypeFacts, Rules},
    constraints,
    draft::Draft,
    extensions::{self, Writer},
};
use crate::{
    record::{Account, Amounts, Kind, Limits, NodeBudget, NodeRecord, RunRecord},
    types::{ConstraintEnvelope, Error, Extensions, NodeKind, NodeRunId, Run},
};

/// The limits of constraints on what is counted.
pub(super) fn limits(constraints: Option<&ConstraintEnvelope>) -> Limits {
    constraints.and_then(|envelope| envelope.budgets.as_ref()).map(Limits::of).unwrap_or_default()
}

/// What a new node has to do with budgets. `own` and `above` are the limits of
/// its constraints and its parent's (or the run's, of the root).
pub(super) fn opened(
    own: &Limits,
    above: &Limits,
    parent: Option<&NodeRecord>,
    facts: &NodeTypeFacts,
) -> NodeBudget {
    let payer = parent.and_then(|parent| match &parent.budget.account {
        Some(_) => Some(parent.id().clone()),
        None => parent.budget.payer.clone(),
    });
    let stricter = of_kind(own.stricter_than(above), facts.kind);
    let account = Account::opened(stricter);
    NodeBudget { account, payer, estimate: facts.estimated_usage, ..NodeBudget::default() }
}

/// An atomic node is one step: only a limit of none at all means anything to it.
fn of_kind(limits: Limits, kind: Option<NodeKind>) -> Limits {
    match kind {
        Some(NodeKind::Atomic) => Limits { steps: limits.steps.filter(|steps| *steps == 0), ..limits },
        Some(NodeKind::Composite) | None => limits,
    }
}

/// Adds what a node's type says and was not known when the node was made: `own`
/// are the limits of its constraints now, `before` those of then.
pub(super) fn learned(node: &mut NodeRecord, own: &Limits, before: &Limits, rules: &Rules) {
    let stricter = of_kind(own.stricter_than(before), node.node.kind);
    if stricter.is_nothing() {
        return;
    }
    let account = node.budget.account.get_or_insert_default();
    let known = account.limit;
    account.limit = Limits {
        steps: stricter.steps.or(known.steps),
        external_calls: stricter.external_calls.or(known.external_calls),
        cost_millionths: stricter.cost_millionths.or(known.cost_millionths),
    };
    mirror_node(node, rules);
}

/// Opens the accounts of an adopted run. What was counted before stays counted:
/// by its mirror, if one of us wrote that, and by the nodes that were started.
pub(super) fn adopt(run: &mut RunRecord, nodes: &mut [NodeRecord], rules: &Rules) {
    if run.is_terminal() {
        return;
    }
    let of_run = stored(run.run.extensions.as_ref());
    run.account = Account::opened(of_run);
    let index: HashMap<NodeRunId, usize> =
        nodes.iter().enumerate().map(|(at, node)| (node.id().clone(), at)).collect();
    let parent_of = |nodes: &[NodeRecord], at: usize| {
        nodes[at].node.parent_node_run_id.as_ref().and_then(|parent| index.get(parent)).copied()
    };
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    // Parents first.
    order.sort_by_key(|&at| nodes[at].path.depth());
    for at in order {
        let (node, parent) = (&nodes[at], parent_of(nodes, at).map(|parent| &nodes[parent]));
        let facts = NodeTypeFacts {
            kind: node.node.kind,
            estimated_usage: node.budget.estimate,
            ..NodeTypeFacts::default()
        };
        let above = parent.map_or(of_run, |parent| stored(parent.node.extensions.as_ref()));
        let mut budget = opened(&stored(node.node.extensions.as_ref()), &above, parent, &facts);
        // What has ended spends nothing any more.
        budget.account = budget.account.filter(|_| !node.is_terminal());
        nodes[at].budget = budget;
    }
    let mut steps = vec![0_u64; nodes.len()];
    let mut all_steps = 0;
    for at in (0..nodes.len()).filter(|&at| nodes[at].node.started_at.is_some()) {
        all_steps += 1;
        let mut payer = Some(at);
        // Each has a smaller depth than the one before.
        while let Some(at) = payer {
            steps[at] += 1;
            payer = nodes[at].budget.payer.as_ref().and_then(|payer| index.get(payer)).copied();
        }
    }
    if let Some(account) = &mut run.account {
        inherit(account, run.run.extensions.as_ref(), all_steps);
        mirror_run(&mut run.run, run.account.as_ref(), rules);
    }
    for (node, steps) in nodes.iter_mut().zip(steps) {
        if let Some(account) = &mut node.budget.account {
            inherit(account, node.node.extensions.as_ref(), steps);
            mirror_node(node, rules);
        }
    }
}

fn stored(extensions: Option<&Extensions>) -> Limits {
    limits(constraints::stored(extensions).unwrap_or_default().as_ref())
}

/// Nothing reserved it here.
fn inherit(account: &mut Account, mirror: Option<&Extensions>, steps: u64) {
    let spent = usage::of_mirror(mirror);
    account.used = Amounts { steps: spent.steps.max(steps), ..spent };
    account.unreserved = account.used;
}

/// Takes the accounts that a node's use counts in: those of live nodes above it.
fn live(payers: &[NodeRecord]) -> Vec<NodeRecord> {
    payers.iter().filter(|payer| !payer.is_terminal()).cloned().collect()
}

fn is_limited(draft: &Draft<'_>, node: &NodeRecord, payers: &[NodeRecord]) -> bool {
    draft.run.account.is_some() || node.budget.account.is_some() || !payers.is_empty()
}

/// Counts a first hand-over and reserves the node's allowance, everywhere or
/// nowhere. After a failed result that is settled, the next attempt reserves again;
/// it is no further step. Returns what the executor may use; kinds without a limit are absent.
pub(super) fn reserve(
    draft: &mut Draft<'_>,
    node: &mut NodeRecord,
    payers: &[NodeRecord],
    kind: NodeKind,
) -> Result<Limits, Error> {
    let payers = live(payers);
    if !is_limited(draft, node, &payers) {
        return Ok(Limits::default());
    }
    let accounts = Accounts { run: draft.run.account.as_ref(), node, payers: &payers };
    let is_first = node.attempt == 0;
    if !is_first && !node.budget.settled {
        // The first attempt has reserved for all of them.
        return Ok(allowance::again(&accounts, kind));
    }
    let allowance = allowance::of(&accounts, kind, is_first, draft.cx.rules)?;
    let step = Amounts { steps: u64::from(is_first), ..Amounts::default() };
    node.budget.settled = false;
    let reserved = allowance.reserved;
    change(draft, node, payers, |account| {
        account.used = account.used.plus(&step);
        account.reserved = account.reserved.plus(&reserved);
    });
    node.budget.reserved = match kind {
        NodeKind::Atomic => Some(reserved),
        NodeKind::Composite => None,
    };
    Ok(allowance.granted)
}

/// Replaces the node's reservation by what was used: as reported, and where
/// nothing was, all of the allowance. A node without a reservation (a composite)
/// uses what it reports.
pub(super) fn settle(
    draft: &mut Draft<'_>,
    node: &mut NodeRecord,
    payers: &[NodeRecord],
    usage: Option<&Usage>,
) {
    let payers = live(payers);
    if !is_limited(draft, node, &payers) {
        return;
    }
    let reserved = node.budget.reserved.take().unwrap_or_default();
    let used = usage.map_or(reserved, |usage| usage.or(&reserved));
    let unreserved = used.minus(&reserved);
    if reserved.is_nothing() && used.is_nothing() {
        return;
    }
    change(draft, node, payers, |account| {
        account.reserved = account.reserved.minus(&reserved);
        account.used = account.used.plus(&used);
        account.unreserved = account.unreserved.plus(&unreserved);
    });
}

/// Settles a failed result that is followed by another attempt.
pub(super) fn settle_for_another(
    draft: &mut Draft<'_>,
    node: &mut NodeRecord,
    payers: &[NodeRecord],
    usage: Option<&Usage>,
) {
    node.budget.settled |= node.budget.reserved.is_some();
    settle(draft, node, payers, usage);
}

/// Gives back the reservation of a node on which no executor has begun to work.
pub(super) fn release(draft: &mut Draft<'_>, node: &mut NodeRecord, payers: &[NodeRecord]) {
    let Some(reserved) = node.budget.reserved.take() else { return };
    if !reserved.is_nothing() {
        change(draft, node, live(payers), |account| account.reserved = account.reserved.minus(&reserved));
    }
}

/// The end of the run: what is still reserved may have been spent.
pub(super) fn close(run: &mut RunRecord, rules: &Rules) {
    if let Some(account) = &mut run.account
        && !account.reserved.is_nothing()
    {
        account.used = account.used.plus(&account.reserved);
        account.reserved = Amounts::default();
        mirror_run(&mut run.run, run.account.as_ref(), rules);
    }
}

/// Changes all accounts that the node's use counts in, with their mirrors.
fn change(
    draft: &mut Draft<'_>,
    node: &mut NodeRecord,
    payers: Vec<NodeRecord>,
    apply: impl Fn(&mut Account),
) {
    let rules = draft.cx.rules;
    if let Some(account) = &mut draft.run.account
        && !draft.run.run.state.is_terminal()
    {
        apply(account);
        mirror_run(&mut draft.run.run, draft.run.account.as_ref(), rules);
        draft.run_changed();
    }
    if let Some(account) = &mut node.budget.account
        && !node.node.state.is_terminal()
    {
        apply(account);
        mirror_node(node, rules);
    }
    for mut payer in payers {
        draft.note_loaded(&payer);
        if let Some(account) = &mut payer.budget.account {
            apply(account);
        }
        mirror_node(&mut payer, rules);
        draft.put(payer);
    }
}

/// The accounts that a node's use counts in.
struct Accounts<'a> {
    run: Option<&'a Account>,
    node: &'a NodeRecord,
    payers: &'a [NodeRecord],
}

impl<'a> Accounts<'a> {
    /// Each with the node that has it; the run's has none.
    fn all(&self) -> impl Iterator<Item = (Option<&'a NodeRecord>, &'a Account)> {
        let of_node = |node: &'a NodeRecord| Some((Some(node), node.budget.account.as_ref()?));
        let below = std::iter::once(self.node).chain(self.payers).filter_map(of_node);
        self.run.map(|account| (None, account)).into_iter().chain(below)
    }

    /// The account with the least left of a kind, if the kind is limited.
    fn tightest(&self, kind: Kind) -> Option<(Option<&'a NodeRecord>, &'a Account, u64)> {
        let limited = self.all().filter_map(|(place, account)| Some((place, account, account.left(kind)?)));
        limited.min_by_key(|(_, _, left)| *left)
    }

    /// The error of a node for which there is too little left of a kind.
    fn exceeded(&self, kind: Kind, wanted: u64) -> Error {
        let Some((place, account, _)) = self.tightest(kind) else {
            return Error::new("budget_exceeded", "Budget exceeded");
        };
        let name = kind.limit_name();
        let of = place.map_or("run".to_owned(), |node| format!("NodeRun '{}'", node.id()));
        let mut details =
            vec![("limit", json!(name)), ("wanted", kind.shown(wanted)), ("account", account.shown().into())];
        if let Some(node) = place {
            details.push(("node_run_id", json!(node.id())));
        }
        Error {
            details: Some(details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            retryable: Some(false),
            ..Error::new("budget_exceeded", format!("{name} of the {of} is exhausted"))
        }
    }
}

pub(super) fn mirror_run(run: &mut Run, account: Option<&Account>, rules: &Rules) {
    if let Some(account) = account {
        run.extensions = Writer::update(rules, run.extensions.take()).budget(Some(account)).done();
    }
}

fn mirror_node(node: &mut NodeRecord, rules: &Rules) {
    if let Some(account) = &node.budget.account {
        let extensions = Writer::update(rules, node.node.extensions.take());
        node.node.extensions = extensions.budget(Some(account)).done();
    }
}

/// Records on a NodeRun what its executor reported, and whether that was more
/// than its allowance.
pub(super) fn record_usage(node: &mut NodeRecord, usage: Option<&Usage>, rules: &Rules) {
    let Some(usage) = usage else { return };
    let shown = usage.shown(node.budget.reserved.as_ref());
    let extensions = Writer::update(rules, node.node.extensions.take());
    node.node.extensions = extensions.exactly(extensions::USAGE, &shown).done();
}
