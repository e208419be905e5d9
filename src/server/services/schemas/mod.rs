//! JSON Schemas of node types: whether inputs and outputs are as their type says
//! (contract §7.5). Opt-in.
//!
//! ```text
//!   NodeType ──▶ input_schema, output_schema ──▶ compiled once, kept with the type's facts
//!                                                  └─ unusable: too large, invalid, a reference
//!                                                     elsewhere, a pattern that only backtracking finds
//!   value ──▶ a thread of its own ──▶ fits │ violations, each with its path
//!                 └─ takes too long ──▶ unusable from now on
//! ```
//!
//! **Architecture invariants.** Nothing is fetched: a schema that refers to another
//! document is unusable. Patterns take linear time. A schema may still be so
//! written that a value takes forever, so values are judged on `THREADS` threads
//! of their own, which may hang: neither a worker nor a stop waits for one.
//! Messages say nothing of the value but the names of its members.

mod violation;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use tokio::sync::{Semaphore, oneshot};

pub use self::violation::{Step, Violation, Violations};
use crate::{
    time::{Clock, within},
    types::JsonObject,
};

/// The maximum size of a schema as JSON.
const SCHEMA_BYTES: usize = 256 << 10;
/// The maximum nesting of a schema.
const SCHEMA_LEVELS: usize = 64;
/// The maximum number of patterns in a schema.
const PATTERNS: usize = 200;
/// The maximum size of a compiled pattern, and of the states that are found in it.
const PATTERN_BYTES: usize = 256 << 10;
/// The maximum number of values that are judged at the same time.
const THREADS: usize = 2;
/// How long a value waits for a thread, and how long that may take.
const TIME: Duration = Duration::from_secs(5);

/// What a type says about its inputs and outputs.
#[derive(Debug, Default)]
pub struct TypeSchemas {
    pub input: Option<Schema>,
    pub output: Option<Schema>,
    /// Size of both, as JSON.
    bytes: usize,
}

/// A compiled schema, or why there is none.
#[derive(Debug)]
pub enum Schema {
    Usable(Arc<Usable>),
    Unusable(String),
}

#[derive(Debug)]
pub struct Usable {
    validator: Validator,
    /// A value took too long.
    is_slow: AtomicBool,
}

/// The schemas of a type, as far as they are known.
#[derive(Clone, Debug)]
pub enum Found {
    Known(Arc<TypeSchemas>),
    /// There is no registry, or it does not have the type.
    NoType,
    /// The registry does not answer.
    Unavailable,
}

/// What came of judging a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    Fits,
    Violates(Violations),
    /// It was not judged. The reason is for the log, and for the caller.
    NotJudged(String),
}

impl TypeSchemas {
    fn of(input: Option<&JsonObject>, output: Option<&JsonObject>) -> Self {
        let compiled =
            |schema: Option<&JsonObject>| schema.filter(|schema| !schema.is_empty()).map(Schema::of);
        let bytes = [input, output].into_iter().flatten().map(JsonObject::bytes).sum();
        Self { input: compiled(input), output: compiled(output), bytes }
    }

    /// Of a type whose schemas could not be compiled in time.
    fn unusable() -> Self {
        let slow = || Some(Schema::Unusable(SLOW.to_owned()));
        Self { input: slow(), output: slow(), bytes: 0 }
    }

    /// What it costs to keep, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes.min(2 * SCHEMA_BYTES)
    }
}

impl Schema {
    fn of(schema: &JsonObject) -> Self {
        let compiled = compile(schema);
        compiled.map_or_else(Self::Unusable, |validator| {
            Self::Usable(Arc::new(Usable { validator, is_slow: AtomicBool::new(false) }))
        })
    }

    /// Why no value can be judged by it.
    pub fn unusable(&self) -> Option<&str> {
        match self {
            Self::Unusable(reason) => Some(reason),
            Self::Usable(schema) if schema.is_slow.load(Ordering::Relaxed) => Some(SLOW),
            Self::Usable(_) => None,
        }
    }
}

const SLOW: &str = "the schema takes too long";

fn compile(schema: &JsonObject) -> Result<Validator, String> {
    if schema.bytes() > SCHEMA_BYTES {
        return Err(format!("the schema has more than {SCHEMA_BYTES} bytes"));
    }
    let schema: Value =
        serde_json::from_str(schema.as_str()).map_err(|_| "the schema is not JSON".to_owned())?;
    let (levels, patterns) = extent(&schema);
    if levels > SCHEMA_LEVELS || patterns > PATTERNS {
        return Err(format!("the schema has more than {SCHEMA_LEVELS} levels or {PATTERNS} patterns"));
    }
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES);
    let options =
        jsonschema::options().with_pattern_options(patterns).should_validate_formats(false).offline();
    options.build(&schema).map_err(|error| violation::shortened(&error.to_string()))
}

/// The levels of a schema, and how many patterns it may have.
fn extent(value: &Value) -> (usize, usize) {
    let all = |parts: &mut dyn Iterator<Item = (usize, usize)>| {
        parts.fold((0, 0), |(levels, patterns), part| (levels.max(part.0), patterns + part.1))
    };
    let (levels, patterns) = match value {
        Value::Array(items) => all(&mut items.iter().map(extent)),
        Value::Object(members) => all(&mut members.iter().map(|(name, value)| {
            let (levels, patterns) = extent(value);
            let own = match (&**name, value) {
                ("pattern", _) => 1,
                ("patternProperties", Value::Object(by_pattern)) => by_pattern.len(),
                _ => 0,
            };
            (levels, patterns + own)
        })),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return (0, 0),
    };
    (levels + 1, patterns)
}

/// Judges values.
pub struct Judge {
    clock: Arc<dyn Clock>,
    threads: Arc<Semaphore>,
    time: Duration,
}

impl Judge {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, threads: Arc::new(Semaphore::new(THREADS)), time: TIME }
    }

    /// Compiles the schemas of a type.
    pub async fn compile(&self, input: Option<JsonObject>, output: Option<JsonObject>) -> Arc<TypeSchemas> {
        let compiled = self.on_thread(move || TypeSchemas::of(input.as_ref(), output.as_ref())).await;
        Arc::new(compiled.unwrap_or_else(|_| TypeSchemas::unusable()))
    }

    /// Judges a value by a schema, if there is one.
    pub async fn judge(&self, schema: Option<&Schema>, value: &JsonObject) -> Judgement {
        let Some(schema) = schema else { return Judgement::Fits };
        let schema = match (schema, schema.unusable()) {
            (Schema::Usable(schema), None) => Arc::clone(schema),
            (Schema::Usable(_) | Schema::Unusable(_), reason) => {
                return Judgement::NotJudged(reason.unwrap_or_default().to_owned());
            }
        };
        let (by, value) = (Arc::clone(&schema), value.clone());
        match self.on_thread(move || judged(&by.validator, &value)).await {
            Ok(judgement) => judgement,
            Err(NoAnswer::Slow) => {
                schema.is_slow.store(true, Ordering::Relaxed);
                Judgement::NotJudged(SLOW.to_owned())
            }
            Err(NoAnswer::Busy) => Judgement::NotJudged("too many values are being judged".to_owned()),
        }
    }

    /// Works on a thread of its own, which may outlive the wait for it: it keeps its
    /// permit as long.
    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let permit = within(&*self.clock, self.time, Arc::clone(&self.threads).acquire_owned()).await;
        let Some(Ok(permit)) = permit else { return Err(NoAnswer::Busy) };
        let (answer, answered) = oneshot::channel();
        let work = move || {
            let done = work();
            drop(permit);
            // The wait may be over.
            _ = answer.send(done);
        };
        if std::thread::Builder::new().name("schema".into()).spawn(work).is_err() {
            return Err(NoAnswer::Busy);
        }
        match within(&*self.clock, self.time, answered).await {
            Some(Ok(done)) => Ok(done),
            // It has panicked over this schema, or still works.
            Some(Err(_)) | None => Err(NoAnswer::Slow),
        }
    }
}

/// Why a thread gave no answer.
enum NoAnswer {
    Busy,
    Slow,
}

fn judged(validator: &Validator, value: &JsonObject) -> Judgement {
    let Ok(value) = serde_json::from_str::<Value>(value.as_str()) else {
        return Judgement::NotJudged("the value is not JSON".to_owned());
    };
    if validator.is_valid(&value) {
        return Judgement::Fits;
    }
    Judgement::Violates(Violations::of(validator.iter_errors(&value)))
}

#[cfg(test)]
mod tests;
