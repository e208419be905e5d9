//! Free-form JSON objects (`inputs`, `outputs`, `details`, extensions, …) as
//! shared canonical text, from the socket to the disk and back. A tree of values
//! takes up to 100 times the memory of its text; this takes the text once,
//! however often it is cloned.
//!
//! ```text
//!   any deserializer ──▶ canonical (checked, sorted, bounded) ──▶ JsonObject ──▶ written as it is
//!                                                                     │
//!                                       for rules: `get`, `raw`, `edited`
//! ```
//!
//! - `canonical`: the form of the text, and how it is made.
//! - `bounds`: how much of what there may be.
//! - `scan`: finds members in such text, and compares texts as JSON.

pub mod bounds;
pub mod canonical;
mod scan;

use std::{collections::BTreeMap, fmt, sync::Arc};

use schemars::{JsonSchema, r#gen::SchemaGenerator, schema::Schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Value, value::RawValue};

pub use scan::{levels, same_json};

use self::bounds::Bounds;

/// The name under which a deserializer passes canonical text, as a string.
pub(crate) const CANONICAL_OBJECT: &str = "$jarvis::canonical_object";

/// An object must not be nested deeper, wherever it comes from: reading one
/// level takes a piece of the stack. Requests and answers of executors have
/// lower limits of their own; this one is for records that were stored before
/// those existed.
const LEVELS_MAX: u32 = 256;

/// An opaque JSON object. Cloning it is cheap.
#[derive(Clone)]
pub struct JsonObject {
    /// Canonical text. (In a box, so that it need not be copied to be shared.)
    text: Arc<Box<RawValue>>,
}

impl JsonObject {
    /// An empty object.
    pub fn new() -> Self {
        Self::from_canonical("{}".to_owned())
    }

    /// Converts `content`, which serializes as an object; empty if it does not.
    pub fn of(content: &impl Serialize) -> Self {
        let text = canonical::text_of(content).unwrap_or_default();
        if text.starts_with('{') { Self::from_canonical(text) } else { Self::new() }
    }

    /// `text` must be canonical, and an object.
    pub(crate) fn from_canonical(text: String) -> Self {
        let text = RawValue::from_string(text)
            .or_else(|_| RawValue::from_string("{}".to_owned()))
            .expect("an empty object is JSON");
        Self { text: Arc::new(text) }
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        self.text.get()
    }

    /// The length of the text.
    pub fn bytes(&self) -> usize {
        self.as_str().len()
    }

    pub fn is_empty(&self) -> bool {
        self.as_str() == "{}"
    }

    /// The text of the value of a member.
    pub fn raw(&self, name: &str) -> Option<&str> {
        scan::members(self.as_str()).find(|(key, _)| scan::is_named(key, name)).map(|(_, value)| value)
    }

    pub fn get(&self, name: &str) -> Option<Value> {
        self.raw(name).and_then(|text| serde_json::from_str(text).ok())
    }

    /// The value of a member; null if it does not exist.
    pub fn value(&self, name: &str) -> Value {
        self.get(name).unwrap_or_default()
    }

    /// The value of a member that is a string.
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name).and_then(|text| serde_json::from_str(text).ok())
    }

    pub fn contains_key(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The name and the text of each member, sorted by name.
    pub fn members(&self) -> impl Iterator<Item = (String, &str)> {
        scan::members(self.as_str()).map(|(key, value)| (scan::unescaped(key).into_owned(), value))
    }

    pub fn keys(&self) -> impl Iterator<Item = String> {
        self.members().map(|(name, _)| name)
    }

    /// A copy without the members for which `dropped` is true, and with those in
    /// `set`, whose values are canonical texts.
    #[must_use]
    pub fn edited(&self, dropped: impl Fn(&str) -> bool, set: &BTreeMap<String, String>) -> Self {
        let is_kept = |key: &str| {
            let name = scan::unescaped(key);
            !dropped(&name) && !set.contains_key(&*name)
        };
        if set.is_empty() && scan::members(self.as_str()).all(|(key, _)| is_kept(key)) {
            return self.clone();
        }
        let added: usize = set.iter().map(|(name, text)| name.len() + text.len() + 4).sum();
        let mut object = canonical::ObjectWriter::with_capacity(self.bytes() + added);
        let mut set = set.iter().peekable();
        for (key, value) in scan::members(self.as_str()).filter(|(key, _)| is_kept(key)) {
            let name = scan::unescaped(key);
            while let Some((name, text)) = set.next_if(|(next, _)| ***next < *name) {
                object.member(name, text);
            }
            object.written(key, value);
        }
        set.for_each(|(name, text)| object.member(name, text));
        Self::from_canonical(object.done())
    }

    /// A copy with this member.
    #[must_use]
    pub fn with(&self, name: &str, value: &impl Serialize) -> Self {
        let text = canonical::text_of(value).unwrap_or_else(|| "null".to_owned());
        self.edited(|_| false, &BTreeMap::from([(name.to_owned(), text)]))
    }

    /// Adds or replaces a member. Copies the text.
    #[expect(clippy::needless_pass_by_value, reason = "as other maps have it")]
    pub fn insert(&mut self, name: String, value: Value) {
        *self = self.edited(|_| false, &BTreeMap::from([(name, value.to_string())]));
    }

    /// Removes a member, if it exists.
    pub fn remove(&mut self, name: &str) {
        *self = self.edited(|other| other == name, &BTreeMap::new());
    }

    /// Compares as JSON: `1` and `1.0` are equal.
    pub fn same_as(&self, other: &Self) -> bool {
        same_json(self.as_str(), other.as_str())
    }

    /// Converts to a tree, which may be many times as large.
    pub fn to_map(&self) -> serde_json::Map<String, Value> {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl Default for JsonObject {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.as_str() == other.as_str()
    }
}

impl fmt::Debug for JsonObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<serde_json::Map<String, Value>> for JsonObject {
    fn from(map: serde_json::Map<String, Value>) -> Self {
        Self::of(&map)
    }
}

impl FromIterator<(String, Value)> for JsonObject {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        serde_json::Map::from_iter(members).into()
    }
}

impl<const N: usize> From<[(&str, Value); N]> for JsonObject {
    fn from(members: [(&str, Value); N]) -> Self {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl From<JsonObject> for Value {
    fn from(object: JsonObject) -> Self {
        Self::Object(object.to_map())
    }
}

impl Serialize for JsonObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(CANONICAL_OBJECT, ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = JsonObject;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<JsonObject, D::Error> {
        inner.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<JsonObject, A::Error> {
        let bounds = Bounds::levels(LEVELS_MAX);
        canonical::read(MapAccessDeserializer::new(members), &bounds).map(JsonObject::from_canonical)
    }

    /// Only for canonical text: see [`CANONICAL_OBJECT`].
    fn visit_str<E: de::Error>(self, text: &str) -> Result<JsonObject, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<JsonObject, E> {
        Ok(JsonObject::from_canonical(text))
    }
}

impl JsonSchema for JsonObject {
    fn is_referenceable() -> bool {
        false
    }
    fn schema_name() -> String {
        serde_json::Map::<String, Value>::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        serde_json::Map::<String, Value>::json_schema(generator)
    }
}
