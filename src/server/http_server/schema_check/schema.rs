//! The schema of a request's body, compiled from the JSON Schema of its type.

use schemars::{
    JsonSchema,
    r#gen::SchemaSettings,
    schema::{InstanceType, ObjectValidation, Schema, SchemaObject, SingleOrVec},
};
use serde_json::Value;

/// The maximum number of objects in a list, each of which is work …
const MAX_OBJECTS: usize = 1_000;
/// … or of scalars; also the maximum number of members that a map of scalars has.
pub(super) const MAX_SCALARS: usize = 10_000;

/// The maximum number of characters of an id, a key, a version, a label, …
pub(super) const MAX_SHORT: usize = 500;
/// The members whose text is for people, and as long as a string may be.
const PROSE: [&str; 3] = ["annotations", "message", "rationale"];

pub(crate) enum BodySchema {
    /// Free-form content.
    Any,
    /// An object with arbitrary names, whose values have this schema.
    Map(Box<BodySchema>),
    /// A closed object with these members, sorted by name.
    Object(Vec<Member>),
    List {
        items: Box<BodySchema>,
        min: usize,
    },
    Text(Format),
    /// One of these strings.
    Enum(Vec<String>),
    Integer {
        min: u64,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Boolean,
}

pub(crate) struct Member {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) schema: BodySchema,
}

pub(crate) enum Format {
    Any,
    /// At most [`MAX_SHORT`] characters.
    Short,
    Uri,
    DateTime,
}

impl BodySchema {
    /// Compiles the schema of `T`. Panics at what the ARP types do not use, so
    /// that no constraint is silently ignored; a test compiles them all.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft07().with(|settings| {
            settings.inline_subschemas = true;
            // Null counts as absent, for every optional member.
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
            schema: Self::compile(schema).of_member(name),
        };
        let mut members: Vec<Member> = object.properties.iter().map(member).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        Self::Object(members)
    }

    /// The standard gives no length of texts; those that are not for people are
    /// short (contract §3.2).
    fn of_member(self, name: &str) -> Self {
        if PROSE.contains(&name) {
            return self;
        }
        match self {
            Self::Text(Format::Any) => Self::Text(Format::Short),
            Self::Map(values) => Self::Map(Box::new(values.of_member(name))),
            Self::List { items, min } => Self::List { items: Box::new(items.of_member(name)), min },
            other @ (Self::Text(Format::Short | Format::Uri | Format::DateTime)
            | Self::Any
            | Self::Object(_)
            | Self::Enum(_)
            | Self::Integer { .. }
            | Self::Number { .. }
            | Self::Boolean) => other,
        }
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
        if let Some(values) = &schema.enum_values {
            let text = |value: &Value| value.as_str().expect("an enum of strings").to_owned();
            return Self::Enum(values.iter().map(text).collect());
        }
        Self::Text(match schema.format.as_deref() {
            None => Format::Any,
            Some("uri") => Format::Uri,
            Some("date-time") => Format::DateTime,
            Some(_) => panic!("not compiled: {schema:?}"),
        })
    }

    /// Whether this is an object whose content is opaque.
    pub(super) fn is_free_form(&self) -> bool {
        matches!(self, Self::Map(values) if matches!(**values, Self::Any))
    }

    /// Whether this is an object whose members are checked.
    pub(super) fn has_members(&self) -> bool {
        matches!(self, Self::Object(_) | Self::Map(_)) && !self.is_free_form()
    }

    /// The schema of the member `name`, if there may be one.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(values) => Some(values),
            Self::Object(members) => {
                let at = members.binary_search_by(|member| member.name.as_str().cmp(name)).ok()?;
                Some(&members[at].schema)
            }
            Self::Any
            | Self::List { .. }
            | Self::Text(_)
            | Self::Enum(_)
            | Self::Integer { .. }
            | Self::Number { .. }
            | Self::Boolean => None,
        }
    }

    /// Whether `name` is a member by name, not one of a map.
    pub(super) fn declares(&self, name: &str) -> bool {
        matches!(self, Self::Object(_)) && self.member(name).is_some()
    }

    /// The schema of a list's items, and their maximum number.
    pub(super) fn items(&self) -> Option<(&Self, usize)> {
        match self {
            Self::List { items, .. } => Some((items, items.list_max())),
            Self::Any
            | Self::Map(_)
            | Self::Object(_)
            | Self::Text(_)
            | Self::Enum(_)
            | Self::Integer { .. }
            | Self::Number { .. }
            | Self::Boolean => None,
        }
    }

    /// The maximum number of these in a list.
    pub(super) fn list_max(&self) -> usize {
        if matches!(self, Self::Object(_)) { MAX_OBJECTS } else { MAX_SCALARS }
    }
}
