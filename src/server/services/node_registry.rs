//! Facts about node types (contract §9.1): from the Node Registry if one is
//! configured, else from the prefix of the node type's id.
//!
//! ```text
//!   cached, or asked a moment ago? ──yes──▶ as then
//!      │ no (of several that want the same type, one asks)
//!      ▼
//!   the registry answers
//!      200            ──▶ cache, the facts
//!      404            ──▶ by prefix
//!      401, 403, 407  ──▶ cached facts, else an error: the configuration is wrong, here or there
//!      another 4xx    ──▶ an error: the registry refuses this type
//!      no answer      ──▶ cached facts, else closed: an error (D-16)
//!                                            open:   by prefix
//! ```
//!
//! A 5xx, 408, 425, 429, a malformed answer and no answer at all mean that the
//! registry is out. A registry that refuses has answered: a guess would then drop
//! the constraints of a type because of a mistake.
//!
//! A version of a node type never changes, so its facts are cached. Without a
//! version the registry answers for the highest one, which may change, and a type that
//! it does not have may be published any time: such answers, and that it refuses a type,
//! count for a moment only (`answers`). Beyond that, facts without a version are used only
//! while the registry does not answer.
//!
//! A guess may drop constraints that the type is published with. So nothing is
//! guessed unless the configuration says so.

mod answers;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use slog::{Logger, warn};

use self::answers::{Answers, Asked};
use crate::{
    clients::{
        CallError, Service, call_within,
        node_registry::{self, types::NodeType},
        path::fits_into_a_path,
    },
    config::RegistryOutage,
    engine::{NodeTypeFacts, RetryRule, Usage},
    resilience::{CoolDown, KeyedLocks, ServiceWatch},
    services::schemas::{Found, Judge, TypeSchemas},
    time::Clock,
    types::{NodeKind, NodeTypeRef},
};

/// The most types that are cached; the cache is emptied when it is full.
const CACHED: usize = 10_000;

/// The maximum size of schemas in the cache, as JSON; the same.
const SCHEMA_BYTES: usize = 8 << 20;

/// How long a registry that did not answer is left alone where a guess will do:
/// a caller should not wait for it once per node.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// Why there are no facts about a node type. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoFacts {
    /// The registry does not answer. It may later.
    #[error("the node registry does not answer: {0}")]
    Unavailable(String),
    /// The registry does not let the coordinator ask: an operator has to act.
    #[error("the node registry refuses the coordinator's credentials: {0}")]
    Forbidden(String),
    /// The registry has read the question, and refuses to answer it.
    #[error("the node registry refuses the node type: {0}")]
    Refused(String),
}

/// Looks up node types.
pub struct NodeTypes {
    registry: Option<Registry>,
}

/// The registry of node types.
#[async_trait]
pub trait NodeRegistry: Send + Sync + 'static {
    /// Fetches a node type, of the highest version if none is given. `None` if
    /// the registry does not have it.
    async fn node_type(&self, id: &str, version: Option<&str>) -> Result<Option<NodeType>, CallError>;
}

#[async_trait]
impl NodeRegistry for node_registry::Client {
    async fn node_type(&self, id: &str, version: Option<&str>) -> Result<Option<NodeType>, CallError> {
        if !fits_into_a_path(id) {
            // What cannot be asked for cannot have been published.
            return Ok(None);
        }
        match self.call(self.get_node_type(id, version)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How the registry is asked.
pub struct RegistryOptions {
    pub registry: Arc<dyn NodeRegistry>,
    pub timeout: Duration,
    pub outage: RegistryOutage,
    /// Notes whether it answers.
    pub watch: Arc<ServiceWatch>,
    /// Compiles the schemas of types, if values are judged by them.
    pub judge: Option<Arc<Judge>>,
}

struct Registry {
    options: RegistryOptions,
    clock: Arc<dyn Clock>,
    log: Logger,
    state: Mutex<State>,
    /// Who asks about a type.
    turns: KeyedLocks<Key>,
}

/// The id and the version of a type; the version is empty if none is asked for.
type Key = (String, String);

#[derive(Default)]
struct State {
    cached: HashMap<Key, Arc<Known>>,
    /// Size of the schemas in it.
    schema_bytes: usize,
    /// What was answered a moment ago.
    answers: Answers,
    cool_down: CoolDown,
}

/// What the registry says about a type.
struct Known {
    facts: NodeTypeFacts,
    /// Empty if no value is judged.
    schemas: Arc<TypeSchemas>,
}

/// The same, or what stands for it.
enum Answer {
    Known(Arc<Known>),
    /// The registry does not have the type.
    NoType,
    /// It does not answer, and a guess will do.
    Guess,
}

impl NodeTypes {
    /// Facts from prefixes only, without a registry.
    pub fn by_prefix() -> Self {
        Self { registry: None }
    }

    pub fn from_registry(options: RegistryOptions, clock: Arc<dyn Clock>, log: Logger) -> Self {
        Self {
            registry: Some(Registry {
                options,
                clock,
                log,
                state: Mutex::default(),
                turns: KeyedLocks::default(),
            }),
        }
    }

    /// Whether facts need no other service.
    pub fn is_local(&self) -> bool {
        self.registry.is_none()
    }

    pub async fn facts(&self, node_type: &NodeTypeRef) -> Result<NodeTypeFacts, NoFacts> {
        match &self.registry {
            None => Ok(by_prefix(node_type)),
            Some(registry) => Ok(match registry.find(node_type).await? {
                Answer::Known(known) => known.facts.clone(),
                Answer::NoType | Answer::Guess => by_prefix(node_type),
            }),
        }
    }

    /// The schemas of a type.
    pub async fn schemas(&self, node_type: &NodeTypeRef) -> Found {
        let Some(registry) = &self.registry else { return Found::NoType };
        match registry.find(node_type).await {
            Ok(Answer::Known(known)) => Found::Known(Arc::clone(&known.schemas)),
            Ok(Answer::NoType) | Err(NoFacts::Refused(_)) => Found::NoType,
            Ok(Answer::Guess) | Err(NoFacts::Unavailable(_) | NoFacts::Forbidden(_)) => Found::Unavailable,
        }
    }
}

impl Registry {
    async fn find(&self, node_type: &NodeTypeRef) -> Result<Answer, NoFacts> {
        let key = (node_type.node_type_id.clone(), node_type.version.clone());
        let (cached, asked) = {
            let state = self.state.lock();
            (state.cached.get(&key).cloned(), state.answers.asked())
        };
        if let Some(known) = cached.as_ref().filter(|_| !key.1.is_empty()) {
            return Ok(Answer::Known(Arc::clone(known)));
        }
        let asked = self.ask_in_turn(&key, asked).await;
        let cached = cached.or_else(|| self.state.lock().cached.get(&key).cloned());
        match (asked, cached, self.options.outage) {
            (Ok(Some(known)), ..) => Ok(Answer::Known(known)),
            // The registry has answered: it does not have the type.
            (Ok(None), ..) => Ok(Answer::NoType),
            (Err(refused @ NoFacts::Refused(_)), ..) => Err(refused),
            (Err(NoFacts::Unavailable(_) | NoFacts::Forbidden(_)), Some(known), _) => {
                Ok(Answer::Known(known))
            }
            (Err(forbidden @ NoFacts::Forbidden(_)), None, _) => Err(forbidden),
            (Err(out @ NoFacts::Unavailable(_)), None, RegistryOutage::Closed) => Err(out),
            (Err(NoFacts::Unavailable(reason)), None, RegistryOutage::Open) => {
                warn!(self.log, "node type guessed: the node registry does not answer";
                    "node_type_id" => key.0, "error" => reason);
                Ok(Answer::Guess)
            }
        }
    }

    /// Asks the registry, unless it has answered a moment ago or while this waited for its
    /// turn. `asked`: when the wait began.
    async fn ask_in_turn(&self, key: &Key, asked: Asked) -> Result<Option<Arc<Known>>, NoFacts> {
        let answered = || self.state.lock().answers.get(key, asked, self.clock.now());
        if let Some(answer) = answered() {
            return answer;
        }
        let _turn = self.turns.lock(key).await;
        if let Some(answer) = answered() {
            return answer;
        }
        if self.is_cooling_down() {
            return Err(NoFacts::Unavailable("no answer a moment ago".to_owned()));
        }
        let answer = self.ask(key).await;
        self.state.lock().answers.put(key.clone(), answer.clone(), self.clock.now());
        answer
    }

    /// Asks the registry, and caches its answer. `None` if it does not have the
    /// type.
    async fn ask(&self, key: &Key) -> Result<Option<Arc<Known>>, NoFacts> {
        let RegistryOptions { registry, timeout, outage: _, watch, judge: _ } = &self.options;
        let (id, version) = key;
        let call = registry.node_type(id, (!version.is_empty()).then_some(&**version));
        let answer = call_within(&*self.clock, *timeout, Service::NodeRegistry, call).await;
        let answered = match answer {
            // Its facts must not become those of the type that was asked for.
            Ok(Some(answer)) if answer.node_type_id != *id => {
                let reason = "node_registry_unavailable: the answer is about another node type";
                Err(NoFacts::Unavailable(reason.to_owned()))
            }
            Ok(Some(answer)) => Ok(Some(Arc::new(self.known(answer).await))),
            Ok(None) => Ok(None),
            Err(error) => Err(no_facts(error.status(), format!("{}: {}", error.code(), error.reason()))),
        };
        match &answered {
            // Without valid credentials it is as good as gone.
            Err(failure @ (NoFacts::Unavailable(_) | NoFacts::Forbidden(_))) => {
                watch.failed(failure, self.clock.now());
            }
            Ok(_) | Err(NoFacts::Refused(_)) => watch.answered(self.clock.now()),
        }
        let mut state = self.state.lock();
        // A registry that refuses has answered: it is not left alone.
        if matches!(answered, Err(NoFacts::Unavailable(_))) {
            state.cool_down.failed(self.clock.now());
        } else {
            state.cool_down.succeeded();
        }
        if let Ok(Some(known)) = &answered {
            let bytes = known.schemas.bytes();
            if state.cached.len() >= CACHED || state.schema_bytes + bytes > SCHEMA_BYTES {
                state.cached.clear();
                state.schema_bytes = 0;
            }
            let before = state.cached.insert(key.clone(), Arc::clone(known));
            state.schema_bytes += bytes;
            state.schema_bytes -= before.map_or(0, |before| before.schemas.bytes());
        }
        answered
    }

    async fn known(&self, mut answer: NodeType) -> Known {
        let schemas = match &self.options.judge {
            Some(judge) => judge.compile(answer.input_schema.take(), answer.output_schema.take()).await,
            None => Arc::default(),
        };
        Known { facts: from_registry(answer), schemas }
    }

    fn is_cooling_down(&self) -> bool {
        match self.options.outage {
            RegistryOutage::Closed => false,
            RegistryOutage::Open => !self.state.lock().cool_down.is_over(COOL_DOWN, self.clock.now()),
        }
    }
}

/// Classifies a failure by its status: whose fault it is, and whether it will
/// pass.
fn no_facts(status: Option<u16>, reason: String) -> NoFacts {
    match status {
        Some(401 | 403 | 407) => NoFacts::Forbidden(reason),
        Some(408 | 425 | 429) => NoFacts::Unavailable(reason),
        Some(400..=499) => NoFacts::Refused(reason),
        Some(_) | None => NoFacts::Unavailable(reason),
    }
}

fn from_registry(node_type: NodeType) -> NodeTypeFacts {
    let says = |key: &str| node_type.extensions.as_ref().and_then(|extensions| extensions.raw(key));
    NodeTypeFacts {
        kind: Some(node_type.kind),
        side_effect: says("jarvis.side_effect").and_then(|class| serde_json::from_str(class).ok()),
        idempotent: says("jarvis.idempotent") == Some("true"),
        estimated_usage: says("jarvis.estimated_usage").and_then(Usage::estimated),
        retry: says("jarvis.retry").and_then(RetryRule::parse),
        constraints: node_type.constraints,
    }
}

fn by_prefix(node_type: &NodeTypeRef) -> NodeTypeFacts {
    let id = node_type.node_type_id.to_ascii_lowercase();
    let kind = if id.starts_with("atomic.") {
        Some(NodeKind::Atomic)
    } else if id.starts_with("composite.") {
        Some(NodeKind::Composite)
    } else {
        None
    };
    NodeTypeFacts { kind, ..NodeTypeFacts::default() }
}
