//! The Run Store: Runs and NodeRuns as whole objects (contract §14).
//!
//! ```text
//!                ┌──────────── not found (404) ───────────┐
//!   new ──▶ create ── other content, or exists (409) ──▶ replace ◀── changed
//!                └── as sent ──▶ saved ◀── replaced ──────┘
//! ```
//!
//! The idempotency key of a create is the object's own id: a repeated create
//! answers with the stored object, even if another one was sent. So an answer that
//! differs from the sent object means that it was not saved.

use std::collections::HashSet;

use async_trait::async_trait;
use futures::FutureExt;
use progenitor_client::{Error, ResponseValue};

use crate::{
    clients::{
        CallError, CallTimeout, Service,
        run_store::{
            Client,
            types::{CreateNodeRunRequest, CreateRunRequest, UpdateNodeRunRequest, UpdateRunRequest},
        },
    },
    types::{ErrorEnvelope, NodeRun, NodeRunId, Run, RunId},
};

/// NodeRuns per page of a listing: the most that the store returns.
const PAGE: u64 = 500;
/// The most NodeRuns that are listed of a run.
const NODES_MAX: usize = 100_000;

/// Where Runs and NodeRuns are saved.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Checks that the store answers.
    async fn reach(&self) -> Result<(), CallError>;

    /// Makes this the stored Run. `new` is a guess that saves a call.
    async fn run_save(&self, run: &Run, new: bool) -> Result<(), CallError>;

    /// Makes this the stored NodeRun. `new` is a guess that saves a call.
    async fn node_run_save(&self, node: &NodeRun, new: bool) -> Result<(), CallError>;
}

/// A client of the Run Store.
#[derive(Clone)]
pub struct RunStore {
    client: Client,
    timeout: CallTimeout,
}

enum Step {
    Create,
    Replace,
}

impl RunStore {
    pub fn new(client: Client, timeout: CallTimeout) -> Self {
        Self { client, timeout }
    }

    pub async fn run_get(&self, run: &RunId) -> Result<Option<Run>, CallError> {
        Ok(self.call_found(self.client.get_run(run)).await?.map(|found| found.run))
    }

    pub async fn node_run_get(&self, node: &NodeRunId) -> Result<Option<NodeRun>, CallError> {
        Ok(self.call_found(self.client.get_node_run(node)).await?.map(|found| found.node_run))
    }

    /// Lists all NodeRuns of a run, in the order of their creation.
    pub async fn node_runs_list(&self, run: &RunId) -> Result<Vec<NodeRun>, CallError> {
        let mut listing = Listing::default();
        let mut token: Option<String> = None;
        loop {
            let call = self.client.list_node_runs(run, PAGE.try_into().ok(), token.as_deref());
            let page = self.call(call).await?;
            token = page.next_token.filter(|next| !next.is_empty());
            listing.add(page.items, token.is_some())?;
            if token.is_none() {
                return Ok(listing.nodes);
            }
        }
    }

    fn call<T>(
        &self,
        call: impl Future<Output = Result<ResponseValue<T>, Error<ErrorEnvelope>>>,
    ) -> impl Future<Output = Result<T, CallError>> {
        self.timeout.call(Service::RunStore, self.client.call(call))
    }

    /// As [`Self::call`]; `None` if the store does not have the object.
    fn call_found<T>(
        &self,
        call: impl Future<Output = Result<ResponseValue<T>, Error<ErrorEnvelope>>>,
    ) -> impl Future<Output = Result<Option<T>, CallError>> {
        self.call(call).map(|answer| match answer {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        })
    }
}

#[async_trait]
impl ObjectStore for RunStore {
    async fn reach(&self) -> Result<(), CallError> {
        self.call(self.client.health()).await.map(drop)
    }

    async fn run_save(&self, run: &Run, new: bool) -> Result<(), CallError> {
        let create = || async {
            let key = Some(run.run_id.to_string());
            let body = CreateRunRequest { run: run.clone(), idempotency_key: key };
            Ok(self.call(self.client.create_run(&body)).await?.run == *run)
        };
        let replace = || async {
            let body = UpdateRunRequest { run: run.clone() };
            Ok(self.call_found(self.client.update_run(&run.run_id, &body)).await?.is_some())
        };
        save(new, create, replace).await
    }

    async fn node_run_save(&self, node: &NodeRun, new: bool) -> Result<(), CallError> {
        let create = || async {
            let key = Some(node.node_run_id.to_string());
            let body = CreateNodeRunRequest { node_run: node.clone(), idempotency_key: key };
            Ok(self.call(self.client.create_node_run(&body)).await?.node_run == *node)
        };
        let replace = || async {
            let body = UpdateNodeRunRequest { node_run: node.clone() };
            let call = self.client.update_node_run(&node.node_run_id, &body);
            Ok(self.call_found(call).await?.is_some())
        };
        save(new, create, replace).await
    }
}

/// The NodeRuns that the pages of a listing have brought so far.
#[derive(Default)]
struct Listing {
    nodes: Vec<NodeRun>,
    seen: HashSet<NodeRunId>,
}

impl Listing {
    /// Adds a page, which must bring something new if there are `more`: a store
    /// that returns the same page again would be read endlessly.
    fn add(&mut self, page: Vec<NodeRun>, more: bool) -> Result<(), CallError> {
        let before = self.nodes.len();
        let new = page.into_iter().filter(|node| self.seen.insert(node.node_run_id.clone()));
        self.nodes.extend(new);
        if more && self.nodes.len() == before {
            return Err(malformed("a page of a listing brings nothing new, and there are more"));
        }
        if self.nodes.len() > NODES_MAX {
            return Err(malformed(&format!("a run has more than {NODES_MAX} NodeRuns")));
        }
        Ok(())
    }
}

fn malformed(reason: &str) -> CallError {
    CallError::malformed(Service::RunStore, reason)
}

/// Saves an object with `create`, which returns whether the store now has what
/// was sent, and `replace`, which returns whether there was an object to replace.
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
    // After three steps the object would have been found and not found.
    for _ in 0..3 {
        step = match step {
            Step::Create => match create().await {
                Ok(true) => return Ok(()),
                Ok(false) => Step::Replace,
                Err(error) if error.status() == Some(409) => Step::Replace,
                Err(error) => return Err(error),
            },
            Step::Replace => {
                if replace().await? {
                    return Ok(());
                }
                Step::Create
            }
        };
    }
    // Whether one of the calls has taken effect is unknown.
    Err(CallError::no_response(Service::RunStore, "the store reports both not found and already exists"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clients::Failure;

    fn refusal(status: u16) -> CallError {
        let failure = Failure::HttpStatus { status, reason: "a test".into(), retry_after: None };
        CallError::new(Service::RunStore, failure)
    }

    /// The calls of a save, in order, if the store answers like this.
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
        let status = result.err().map(|error| error.status().unwrap_or_default());
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
    fn listing_takes_pages_to_the_last() {
        let mut listing = Listing::default();
        for page in 0..5 {
            let items = (0..3).map(|number| node(3 * page + number)).collect();
            listing.add(items, true).expect("progress");
        }
        listing.add(Vec::new(), false).expect("the last page may be empty");
        assert_eq!(listing.nodes, (0..15).map(node).collect::<Vec<_>>());
    }

    #[test]
    fn listing_refuses_pages_without_progress() {
        type Page = fn(usize) -> Vec<NodeRun>;
        let cases: [(&str, Page); 3] = [
            ("the same page again", |_| vec![node(0)]),
            ("nothing, and more of it", |_| Vec::new()),
            ("no end", |page| (0..500).map(|number| node(500 * page + number)).collect()),
        ];
        for (case, answer) in cases {
            let mut listing = Listing::default();
            let refused = (0..1000).find_map(|page| listing.add(answer(page), true).err());
            let error = refused.unwrap_or_else(|| panic!("{case}: read endlessly"));
            assert!(matches!(error.failure, Failure::Malformed { .. }), "{case}: {error:?}");
        }
    }

    #[tokio::test]
    async fn save_creates_or_replaces_by_what_is_stored() {
        let (yes, no) = (|| Ok(true), || Ok(false));
        for (new, create, replace, called, status) in [
            (true, yes(), yes(), "c", None),
            // The same key was used before: the stored object may be older.
            (true, no(), yes(), "cr", None),
            (true, Err(refusal(409)), yes(), "cr", None),
            (true, Err(refusal(507)), yes(), "c", Some(507)),
            (true, no(), Err(refusal(500)), "cr", Some(500)),
            (false, yes(), yes(), "r", None),
            (false, yes(), no(), "rc", None),
            (false, yes(), Err(refusal(503)), "r", Some(503)),
            // A store that contradicts itself is not asked endlessly.
            (false, Err(refusal(409)), no(), "rcr", Some(0)),
        ] {
            let case = format!("{new} {create:?} {replace:?}");
            assert_eq!(calls(new, create, replace).await, (called.to_owned(), status), "{case}");
        }
    }
}
