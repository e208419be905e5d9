//! Starting, reading and cancelling runs (contract §6.3 to §6.5).

use serde::Serialize;
use serde_json::{Map, json};
use sha2::{Digest, Sha256};
use slog::{debug, error, info, warn};

use super::{Coordinator, CoordinatorError, FieldError, Step, access};
use crate::{
    auth::Principal,
    engine::{self, Asked, NodeTypeFacts, PolicyDecided, StartRun},
    journal::JournalError,
    runtime::heap,
    services::{
        node_registry::NoFacts,
        policy::{PdpUnavailable, Question, RUN_START},
    },
    types::{Extensions, NodeRun, NodeRunId, NodeTypeRef, Run, RunId, RunStartRequest, json::canonical},
};

/// Bytes of extensions and constraints that no usual request has.
const LARGE: usize = 1 << 20;

impl Coordinator {
    /// Starts a run: its Run, root NodeRun, events and policy decision are
    /// durable when this returns, and so is the intent to dispatch the root.
    pub async fn run_start(
        &self,
        caller: &Principal,
        request: RunStartRequest,
    ) -> Result<Run, CoordinatorError> {
        access::admit_to_start(caller)?;
        let chosen = request.run_id.clone().filter(|id| !id.as_str().is_empty());
        check_start(&request, chosen.as_ref())?;
        self.warn_of_own_keys([request.extensions.as_ref()].into_iter());
        let digest = digest(&request);
        if let Some(id) = &chosen
            && let Some(existing) = self.run_find_or_adopt(caller, id).await?
        {
            // Spares a repetition the questions to registry and policy.
            return if existing.origin.is_request(&digest) {
                Ok(existing.run)
            } else {
                Err(engine::Rejection::RunAlreadyExists.into())
            };
        }
        self.room_for_new_work()?;
        let run_id = chosen.unwrap_or_else(|| self.parts.ids.run_id());
        let root_id = self.parts.ids.node_run_id();
        let place = ["body".into(), "root_node_type_ref".into()];
        let facts = self.facts_for(&request.root_node_type_ref, &place).await?;
        let decided = self.decide_start(caller, &request, &run_id, &root_id, &facts).await?;
        let asked = Asked::of(request, &facts, &self.parts.rules);
        if asked.extension_bytes() >= LARGE {
            // The commit needs a multiple of that at once.
            heap::return_free_pages();
        }
        let command = StartRun {
            asked,
            run_id: run_id.clone(),
            root_id,
            digest,
            owner: caller.subject().into(),
            facts,
            decided,
        };
        let command = &command;
        let run = self
            .request(&run_id, |now| async move {
                let existing = self.parts.journal.run_fetch(&command.run_id).await?;
                let (rules, lease) =
                    (&self.parts.rules, &self.parts.queue.lease(&command.run_id, [command.facts.kind]));
                Ok(engine::run_start(existing.as_ref(), command, rules, lease, now)?)
            })
            .await?;
        debug!(self.parts.log, "run started"; "run_id" => %run.run_id, "state" => %run.state, "caller" => caller.subject());
        Ok(run)
    }

    pub async fn run_get(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> {
        Ok(self.run_for(caller, run).await?.run)
    }

    /// Cancels a run and everything that is alive in it. One that is over is
    /// answered as it is.
    pub async fn run_cancel(&self, caller: &Principal, run: &RunId) -> Result<Run, CoordinatorError> {
        self.whole_run_for(caller, run).await?;
        let canceled = self
            .request(run, |now| async move {
                let record = self.run_fetch(run).await?;
                let live = match record.is_terminal() {
                    true => Vec::new(),
                    false => self.parts.journal.nodes_live(run, None).await?,
                };
                Ok(engine::run_cancel(record, live, &self.parts.queue.always(), now))
            })
            .await?;
        // If this changed nothing, a commit whose answer was lost did.
        self.parts.queue.run_over(run);
        info!(self.parts.log, "run canceled"; "run_id" => %run, "state" => %canceled.state, "caller" => caller.subject());
        Ok(canceled)
    }

    /// Ends a run whose time is up.
    pub(crate) async fn run_expire(&self, run: &RunId) -> Result<(), CoordinatorError> {
        warn!(self.parts.log, "run exceeded its deadline"; "run_id" => %run);
        self.command(run, |now| async move {
            let record = self.run_fetch(run).await?;
            let live = self.parts.journal.nodes_live(run, None).await?;
            // Damage of one record must not keep a run alive.
            let root = match self.parts.journal.node_fetch_bare(&record.run.root_node_run_id).await {
                Err(JournalError::Damaged(damage)) => {
                    error!(self.parts.log, "the run ends without the record of its root"; "run_id" => %run,
                        "error" => damage);
                    None
                }
                found => found?,
            };
            let (rules, lease) = (&self.parts.rules, &self.parts.queue.always());
            Ok(engine::run_expire(record, root, live, rules, lease, now))
        })
        .await
    }

    /// What is known about a type that a request names at `place`.
    pub(super) async fn facts_for(
        &self,
        node_type: &NodeTypeRef,
        place: &[Step],
    ) -> Result<NodeTypeFacts, CoordinatorError> {
        match self.facts_of(node_type).await? {
            Some(facts) => Ok(facts),
            None => Err(CoordinatorError::Invalid(vec![FieldError {
                kind: "node_type_refused",
                location: place.to_vec(),
                message: format!(
                    "the Node Registry refuses the node type '{}', version '{}'",
                    shortened(&node_type.node_type_id),
                    shortened(&node_type.version)
                ),
            }])),
        }
    }

    /// What is known about a type; `None` if the registry refuses to say it.
    pub(super) async fn facts_of(
        &self,
        node_type: &NodeTypeRef,
    ) -> Result<Option<NodeTypeFacts>, CoordinatorError> {
        match self.parts.node_types.facts(node_type).await {
            Ok(facts) => Ok(Some(facts)),
            Err(NoFacts::Refused(reason)) => {
                warn!(self.parts.log, "the node registry refuses a node type";
                    "node_type_id" => shortened(&node_type.node_type_id), "reason" => reason);
                Ok(None)
            }
            Err(NoFacts::Unavailable(internal)) => {
                Err(CoordinatorError::NodeRegistryUnavailable { internal })
            }
            Err(NoFacts::Forbidden(internal)) => Err(CoordinatorError::NodeRegistryForbidden { internal }),
        }
    }

    async fn decide_start(
        &self,
        caller: &Principal,
        request: &RunStartRequest,
        run_id: &RunId,
        root_id: &NodeRunId,
        facts: &NodeTypeFacts,
    ) -> Result<PolicyDecided, CoordinatorError> {
        // Only its identity is asked about: the root does not exist yet.
        let root =
            NodeRun::queued(run_id.clone(), root_id.clone(), request.root_node_type_ref.clone(), facts.kind);
        let tenant = request.run_context.as_ref().and_then(|context| context.tenant_id.as_deref());
        let context = match self.parts.policy.is_local() {
            true => Map::new(),
            false => Map::from_iter([
                ("principal".into(), json!(caller.subject())),
                ("tenant_id".into(), json!(tenant)),
                ("kind".into(), json!(facts.kind)),
                ("depth".into(), json!(0)),
                ("side_effect".into(), json!(facts.side_effect)),
                (INPUTS_DIGEST.into(), digest(&request.input).into()),
            ]),
        };
        let question = Question {
            action: RUN_START,
            node: &root,
            run_context: request.run_context.as_ref(),
            // For a PDP to look at: the local postures do not.
            constraints: match self.parts.policy.is_local() {
                true => None,
                false => {
                    engine::constraints::merge([request.constraints.as_ref(), facts.constraints.as_ref()])
                }
            },
            context,
        };
        // Held, it is no run yet: its caller is there to ask again.
        let decided = self.parts.policy.decide(question).await;
        decided.map_err(|PdpUnavailable(internal)| CoordinatorError::PdpUnavailable { internal })
    }

    /// What a caller says under our own keys is dropped (D-15). One line a
    /// request: the log is for everybody.
    pub(super) fn warn_of_own_keys<'e>(&self, given: impl Iterator<Item = Option<&'e Extensions>>) {
        let keys = given.flatten().flat_map(|extensions| extensions.keys());
        let mut own = keys.filter(|key| engine::is_own_key(key));
        if let Some(first) = own.next() {
            warn!(self.parts.log, "dropped extensions that only the coordinator writes";
                "key" => first, "more" => own.count());
        }
    }
}

/// What the schema cannot say about a start request.
fn check_start(request: &RunStartRequest, chosen: Option<&RunId>) -> Result<(), CoordinatorError> {
    let field = |kind, path: &[&str], message: &str| FieldError {
        kind,
        location: ["body"].iter().chain(path).map(|&member| member.into()).collect(),
        message: message.into(),
    };
    let mut errors = Vec::new();
    if chosen.is_some_and(|id| !id.is_acceptable()) {
        let message = "a run_id has 1 to 200 characters of A-Z, a-z, 0-9 and ._:~@-, and is not '.' or '..'";
        errors.push(field("string_pattern_mismatch", &["run_id"], message));
    }
    for key in ["constraints", "jarvis.constraints"] {
        let hidden = request.extensions.as_ref().is_some_and(|extensions| extensions.contains_key(key));
        if hidden && request.constraints.is_some() {
            let message = "constraints are given twice: as a member and as an extension";
            errors.push(field("extra_forbidden", &["extensions", key], message));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(CoordinatorError::Invalid(errors)) }
}

/// The beginning of a text that a caller chose, for a message.
fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// In the context of a question to the PDP: what stands for the inputs, which
/// may be large and are not everybody's to see.
pub(super) const INPUTS_DIGEST: &str = "inputs_sha256";

/// The same for the same content, however its members were ordered.
pub(super) fn digest(content: &impl Serialize) -> String {
    let canonical = canonical::text_of(content).unwrap_or_default();
    Sha256::digest(canonical).iter().map(|byte| format!("{byte:02x}")).collect()
}
