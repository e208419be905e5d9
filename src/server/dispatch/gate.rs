//! The gate before a pool of executors: which members a node may go to, how many
//! calls may be under way, and whether any may be sent.
//!
//! ```text
//!   execute, begin ──▶ member, slot (`slots`) ──▶ call ──▶ outcome ──▶ breaker of the member
//!                         └─ all breakers open ──▶ deferred
//!   cancel ──────────▶ the members where it may run ──▶ permit of each, first in first out ──▶ call
//! ```
//!
//! **Architecture invariant.** A request goes only to a URL that is configured:
//! bindings in records are compared with the members, and never called.

use std::sync::Arc;

use futures::future::join_all;
use slog::Logger;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::slots::{MemberLoad, MemberNumber, Refusal, Slot, Slots, Wish};
use crate::{
    clients::{CallError, Failure, NotSent, Service},
    coordinator::Pauses,
    engine::Placement,
    resilience::{CallHealth, FAILURES, ServiceWatch},
    time::Clock,
    types::{Error, ExecutorBinding, RunId, Uri},
};

/// The most cancel calls to a member at the same time.
const CANCELS: usize = 64;

/// How the members of a pool are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// There is one, and it has no name: all nodes are its.
    Single,
    /// By their addresses.
    Addresses,
    /// By names that the operator has given; a node may request one.
    Given,
}

pub(super) struct Gate {
    pub(super) service: Service,
    pub(super) names: Names,
    slots: Arc<Slots>,
    members: Vec<Member>,
    clock: Arc<dyn Clock>,
}

struct Member {
    binding: ExecutorBinding,
    cancels: Semaphore,
    watch: ServiceWatch,
}

/// What the gates of one kind have in common.
pub(super) struct GateOptions {
    pub(super) service: Service,
    pub(super) names: Names,
    /// Of each member.
    pub(super) max_in_flight: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) log: Logger,
}

/// The members at which a node may be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NodeHosts {
    pub(super) members: Vec<MemberNumber>,
    /// The node may also be at this number of members that are not configured.
    pub(super) gone: usize,
}

impl Gate {
    pub(super) fn new(options: GateOptions, bindings: Vec<ExecutorBinding>) -> Self {
        let GateOptions { service, names, max_in_flight, clock, log } = options;
        let slots = Slots::new(bindings.len(), max_in_flight, Arc::clone(&clock));
        let member = |binding: ExecutorBinding| Member {
            watch: ServiceWatch::new(service.name(), host(&binding.endpoint), FAILURES, log.clone()),
            binding,
            cancels: Semaphore::new(CANCELS),
        };
        Self { service, names, slots, members: bindings.into_iter().map(member).collect(), clock }
    }

    /// Whether a node's record says where the node may go, or may be.
    pub(super) fn is_pool(&self) -> bool {
        match self.names {
            Names::Single => false,
            Names::Addresses | Names::Given => true,
        }
    }

    /// Where a node may go, or the error of a node that may go nowhere (contract
    /// §9.2 step 6).
    pub(super) fn wish(&self, placement: &Placement) -> Result<Wish, Error> {
        let unknown = |message: &str| Error::new("executor_instance_unknown", message);
        let last = placement.last.as_ref();
        if let Some(last) = last.filter(|_| placement.pinned) {
            let gone = "The executor instance that may have begun the node is not configured any more";
            let only = self.find(last).ok_or_else(|| unknown(gone))?;
            return Ok(Wish { only: Some(only), avoid: None });
        }
        let only = match (&placement.requested, self.names) {
            (Some(requested), Names::Given) => {
                let never = "The requested executor instance is not configured";
                Some(self.named(requested).ok_or_else(|| unknown(never))?)
            }
            // Without names it is recorded only (D-25).
            (Some(_) | None, Names::Single | Names::Addresses) | (None, Names::Given) => None,
        };
        Ok(Wish { only, avoid: last.and_then(|last| self.find(last)) })
    }

    /// Keeps calls from the members that are paused by their names.
    pub(super) fn suspend(&self, pauses: &Pauses) {
        if !self.is_pool() {
            return;
        }
        let is_paused = |number| self.name_of(number).is_some_and(|name| pauses.has_member(&name));
        self.slots.suspend((0..self.members.len()).map(|number| is_paused(MemberNumber(number))));
    }

    /// The name of a member as health reports it: its own, or its number, since health
    /// is public and addresses are not.
    pub(super) fn name_of(&self, number: MemberNumber) -> Option<String> {
        match self.names {
            Names::Given => Some(self.binding(number).executor_instance_id.clone()),
            Names::Addresses => Some((number.0 + 1).to_string()),
            Names::Single => None,
        }
    }

    /// Waits for a slot of a member.
    pub(super) async fn slot(&self, run: &RunId, wish: Wish) -> Result<Slot, Refusal> {
        self.slots.acquire(run, wish).await
    }

    /// Takes a slot of a member, if one is free now.
    pub(super) fn slot_now(&self, run: &RunId, wish: Wish) -> Option<Slot> {
        self.slots.acquire_now(run, wish)
    }

    /// Records the outcome of the call for which a slot was taken.
    pub(super) fn answered<T>(&self, slot: &mut Slot, answer: &Result<T, CallError>) {
        let watch = &self.members[slot.member().0].watch;
        match answer {
            Ok(_) => watch.answered(self.clock.now()),
            Err(error) => match health(error) {
                Some(CallHealth::Healthy) => watch.answered(self.clock.now()),
                Some(CallHealth::Failed { .. }) => {
                    watch.failed(error, self.clock.now());
                }
                None => {}
            },
        }
        slot.answered(answer);
    }

    /// Serves those who wait, if a member may be called again.
    pub(super) fn serve(&self) {
        self.slots.serve();
    }

    pub(super) fn binding(&self, member: MemberNumber) -> &ExecutorBinding {
        &self.members[member.0].binding
    }

    /// The number of slots of each member.
    pub(super) fn slots_each(&self) -> usize {
        self.slots.each()
    }

    /// The members in the order of the setting, each with its load, and how often it
    /// was left alone.
    pub(super) fn loads(&self) -> impl Iterator<Item = (&ExecutorBinding, MemberLoad, u64)> {
        let loads = self.members.iter().zip(self.slots.loads());
        loads.map(|(member, load)| (&member.binding, load, member.watch.outages()))
    }

    /// How many nodes wait for a slot.
    pub(super) fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// The members to notify of the end of a node that may be at these hosts; all
    /// members if that is not known.
    pub(super) fn hosts(&self, hosts: &[ExecutorBinding]) -> NodeHosts {
        if hosts.is_empty() || !self.is_pool() {
            return NodeHosts { members: (0..self.members.len()).map(MemberNumber).collect(), gone: 0 };
        }
        let mut found = NodeHosts::default();
        for host in hosts {
            match self.find(host) {
                Some(member) if found.members.contains(&member) => {}
                Some(member) => found.members.push(member),
                None => found.gone += 1,
            }
        }
        found
    }

    /// Waits for the permit to send a cancel call to a member.
    pub(super) async fn cancel_permit(&self, member: MemberNumber) -> Option<SemaphorePermit<'_>> {
        self.members[member.0].cancels.acquire().await.ok()
    }

    /// Waits until each member has had a permit to give.
    pub(super) async fn cancels_sent(&self) {
        join_all(self.members.iter().map(|member| member.cancels.acquire())).await;
    }

    fn named(&self, id: &str) -> Option<MemberNumber> {
        self.position(|binding| binding.executor_instance_id == id)
    }

    /// The member of a binding in a record: by its id, or else by its address.
    fn find(&self, host: &ExecutorBinding) -> Option<MemberNumber> {
        let address = |uri: &Uri| uri.trim_end_matches('/').to_owned();
        let sought = address(&host.endpoint);
        let by_address = || self.position(|binding| address(&binding.endpoint) == sought);
        self.named(&host.executor_instance_id).or_else(by_address)
    }

    fn position(&self, is: impl Fn(&ExecutorBinding) -> bool) -> Option<MemberNumber> {
        self.members.iter().position(|member| is(&member.binding)).map(MemberNumber)
    }
}

/// Host and port of an endpoint, which has no credentials.
fn host(endpoint: &Uri) -> String {
    let text: &str = endpoint;
    text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

impl Slot {
    /// Records the outcome of the call for which it was taken.
    pub(super) fn answered<T>(&mut self, answer: &Result<T, CallError>) {
        let health = match answer {
            Ok(_) => Some(CallHealth::Healthy),
            Err(error) => health(error),
        };
        if let (Some(CallHealth::Failed { .. }), Err(error)) = (health, answer) {
            self.failed(error.to_string());
        }
        if let Some(health) = health {
            self.report(health);
        }
    }
}

/// What a failed call says about the health of the executor, if anything.
fn health(error: &CallError) -> Option<CallHealth> {
    let retry_after = error.retry_after();
    match error.failure {
        // The executor was not even looked for.
        Failure::NotSent(NotSent::NoToken { .. }) => None,
        Failure::NotSent(NotSent::NoConnection | NotSent::Invalid { .. })
        | Failure::NoResponse { .. }
        | Failure::HttpStatus { status: 429 | 502..=504, .. }
        | Failure::Envelope { status: 429 | 502..=504, .. } => Some(CallHealth::Failed { retry_after }),
        Failure::HttpStatus { .. }
        | Failure::Envelope { .. }
        | Failure::Malformed { .. }
        | Failure::TooLarge { .. } => Some(CallHealth::Healthy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    fn binding(id: &str, endpoint: &str) -> ExecutorBinding {
        ExecutorBinding {
            executor_instance_id: id.into(),
            endpoint: Uri::try_from(endpoint.to_owned()).expect("a URI"),
            audience: None,
            extensions: None,
        }
    }

    fn gate(names: Names, members: &[(&str, &str)]) -> Gate {
        let service = Service::AtomicExecutor;
        let log = Logger::root(slog::Discard, slog::o!());
        let options = GateOptions { service, names, max_in_flight: 4, clock: Arc::new(SystemClock), log };
        Gate::new(options, members.iter().map(|(id, endpoint)| binding(id, endpoint)).collect())
    }

    fn pool(names: Names) -> Gate {
        gate(names, &[("a", "http://a:1"), ("b", "http://b:1/x/")])
    }

    fn only(member: usize) -> Wish {
        Wish { only: Some(MemberNumber(member)), avoid: None }
    }

    const UNKNOWN: &str = "executor_instance_unknown";

    #[test]
    fn requested_instance_counts_only_among_names() {
        let asks = |id: &str| Placement { requested: Some(id.into()), ..Placement::default() };
        assert_eq!(pool(Names::Given).wish(&asks("b")), Ok(only(1)));
        assert_eq!(pool(Names::Given).wish(&asks("c")).expect_err("unknown").code, UNKNOWN);
        assert_eq!(pool(Names::Addresses).wish(&asks("b")), Ok(Wish::default()));
        assert_eq!(gate(Names::Single, &[("a", "http://a")]).wish(&asks("b")), Ok(Wish::default()));
        assert_eq!(gate(Names::Given, &[("a", "http://a")]).wish(&asks("b")).expect_err("no").code, UNKNOWN);
    }

    #[test]
    fn pinned_node_goes_back_to_its_member_or_nowhere() {
        let at = |id: &str, endpoint: &str, pinned| Placement {
            requested: Some("a".into()),
            last: Some(binding(id, endpoint)),
            pinned,
        };
        let gate = pool(Names::Given);
        assert_eq!(gate.wish(&at("b", "http://moved:1", true)), Ok(only(1)), "it has moved");
        assert_eq!(gate.wish(&at("as-of-old", "http://b:1/x", true)), Ok(only(1)), "it was renamed");
        assert_eq!(gate.wish(&at("c", "http://c:1", true)).expect_err("it is gone").code, UNKNOWN);
        let avoid = Some(MemberNumber(1));
        assert_eq!(gate.wish(&at("b", "http://b:1/x", false)), Ok(Wish { avoid, ..only(0) }));
        let addresses = pool(Names::Addresses).wish(&at("b", "http://b:1/x", false));
        assert_eq!(addresses, Ok(Wish { only: None, avoid }));
    }

    #[test]
    fn cancel_goes_to_configured_members_only() {
        let (a, b) = (MemberNumber(0), MemberNumber(1));
        let gate = pool(Names::Addresses);
        for (hosts, members, gone) in [
            (vec![], vec![a, b], 0),
            (vec![binding("b", "http://b:1/x/")], vec![b], 0),
            (
                vec![
                    binding("b", "http://b:1/x/"),
                    binding("old", "http://b:1/x"),
                    binding("a", "http://a:1"),
                ],
                vec![b, a],
                0,
            ),
            (vec![binding("c", "http://169.254.169.254/")], vec![], 1),
            (vec![binding("c", "http://c:1"), binding("a", "http://a:1")], vec![a], 1),
        ] {
            assert_eq!(gate.hosts(&hosts), NodeHosts { members, gone }, "{hosts:?}");
        }
        // A single executor without a name has always been notified, wherever it was.
        let single = self::gate(Names::Single, &[("one", "http://one")]);
        let of_single = single.hosts(&[binding("c", "http://c:1")]);
        assert_eq!(of_single, NodeHosts { members: vec![a], gone: 0 });
    }

    #[test]
    fn only_an_executor_that_cannot_serve_has_failed() {
        let status = |status| Failure::HttpStatus { status, reason: "why".into(), retry_after: None };
        let failed = Some(CallHealth::Failed { retry_after: None });
        let healthy = Some(CallHealth::Healthy);
        for (failure, expected) in [
            (Failure::NotSent(NotSent::NoToken { reason: "why".into() }), None),
            (Failure::NotSent(NotSent::NoConnection), failed),
            (Failure::NoResponse { reason: "why".into() }, failed),
            (status(404), healthy),
            (status(429), failed),
            (status(500), healthy),
            (status(502), failed),
            (status(503), failed),
            (status(504), failed),
            (Failure::Malformed { reason: "why".into() }, healthy),
        ] {
            let error = CallError::new(Service::AtomicExecutor, failure);
            assert_eq!(health(&error), expected, "{error:?}");
        }
    }
}
