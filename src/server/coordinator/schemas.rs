//! Whether inputs and outputs are as the schemas of their types say (contract
//! §7.5), where that is switched on.
//!
//! ```text
//!   inputs of a new node ─▶ fit ──────────────────────▶ created
//!        │                ├▶ violations ─ enforce ────▶ 422, if the node is new
//!        │                │             └ record ─────▶ created, noted on it
//!        │                ├▶ unusable schema ─ enforce ▶ 422 │ record ─▶ created
//!        │                └▶ registry out (open) ─────▶ created, judged at its dispatch
//!   outputs of a success ─▶ violations ─ enforce ─────▶ failed, `output_schema_violation`
//!                         │             └ record ─────▶ succeeded, noted on it
//!                         └▶ not judged ──────────────▶ succeeded: the work is done
//! ```

use slog::{Logger, warn};

use super::error::{CoordinatorError, FieldError, Step};
use crate::{
    config::SchemaMode,
    engine::InputsNote,
    services::{
        node_registry::NodeTypes,
        schemas::{self, Judge, Judgement, Violations},
    },
    types::{Error, JsonObject, NodeTypeRef},
};

/// How strictly values are judged, and by what.
pub struct Schemas {
    pub mode: SchemaMode,
    pub judge: std::sync::Arc<Judge>,
}

/// What came of judging the inputs of a node.
#[derive(Default)]
pub(super) struct InputsJudged {
    pub(super) note: InputsNote,
    /// Why a new node with them is refused.
    refusal: Option<Refusal>,
}

enum Refusal {
    Violates(Violations),
    Unusable(String),
}

/// What came of judging the outputs of a success.
pub(super) enum OutputsJudged {
    Accepted,
    Noted(JsonObject),
    Failed(Error),
}

impl InputsJudged {
    /// The error of a request for a new node, whose inputs and type are at these
    /// places.
    pub(super) fn check(&self, inputs: &[Step], node_type: &[Step]) -> Result<(), CoordinatorError> {
        match &self.refusal {
            None => Ok(()),
            Some(Refusal::Violates(violations)) => {
                let errors = violations.violations.iter().map(|violation| FieldError {
                    kind: "input_schema_violation",
                    location: inputs.iter().cloned().chain(violation.steps.iter().map(step)).collect(),
                    message: violation.message.clone(),
                });
                Err(CoordinatorError::InputSchema(errors.collect()))
            }
            Some(Refusal::Unusable(reason)) => Err(CoordinatorError::SchemaUnusable(vec![FieldError {
                kind: "schema_unusable",
                location: node_type.to_vec(),
                message: format!("the inputs cannot be judged: {reason}"),
            }])),
        }
    }

    /// The error of a node that was created before its inputs could be judged.
    pub(super) fn error(&self) -> Option<Error> {
        match self.refusal.as_ref()? {
            Refusal::Violates(violations) => Some(violated(
                "input_schema_violation",
                "Inputs do not match the schema of their node type",
                violations,
            )),
            Refusal::Unusable(reason) => {
                let message = format!("Inputs cannot be judged: {reason}");
                Some(Error { retryable: Some(false), ..Error::new("schema_unusable", message) })
            }
        }
    }
}

fn step(step: &schemas::Step) -> Step {
    match step {
        schemas::Step::Member(name) => Step::Member(name.clone()),
        schemas::Step::Index(index) => Step::Index(*index),
    }
}

fn violated(code: &str, message: &str, violations: &Violations) -> Error {
    // `retryable` is left open: a type may declare that its work is repeated.
    Error { details: Some(JsonObject::of(violations)), ..Error::new(code, message) }
}

impl Schemas {
    /// Judges the inputs of a node of this type.
    pub(super) async fn inputs_judge(
        &self,
        node_types: &NodeTypes,
        node_type: &NodeTypeRef,
        inputs: &JsonObject,
        log: &Logger,
    ) -> InputsJudged {
        let Self { mode, judge } = self;
        let enforces = match mode {
            SchemaMode::Off => return InputsJudged::default(),
            SchemaMode::Record => false,
            SchemaMode::Enforce => true,
        };
        let schemas = match node_types.schemas(node_type).await {
            schemas::Found::Known(schemas) => schemas,
            schemas::Found::NoType => return InputsJudged::default(),
            schemas::Found::Unavailable => {
                let note = InputsNote { unjudged: true, ..InputsNote::default() };
                return InputsJudged { note, refusal: None };
            }
        };
        // Outputs that cannot be judged would be found out when the work is done.
        let unusable = schemas.output.as_ref().and_then(schemas::Schema::unusable);
        let judgement = match unusable {
            Some(reason) => Judgement::NotJudged(format!("of the outputs: {reason}")),
            None => judge.judge(schemas.input.as_ref(), inputs).await,
        };
        match judgement {
            Judgement::Fits => InputsJudged::default(),
            Judgement::Violates(violations) => {
                warn!(log, "inputs do not match the schema of their node type";
                    "node_type_id" => &node_type.node_type_id, "version" => &node_type.version,
                    "violations" => violations.violations.len(), "refused" => enforces);
                let noted = JsonObject::of(&violations);
                let note = InputsNote { violations: Some(noted), unjudged: false };
                let refusal = enforces.then_some(Refusal::Violates(violations));
                InputsJudged { note, refusal }
            }
            Judgement::NotJudged(reason) => {
                warn!(log, "schema of a node type cannot be used";
                    "node_type_id" => &node_type.node_type_id, "version" => &node_type.version,
                    "error" => &reason);
                let refusal = enforces.then_some(Refusal::Unusable(reason));
                InputsJudged { note: InputsNote::default(), refusal }
            }
        }
    }

    /// Judges the outputs of a node that has succeeded.
    pub(super) async fn outputs_judge(
        &self,
        node_types: &NodeTypes,
        node_type: &NodeTypeRef,
        outputs: Option<&JsonObject>,
        log: &Logger,
    ) -> OutputsJudged {
        let Self { mode, judge } = self;
        let enforces = match mode {
            SchemaMode::Off => return OutputsJudged::Accepted,
            SchemaMode::Record => false,
            SchemaMode::Enforce => true,
        };
        let reason = match node_types.schemas(node_type).await {
            schemas::Found::NoType => return OutputsJudged::Accepted,
            schemas::Found::Unavailable => "the node registry does not answer".to_owned(),
            schemas::Found::Known(schemas) => {
                let empty = JsonObject::new();
                match judge.judge(schemas.output.as_ref(), outputs.unwrap_or(&empty)).await {
                    Judgement::Fits => return OutputsJudged::Accepted,
                    Judgement::NotJudged(reason) => reason,
                    Judgement::Violates(violations) => {
                        warn!(log, "outputs do not match the schema of their node type";
                            "node_type_id" => &node_type.node_type_id, "version" => &node_type.version,
                            "violations" => violations.violations.len(), "failed" => enforces);
                        let message = "Outputs do not match the schema of their node type";
                        return match enforces {
                            true => OutputsJudged::Failed(violated(
                                "output_schema_violation",
                                message,
                                &violations,
                            )),
                            false => OutputsJudged::Noted(JsonObject::of(&violations)),
                        };
                    }
                }
            }
        };
        warn!(log, "outputs accepted without being judged"; "node_type_id" => &node_type.node_type_id,
            "version" => &node_type.version, "error" => reason);
        OutputsJudged::Accepted
    }
}
