//! The Run Store: Runs and NodeRuns as whole objects.
//!
//! ```text
//!                ┌──────── there is none (404) ────────┐
//!   new ──▶ create ── other content, or there (409) ──▶ replace ◀── changed
//!                └── as sent ──▶ saved ◀── done ───────┘
//! ```
//!
//! The key of a create is the object's own id: a repeated create answers what
//! is stored, whatever was sent, so an answer that differs is not yet saved.

use std::collections::HashSet;

use super::{Patience, found, nonsense};
use crate::{
    clients::{
        CallError, Service,
        run_store::{
            Client,
            types::{CreateNodeRunRequest, CreateRunRequest, UpdateNodeRunRequest, UpdateRunRequest},
        },
    },
    types::{NodeRun, NodeRunId, Run, RunId},
};

/// NodeRuns a page of a listing; the most that the store gives.
const PAGE: u64 = 500;
/// NodeRuns of a run that are listed at most.
const NODES_MAX: usize = 100_000;

/// The Run Store, as its callers want it.
#[derive(Clone)]
pub struct RunStore {
    client: Client,
    patience: Patience,
}

enum Step {
    Create,
    Replace,
}

impl RunStore {
    pub fn new(client: Client, patience: Patience) -> Self {
        Self { client, patience }
    }

    /// Whether it answers at all.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.patience.call(Service::RunStore, self.client.health()).await.map(drop)
    }

    /// Makes the stored Run be this one. `new` is a guess that spares a call.
    pub async fn run_save(&self, run: &Run, new: bool) -> Result<(), CallError> {
        let create = || async {
            let key = Some(run.run_id.to_string());
            let body = CreateRunRequest { run: run.clone(), idempotency_key: key };
            let stored = self.patience.call(Service::RunStore, self.client.create_run(&body)).await?;
            Ok(stored.into_inner().run == *run)
        };
        let replace = || async {
            let body = UpdateRunRequest { run: run.clone() };
            let call = self.client.update_run(&run.run_id, &body);
            found(self.patience.call(Service::RunStore, call).await).map(|found| found.is_some())
        };
        save(new, create, replace).await
    }

    /// Makes the stored NodeRun be this one.
    pub async fn node_run_save(&self, node: &NodeRun, new: bool) -> Result<(), CallError> {
        let create = || async {
            let key = Some(node.node_run_id.to_string());
            let body = CreateNodeRunRequest { node_run: node.clone(), idempotency_key: key };
            let stored = self.patience.call(Service::RunStore, self.client.create_node_run(&body)).await?;
            Ok(stored.into_inner().node_run == *node)
        };
        let replace = || async {
            let body = UpdateNodeRunRequest { node_run: node.clone() };
            let call = self.client.update_node_run(&node.node_run_id, &body);
            found(self.patience.call(Service::RunStore, call).await).map(|found| found.is_some())
        };
        save(new, create, replace).await
    }

    pub async fn run_get(&self, run: &RunId) -> Result<Option<Run>, CallError> {
        let answer = self.patience.call(Service::RunStore, self.client.get_run(run)).await;
        Ok(found(answer)?.map(|answer| answer.into_inner().run))
    }

    pub async fn node_run_get(&self, node: &NodeRunId) -> Result<Option<NodeRun>, CallError> {
        let answer = self.patience.call(Service::RunStore, self.client.get_node_run(node)).await;
        Ok(found(answer)?.map(|answer| answer.into_inner().node_run))
    }

    /// All NodeRuns of a run, in the order in which they were created.
    pub async fn node_runs_list(&self, run: &RunId) -> Result<Vec<NodeRun>, CallError> {
        let mut listing = Listing::default();
        let mut token: Option<String> = None;
        loop {
            let call = self.client.list_node_runs(run, PAGE.try_into().ok(), token.as_deref());
            let page = self.patience.call(Service::RunStore, call).await?.into_inner();
            token = page.next_token.filter(|next| !next.is_empty());
            listing.add(page.items, token.is_some())?;
            if token.is_none() {
                return Ok(listing.nodes);
            }
        }
    }
}

/// What the pages of a listing have brought so far.
#[derive(Default)]
struct Listing {
    nodes: Vec<NodeRun>,
    seen: HashSet<NodeRunId>,
}

impl Listing {
    /// Adds a page, which must bring something new if there are to be `more`:
    /// a store that gives the same again and again would be followed for ever.
    fn add(&mut self, page: Vec<NodeRun>, more: bool) -> Result<(), CallError> {
        let before = self.nodes.len();
        let new = page.into_iter().filter(|node| self.seen.insert(node.node_run_id.clone()));
        self.nodes.extend(new);
        if more && self.nodes.len() == before {
            return Err(nonsense(
                Service::RunStore,
                "a page of a listing brings nothing new, and there are more",
            ));
        }
        if self.nodes.len() > NODES_MAX {
            return Err(nonsense(Service::RunStore, &format!("a run has more than {NODES_MAX} NodeRuns")));
        }
        Ok(())
    }
}

/// Saves by `create`, which says whether what is stored now is what was sent,
/// and `replace`, which says whether there was anything to replace.
async fn save<C, R>(
    new: bool,
    create: impl Fn() -> C + Send,
    replace: impl Fn() -> R + Send,
) -> Result<(), CallError>
where
    C: Future<Output = Result<bool, CallError>> + Send,
    R: Future<Output = Result<bool, CallError>> + Send,
{
    let mut step = if new { Step::Create } else { Step::Replace };
    // Twice through, and it would be found and not found at the same time.
    for _ in 0..3 {
        step = match step {
            Step::Create => match create().await {
                Ok(true) => return Ok(()),
                Ok(false) => Step::Replace,
                Err(error) if error.status == Some(409) => Step::Replace,
                Err(error) => return Err(error),
            },
            Step::Replace => match replace().await? {
                true => return Ok(()),
                false => Step::Create,
            },
        };
    }
    Err(CallError::unavailable(Service::RunStore, "it is neither there nor can it be made"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn refusal(status: u16) -> CallError {
        CallError { status: Some(status), ..CallError::unavailable(Service::RunStore, "a test") }
    }

    /// What is called, in order, when the store answers so.
    async fn calls(
        new: bool,
        create: Result<bool, CallError>,
        replace: Result<bool, CallError>,
    ) -> (String, Option<u16>) {
        let calls = Mutex::new(String::new());
        let called = |name, answer: &Result<bool, CallError>| {
            calls.lock().unwrap().push_str(name);
            answer.clone()
        };
        let result = save(new, || async { called("c", &create) }, || async { called("r", &replace) }).await;
        let status = result.err().map(|error| error.status.unwrap_or_default());
        (calls.into_inner().unwrap(), status)
    }

    fn node(number: usize) -> NodeRun {
        let node = serde_json::json!({
            "node_run_id": format!("n-{number}"), "run_id": "r", "state": "queued",
            "node_type_ref": {"node_type_id": "atomic.echo", "version": "1.0.0"},
        });
        serde_json::from_value(node).expect("a NodeRun")
    }

    #[test]
    fn a_listing_is_followed_to_its_end() {
        let mut listing = Listing::default();
        for page in 0..5 {
            let items = (0..3).map(|number| node(3 * page + number)).collect();
            listing.add(items, true).expect("it gets on");
        }
        listing.add(Vec::new(), false).expect("the last page may be empty");
        assert_eq!(listing.nodes, (0..15).map(node).collect::<Vec<_>>());
    }

    #[test]
    fn a_listing_that_does_not_get_on_is_refused() {
        type Page = fn(usize) -> Vec<NodeRun>;
        let cases: [(&str, Page); 3] = [
            ("the same page again", |_| vec![node(0)]),
            ("nothing, and more of it", |_| Vec::new()),
            ("no end", |page| (0..500).map(|number| node(500 * page + number)).collect()),
        ];
        for (case, answer) in cases {
            let mut listing = Listing::default();
            let refused = (0..1000).find_map(|page| listing.add(answer(page), true).err());
            let error = refused.unwrap_or_else(|| panic!("{case}: it goes on for ever"));
            assert!(!error.retryable && error.status == Some(200), "{case}: {error:?}");
        }
    }

    #[tokio::test]
    async fn what_a_save_calls_depends_on_what_is_there() {
        let (yes, no) = (|| Ok(true), || Ok(false));
        for (new, create, replace, called, status) in [
            (true, yes(), yes(), "c", None),
            // The same key was used before: what is stored may be older.
            (true, no(), yes(), "cr", None),
            (true, Err(refusal(409)), yes(), "cr", None),
            (true, Err(refusal(507)), yes(), "c", Some(507)),
            (true, no(), Err(refusal(500)), "cr", Some(500)),
            (false, yes(), yes(), "r", None),
            (false, yes(), no(), "rc", None),
            (false, yes(), Err(refusal(503)), "r", Some(503)),
            // A store that contradicts itself is not asked for ever.
            (false, Err(refusal(409)), no(), "rcr", Some(0)),
        ] {
            let case = format!("{new} {create:?} {replace:?}");
            assert_eq!(calls(new, create, replace).await, (called.to_owned(), status), "{case}");
        }
    }
}
