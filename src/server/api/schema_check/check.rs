//! What a request's body must look like, compiled from the JSON schema of its
//! type, and everything that is wrong with one that does not.
//!
//! A general JSON Schema validator is not what the contract (§3.2, §3.6) asks
//! for: `null` for an optional member counts as absent, `1.0` is no integer, an
//! integer of any size is one, and what is wrong is told in the words of
//! pydantic, with which callers are familiar. The schemas of the ARP types use
//! so little of JSON Schema that walking them is simple; what they do not use
//! is refused when a shape is compiled (and a test compiles them all), so that
//! no constraint is overlooked in silence.
//!
//! The good case costs one walk and allocates nothing. What is read at all is
//! decided by the shape, too: see `tree`.

use schemars::{
    JsonSchema,
    r#gen::SchemaSettings,
    schema::{InstanceType, ObjectValidation, Schema, SchemaObject, SingleOrVec},
};
use serde_json::{Number, Value};

use super::tree::Tree;
use crate::{
    coordinator::{FieldError, Step},
    time::Timestamp,
};

/// Lists may have so many objects, each of which is work …
const MAX_OBJECTS: usize = 1_000;
/// … or so many plain values; objects, so many members that are looked into.
pub(super) const MAX_SCALARS: usize = 10_000;
/// Nobody reads on after this many errors.
const MAX_ERRORS: usize = 100;
/// Names of unknown members are cut off here: we do not echo input.
const MAX_NAME: usize = 100;

/// 2^64: from here on, every floating point number is an integer, and too
/// large for ours.
const TWO_TO_THE_64: f64 = 18_446_744_073_709_551_616.0;
const TWO_TO_THE_63: f64 = 9_223_372_036_854_775_808.0;

pub(super) enum Shape {
    /// Free-form content: anything goes.
    Any,
    /// An object with any members, whose values look like this.
    Map(Box<Shape>),
    /// An object with these members, sorted by name, and no others.
    Object(Vec<Member>),
    List {
        items: Box<Shape>,
        min: usize,
    },
    Text(Format),
    Word(Vec<String>),
    Integer {
        min: u64,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Boolean,
}

pub(super) struct Member {
    name: String,
    required: bool,
    shape: Shape,
}

pub(super) enum Format {
    Any,
    Uri,
    DateTime,
}

impl Shape {
    pub(super) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.inline_subschemas = true;
            // Null is absence, for every optional member.
            settings.option_add_null_type = false;
        });
        Self::compile(&settings.into_generator().into_root_schema_for::<T>().schema.into())
    }

    fn compile(schema: &Schema) -> Self {
        let schema = match schema {
            Schema::Bool(true) => return Self::Any,
            Schema::Bool(false) => panic!("a schema that nothing matches"),
            Schema::Object(schema) => schema,
        };
        assert!(schema.subschemas.is_none() && schema.reference.is_none(), "not compiled: {schema:?}");
        let Some(SingleOrVec::Single(kind)) = &schema.instance_type else {
            panic!("not one type: {schema:?}")
        };
        match **kind {
            InstanceType::Object => Self::compile_object(schema.object.as_deref()),
            InstanceType::Array => Self::compile_list(schema),
            InstanceType::String => Self::compile_text(schema),
            InstanceType::Boolean => Self::Boolean,
            InstanceType::Integer => {
                let min = schema.number.as_ref().and_then(|number| number.minimum);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "small and whole"
                )]
                Self::Integer { min: min.expect("our integers are unsigned") as u64 }
            }
            InstanceType::Number => {
                let number = schema.number.clone().unwrap_or_default();
                Self::Number { min: number.minimum, max: number.maximum }
            }
            InstanceType::Null => panic!("not compiled: {schema:?}"),
        }
    }

    fn compile_object(object: Option<&ObjectValidation>) -> Self {
        let Some(object) = object else { return Self::Map(Box::new(Self::Any)) };
        if object.properties.is_empty() {
            let values = object.additional_properties.as_deref();
            return Self::Map(Box::new(values.map_or(Self::Any, Self::compile)));
        }
        let closed = matches!(object.additional_properties.as_deref(), Some(Schema::Bool(false)));
        assert!(closed, "an object with members is closed: {object:?}");
        let member = |(name, schema): (&String, &Schema)| Member {
            name: name.clone(),
            required: object.required.contains(name),
            shape: Self::compile(schema),
        };
        let mut members: Vec<Member> = object.properties.iter().map(member).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Self::Object(members)
    }

    fn compile_list(schema: &SchemaObject) -> Self {
        let array = schema.array.as_deref().expect("a list says what it is a list of");
        let Some(SingleOrVec::Single(items)) = &array.items else { panic!("not a list: {schema:?}") };
        assert!(array.max_items.is_none() && array.unique_items.is_none(), "not compiled: {schema:?}");
        Self::List {
            items: Box::new(Self::compile(items)),
            min: array.min_items.and_then(|min| usize::try_from(min).ok()).unwrap_or(0),
        }
    }

    fn compile_text(schema: &SchemaObject) -> Self {
        assert!(schema.string.is_none(), "not compiled: {schema:?}");
        if let Some(words) = &schema.enum_values {
            let word = |value: &Value| value.as_str().expect("an enum of strings").to_owned();
            return Self::Word(words.iter().map(word).collect());
        }
        Self::Text(match schema.format.as_deref() {
            None => Format::Any,
            Some("uri") => Format::Uri,
            Some("date-time") => Format::DateTime,
            Some(_) => panic!("not compiled: {schema:?}"),
        })
    }

    /// An object with any members, into which nothing looks.
    pub(super) fn is_free_form(&self) -> bool {
        matches!(self, Self::Map(values) if matches!(**values, Self::Any))
    }

    /// An object into which something looks.
    pub(super) fn has_members(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Map(_)) && !self.is_free_form()
    }

    /// The shape of a member of this name; none if there is none.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(values) => Some(values),
            Self::Object(members) => {
                let at = members.binary_search_by(|member| member.name.as_str().cmp(name)).ok()?;
                Some(&members[at].shape)
            }
            Self::Any
            | Self::List { .. }
            | Self::Text(_)
            | Self::Word(_)
            | Self::Integer { .. }
            | Self::Number { .. }
            | Self::Boolean => None,
        }
    }

    /// It has a member of this very name.
    pub(super) fn names(&self, name: &str) -> bool {
        matches!(self, Self::Object(_)) && self.member(name).is_some()
    }

    /// The shape of a list's items, and how many of them there may be.
    pub(super) fn items(&self) -> Option<(&Self, usize)> {
        match self {
            Self::List { items, .. } => Some((items, items.most())),
            Self::Any
            | Self::Map(_)
            | Self::Object(_)
            | Self::Text(_)
            | Self::Word(_)
            | Self::Integer { .. }
            | Self::Number { .. }
            | Self::Boolean => None,
        }
    }

    /// How many of these a list may have.
    fn most(&self) -> usize {
        if matches!(self, Self::Object(_)) { MAX_OBJECTS } else { MAX_SCALARS }
    }

    /// Everything that is wrong with `body`, always in the same order.
    /// Integers that are too large for us become the largest that is not.
    pub(super) fn check(&self, body: &mut Tree) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.walk(body, &Place::Body, &mut errors);
        errors
    }

    fn walk(&self, value: &mut Tree, place: &Place<'_>, errors: &mut Vec<FieldError>) {
        let mut wrong = |kind, message: &str| place.wrong(errors, kind, message);
        match (self, value) {
            (Self::Any, _) | (Self::Boolean, Tree::Boolean(_)) | (Self::Map(_), Tree::Free(_)) => (),
            (Self::Map(values), Tree::Object(given)) => walk_map(values, given, place, errors),
            (Self::Map(_), _) => wrong("dict_type", "Input should be a valid dictionary"),
            (Self::Boolean, _) => wrong("bool_type", "Input should be a valid boolean"),
            (Self::Object(members), Tree::Object(given)) => walk_members(members, given, place, errors),
            (Self::Object(_), _) => wrong(
                "model_attributes_type",
                "Input should be a valid dictionary or object to extract fields from",
            ),
            (Self::List { items, min }, Tree::List(given, length)) => {
                check_length(*length, *min, items, place, errors);
                for (index, item) in given.iter_mut().enumerate() {
                    items.walk(item, &Place::Index(place, index), errors);
                }
            }
            (Self::List { .. }, _) => wrong("list_type", "Input should be a valid list"),
            (Self::Text(format), Tree::Text(text)) => {
                if let Err((kind, message)) = format.check(text) {
                    wrong(kind, &message);
                }
            }
            (Self::Text(_), _) => wrong("string_type", "Input should be a valid string"),
            (Self::Word(words), value) => {
                let known = value.as_text().is_some_and(|given| words.iter().any(|word| word == given));
                if !known {
                    wrong("enum", &format!("Input should be {}", one_of(words)));
                }
            }
            (Self::Integer { min }, value) => match read_integer(value) {
                Integer::Is(number) if number < *min => {
                    wrong("greater_than_equal", &at_least(*min));
                }
                Integer::Is(_) => (),
                Integer::Huge => *value = Tree::Number(u64::MAX.into()),
                Integer::Negative => wrong("greater_than_equal", &at_least(*min)),
                Integer::No => wrong("int_type", "Input should be a valid integer"),
            },
            (Self::Number { min, max }, value) => match (as_number(value).and_then(Number::as_f64), min, max)
            {
                (None, _, _) => wrong("float_type", "Input should be a valid number"),
                (Some(number), Some(min), _) if number < *min => {
                    wrong("greater_than_equal", &at_least(*min));
                }
                (Some(number), _, Some(max)) if number > *max => {
                    wrong("less_than_equal", &format!("Input should be less than or equal to {max}"));
                }
                (Some(_), _, _) => (),
            },
        }
    }
}

fn walk_members(
    members: &[Member],
    given: &mut [(String, Tree)],
    place: &Place<'_>,
    errors: &mut Vec<FieldError>,
) {
    let mut known = 0;
    for Member { name, required, shape } in members {
        let place = Place::Member(place, name);
        let found = given.binary_search_by(|(given, _)| given.cmp(name)).ok();
        match found.map(|at| &mut given[at].1) {
            None if *required => place.wrong(errors, "missing", "Field required"),
            None => (),
            Some(value) => {
                known += 1;
                if *required || !value.is_null() {
                    shape.walk(value, &place, errors);
                }
            }
        }
    }
    if known < given.len() {
        let is_known = |name: &str| members.binary_search_by(|member| member.name.as_str().cmp(name)).is_ok();
        for name in given.iter().map(|(name, _)| name).filter(|name| !is_known(name)) {
            Place::Member(place, name).wrong(errors, "extra_forbidden", "Extra inputs are not permitted");
        }
    }
}

fn walk_map(values: &Shape, given: &mut [(String, Tree)], place: &Place<'_>, errors: &mut Vec<FieldError>) {
    if given.len() > MAX_SCALARS {
        let message = format!(
            "Dictionary should have at most {MAX_SCALARS} items after validation, not {}",
            given.len()
        );
        place.wrong(errors, "too_long", &message);
    }
    for (name, value) in given {
        values.walk(value, &Place::Member(place, name), errors);
    }
}

fn check_length(length: usize, min: usize, items: &Shape, place: &Place<'_>, errors: &mut Vec<FieldError>) {
    let max = items.most();
    let items = |count| if count == 1 { "item" } else { "items" };
    if length < min {
        let message =
            format!("List should have at least {min} {} after validation, not {length}", items(min));
        place.wrong(errors, "too_short", &message);
    }
    if length > max {
        let message = format!("List should have at most {max} {} after validation, not {length}", items(max));
        place.wrong(errors, "too_long", &message);
    }
}

enum Integer {
    Is(u64),
    /// An integer, but larger than any of ours.
    Huge,
    Negative,
    No,
}

fn as_number(value: &Tree) -> Option<&Number> {
    if let Tree::Number(number) = value { Some(number) } else { None }
}

/// The parser has no integers beyond 64 bits: it makes floating point numbers
/// of them. So such a number is one, however it was written.
fn read_integer(value: &Tree) -> Integer {
    let Some(number) = as_number(value) else { return Integer::No };
    if let Some(number) = number.as_u64() {
        Integer::Is(number)
    } else if number.is_i64() || number.as_f64().is_some_and(|number| number < -TWO_TO_THE_63) {
        Integer::Negative
    } else if number.as_f64().is_some_and(|number| number >= TWO_TO_THE_64) {
        Integer::Huge
    } else {
        Integer::No
    }
}

impl Format {
    fn check(&self, text: &str) -> Result<(), (&'static str, String)> {
        match self {
            Self::Any => Ok(()),
            Self::Uri => url::Url::parse(text)
                .map(drop)
                .map_err(|error| ("url_parsing", format!("Input should be a valid URL, {error}"))),
            Self::DateTime => text
                .parse::<Timestamp>()
                .map(drop)
                .map_err(|_| ("datetime_parsing", "Input should be a valid datetime with zone".into())),
        }
    }
}

fn at_least(min: impl std::fmt::Display) -> String {
    format!("Input should be greater than or equal to {min}")
}

/// `'a', 'b' or 'c'`
fn one_of(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some(_) | None => quoted.concat(),
    }
}

/// Where in a body we are. Lives on the stack; spelled out only for an error.
enum Place<'a> {
    Body,
    Member(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn wrong(&self, errors: &mut Vec<FieldError>, kind: &'static str, message: &str) {
        if errors.len() < MAX_ERRORS {
            errors.push(FieldError { kind, location: self.location(), message: message.into() });
        }
    }

    fn location(&self) -> Vec<Step> {
        let (parent, step) = match self {
            Self::Body => return vec!["body".into()],
            Self::Member(parent, name) => (parent, Step::Member(name.chars().take(MAX_NAME).collect())),
            Self::Index(parent, index) => (parent, Step::Index(*index)),
        };
        let mut location = parent.location();
        location.push(step);
        location
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::{
        NodeRunCompleteRequest, NodeRunEvaluationReportRequest, NodeRunsCreateRequest, RunStartRequest,
        json::canonical::Bounds,
    };

    fn read(shape: &Shape, body: &Value) -> Tree {
        let bounds = Bounds::levels(100);
        Tree::read(shape, body.to_string().as_bytes(), &bounds).expect("JSON")
    }

    #[expect(clippy::needless_pass_by_value, reason = "`json!({})` reads better without a borrow")]
    fn errors_of<T: JsonSchema>(body: Value) -> Vec<(&'static str, String)> {
        let shape = Shape::of::<T>();
        let errors = shape.check(&mut read(&shape, &body));
        let place =
            |error: &FieldError| error.location.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        errors.iter().map(|error| (error.kind, place(error))).collect()
    }

    fn start(member: &str, value: Value) -> Value {
        let mut body = json!({"root_node_type_ref": {"node_type_id": "n", "version": "1"}, "input": {}});
        body[member] = value;
        body
    }

    fn structural(limits: &Value) -> Value {
        start("constraints", json!({ "structural": limits }))
    }

    fn labels(count: usize) -> Value {
        (0..count)
            .map(|number| (format!("label {number}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    #[test]
    fn each_error_has_its_word_and_its_place() {
        for (body, word, place) in [
            (json!([]), "model_attributes_type", "body"),
            (json!(null), "model_attributes_type", "body"),
            (start("root_node_type_ref", json!(3)), "model_attributes_type", "body.root_node_type_ref"),
            (start("root_node_type_ref", json!(null)), "model_attributes_type", "body.root_node_type_ref"),
            (
                start("root_node_type_ref", json!({"node_type_id": "n"})),
                "missing",
                "body.root_node_type_ref.version",
            ),
            (start("input", json!([])), "dict_type", "body.input"),
            (start("extensions", json!("x")), "dict_type", "body.extensions"),
            (start("surprise", json!(1)), "extra_forbidden", "body.surprise"),
            (start("run_id", json!(1)), "string_type", "body.run_id"),
            (start("metadata", json!({"labels": {"l": 1}})), "string_type", "body.metadata.labels.l"),
            (start("metadata", json!({"labels": {"l": null}})), "string_type", "body.metadata.labels.l"),
            (
                start("metadata", json!({"labels": labels(MAX_SCALARS + 1)})),
                "too_long",
                "body.metadata.labels",
            ),
            (
                start("metadata", json!({"labels": labels(MAX_SCALARS + 9)})),
                "too_long",
                "body.metadata.labels",
            ),
            (structural(&json!({"max_depth": "1"})), "int_type", "body.constraints.structural.max_depth"),
            (structural(&json!({"max_depth": true})), "int_type", "body.constraints.structural.max_depth"),
            (structural(&json!({"max_depth": 1.0})), "int_type", "body.constraints.structural.max_depth"),
            (
                structural(&json!({"max_depth": -1})),
                "greater_than_equal",
                "body.constraints.structural.max_depth",
            ),
            (
                structural(&json!({"max_depth": -1e30})),
                "greater_than_equal",
                "body.constraints.structural.max_depth",
            ),
            (
                start("constraints", json!({"candidates": {"max_candidates_per_subtask": 0}})),
                "greater_than_equal",
                "body.constraints.candidates.max_candidates_per_subtask",
            ),
            (
                start("constraints", json!({"candidates": {"allowed_node_type_ids": {}}})),
                "list_type",
                "body.constraints.candidates.allowed_node_type_ids",
            ),
            (
                start("constraints", json!({"candidates": {"allowed_node_type_ids": ["a", 1]}})),
                "string_type",
                "body.constraints.candidates.allowed_node_type_ids.1",
            ),
            (
                start("constraints", json!({"budgets": {"max_cost": "1"}})),
                "float_type",
                "body.constraints.budgets.max_cost",
            ),
            (
                start("constraints", json!({"budgets": {"max_cost": -0.5}})),
                "greater_than_equal",
                "body.constraints.budgets.max_cost",
            ),
            (
                start("constraints", json!({"gates": {"require_approval": 1}})),
                "bool_type",
                "body.constraints.gates.require_approval",
            ),
            (
                start("constraints", json!({"gates": {"side_effect_class": "READ"}})),
                "enum",
                "body.constraints.gates.side_effect_class",
            ),
        ] {
            assert_eq!(errors_of::<RunStartRequest>(body.clone()), [(word, place.to_owned())], "{body}");
        }
        let create = |specs: Value| json!({"run_id": "r", "parent_node_run_id": "p", "node_runs": specs});
        let spec = json!({"node_type_ref": {"node_type_id": "n", "version": "1"}, "inputs": {}});
        for (specs, errors) in [
            (json!([]), vec![("too_short", "body.node_runs")]),
            (json!(vec![&spec; 1001]), vec![("too_long", "body.node_runs")]),
            (json!(vec![&spec; 1000]), vec![]),
            (json!([spec, {"inputs": {}}]), vec![("missing", "body.node_runs.1.node_type_ref")]),
        ] {
            let expected: Vec<_> = errors.into_iter().map(|(word, place)| (word, place.to_owned())).collect();
            assert_eq!(errors_of::<NodeRunsCreateRequest>(create(specs)), expected);
        }
        let complete = |uri: &str| {
            let artifact = json!({"type": "artifact", "id": "a", "uri": uri});
            errors_of::<NodeRunCompleteRequest>(json!({"state": "failed", "output_artifacts": [artifact]}))
        };
        assert_eq!(complete("/bare/path"), [("url_parsing", "body.output_artifacts.0.uri".to_owned())]);
        assert_eq!(complete("urn:a:b"), []);
        let evaluation = |confidence: f64| {
            let result = json!({"status": "success", "confidence": confidence});
            errors_of::<NodeRunEvaluationReportRequest>(json!({ "evaluation_result": result }))
        };
        let place = || "body.evaluation_result.confidence".to_owned();
        assert_eq!(evaluation(1.1), [("less_than_equal", place())]);
        assert_eq!(evaluation(-0.1), [("greater_than_equal", place())]);
        assert_eq!(evaluation(1.0), []);
    }

    #[test]
    fn all_errors_are_told_and_always_in_the_same_order() {
        let body = json!({"zeta": 1, "alpha": 2, "run_id": 5, "constraints": {"gates": {"odd": 1}}});
        let expected = [
            ("extra_forbidden", "body.constraints.gates.odd"),
            ("missing", "body.input"),
            ("missing", "body.root_node_type_ref"),
            ("string_type", "body.run_id"),
            ("extra_forbidden", "body.alpha"),
            ("extra_forbidden", "body.zeta"),
        ];
        assert_eq!(
            errors_of::<RunStartRequest>(body),
            expected.map(|(word, place)| (word, place.to_owned()))
        );
    }

    #[test]
    fn null_for_an_optional_member_is_absence() {
        for member in ["run_id", "run_context", "constraints", "metadata", "extensions"] {
            assert_eq!(errors_of::<RunStartRequest>(start(member, json!(null))), [], "{member}");
        }
        assert_eq!(errors_of::<RunStartRequest>(structural(&json!(null))), []);
        assert_eq!(errors_of::<RunStartRequest>(start("input", json!(null))).len(), 1);
    }

    #[test]
    fn integers_of_any_size_are_integers() {
        let shape = Shape::of::<RunStartRequest>();
        let body = structural(&json!({"max_depth": u64::MAX, "max_total_nodes_per_run": 1e25}));
        let mut body = read(&shape, &body);
        assert_eq!(shape.check(&mut body), []);
        let request: RunStartRequest = serde::Deserialize::deserialize(body).expect("a request");
        let limits = request.constraints.and_then(|given| given.structural).expect("limits");
        assert_eq!((limits.max_depth, limits.max_total_nodes_per_run), (Some(u64::MAX), Some(u64::MAX)));
    }

    #[test]
    fn a_member_is_found_however_many_there_are_before_it() {
        let body = format!(
            r#"{{{}"input": 1}}"#,
            (0..MAX_SCALARS + 9).map(|n| format!("\"a{n}\": 1, ")).collect::<String>()
        );
        let shape = Shape::of::<RunStartRequest>();
        let mut body = Tree::read(&shape, body.as_bytes(), &Bounds::levels(100)).expect("JSON");
        assert_eq!(shape.check(&mut body)[0].kind, "dict_type");
    }

    #[test]
    fn errors_do_not_grow_with_the_input() {
        let mut body = start("run_id", json!("r"));
        for index in 0..1000 {
            body[format!("{index}{}", "x".repeat(1000))] = json!(1);
        }
        let shape = Shape::of::<RunStartRequest>();
        let errors = shape.check(&mut read(&shape, &body));
        assert_eq!(errors.len(), MAX_ERRORS);
        assert!(errors.iter().all(|error| error.location[1].to_string().len() <= MAX_NAME));
    }

    #[test]
    fn an_enum_names_its_words() {
        let shape = Shape::of::<NodeRunCompleteRequest>();
        let errors = shape.check(&mut read(&shape, &json!({"state": "done"})));
        assert_eq!(errors[0].message, "Input should be 'succeeded', 'failed' or 'canceled'");
    }
}
