//! A body between text and type: a tree of what the [`BodySchema`] checks,
//! canonical text where the content is free-form, and nothing of what is
//! refused anyway. So its size in memory is bounded by the size of the text.
//!
//! ```text
//!   text ──TreeReader(schema, bounds)──▶ Tree ──schema.check──▶ Tree ──Deserializer──▶ T
//! ```

use std::fmt;

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
        value::{Error, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Number;

use super::schema::{BodySchema, MAX_SCALARS};
use crate::types::json::{
    CANONICAL_OBJECT,
    bounds::{Bounds, Step},
    canonical,
};

/// The number of members kept whose names the schema does not declare: one more
/// than allowed, so that the excess is noticed.
const MEMBERS_KEPT: usize = MAX_SCALARS + 1;

/// A JSON value, as far as its schema looks into it.
#[derive(Debug, PartialEq)]
pub(in crate::server::http_server) enum Tree {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    /// The first items, and the number of all items.
    List(Vec<Tree>, usize),
    /// Sorted by name; of members with the same name, the last.
    Object(Vec<(String, Tree)>),
    /// A free-form object: canonical text.
    Free(String),
    /// An object or a list where the schema allows neither.
    Misplaced,
}

impl Tree {
    /// Reads a whole body.
    pub(in crate::server::http_server) fn read(
        schema: &BodySchema,
        text: &[u8],
        bounds: &Bounds,
    ) -> Result<Self, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let tree = TreeReader { schema: Some(schema), bounds, depth: 0 }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(tree)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Boolean(_)
            | Self::Number(_)
            | Self::List(..)
            | Self::Object(_)
            | Self::Free(_)
            | Self::Misplaced => None,
        }
    }
}

/// Reads a value that should have this schema; without one it is skipped.
struct TreeReader<'s> {
    schema: Option<&'s BodySchema>,
    bounds: &'s Bounds,
    depth: u32,
}

impl<'de> DeserializeSeed<'de> for TreeReader<'_> {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Tree, D::Error> {
        self.bounds.count()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeReader<'_> {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Boolean(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        self.bounds.string(value)?;
        Ok(Tree::Text(value.to_owned()))
    }
    fn visit_string<E: de::Error>(self, value: String) -> Result<Tree, E> {
        self.bounds.string(&value)?;
        Ok(Tree::Text(value))
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let Self { schema, bounds, depth } = self;
        let depth = bounds.enter(depth)?;
        let (items_like, kept) = match schema.and_then(BodySchema::items) {
            Some((schema, most)) => (Some(schema), most),
            None => (None, 0),
        };
        let (mut list, mut length) = (Vec::new(), 0);
        loop {
            // Items beyond the limit are only counted.
            let schema = items_like.filter(|_| length < kept);
            let item = items.next_element_seed(TreeReader { schema, bounds, depth });
            let item = item.map_err(|error| bounds.within(error, || Step::Index(length)))?;
            let Some(item) = item else { break };
            bounds.item(length)?;
            if schema.is_some() {
                list.push(item);
            }
            length += 1;
        }
        Ok(if items_like.is_some() { Tree::List(list, length) } else { Tree::Misplaced })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Tree, A::Error> {
        let Self { schema, bounds, depth } = self;
        if schema.is_some_and(BodySchema::is_free_form) {
            return canonical::members(given, bounds, depth).map(Tree::Free);
        }
        let depth = bounds.enter(depth)?;
        let wants_members = schema.is_some_and(BodySchema::has_members);
        let is_known = |name: &str| schema.is_some_and(|schema| schema.declares(name));
        let (mut members, mut count) = (Vec::new(), 0);
        while let Some(name) = given.next_key::<String>()? {
            bounds.name(&name)?;
            bounds.member(count)?;
            count += 1;
            let member = schema.and_then(|schema| schema.member(&name));
            let value = given.next_value_seed(TreeReader { schema: member, bounds, depth });
            let value = value.map_err(|error| bounds.within(error, || Step::Member(name.clone())))?;
            // Members that are refused anyway are not kept.
            if wants_members && (members.len() <= MEMBERS_KEPT || is_known(&name)) {
                members.push((name, value));
            }
        }
        if !wants_members {
            return Ok(Tree::Misplaced);
        }
        // The sort is stable: of members with the same name the last is kept.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.reverse();
        members.dedup_by(|(later, _), (earlier, _)| later == earlier);
        members.reverse();
        Ok(Tree::Object(members))
    }
}

impl IntoDeserializer<'_> for Tree {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Boolean(value) => visitor.visit_bool(value),
            Self::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (None, Some(value), _) => visitor.visit_i64(value),
                (None, None, Some(value)) => visitor.visit_f64(value),
                (None, None, None) => Err(de::Error::custom("not a supported number")),
            },
            Self::Text(text) => visitor.visit_string(text),
            Self::List(items, _) => SeqDeserializer::new(items.into_iter()).deserialize_any(visitor),
            Self::Object(members) => MapDeserializer::new(members.into_iter()).deserialize_any(visitor),
            Self::Free(text) => visitor.visit_string(text),
            Self::Misplaced => Err(de::Error::custom("skipped")),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Null => visitor.visit_none(),
            some @ (Self::Boolean(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(..)
            | Self::Object(_)
            | Self::Free(_)
            | Self::Misplaced) => visitor.visit_some(some),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Free(text) if name == CANONICAL_OBJECT => visitor.visit_string(text),
            other @ (Self::Free(_)
            | Self::Null
            | Self::Boolean(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::List(..)
            | Self::Object(_)
            | Self::Misplaced) => visitor.visit_newtype_struct(other),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.as_text() {
            Some(text) => visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(text)),
            None => {
                Err(de::Error::custom(format_args!("not one of the {} values of {name}", variants.len())))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}
