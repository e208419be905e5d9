//! Canonical JSON text: no spaces, members sorted by name, of members with the
//! same name the last, numbers as 64-bit integers or doubles. Equal content has
//! equal text (except for `1` and `1.0`), so it can be compared and hashed
//! without a tree.
//!
//! It is made in one pass over the input, within [`Bounds`].

use std::{cell::Cell, fmt, ops::Range};

use serde::{
    Deserializer, Serialize,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::scan;

/// The bounds of a text that is read.
pub struct Bounds {
    levels: u32,
    values_left: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
}

/// The bound that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Levels,
    Values,
}

impl Bounds {
    /// Bounds the levels of nesting, not the number of values.
    pub fn levels(levels: u32) -> Self {
        Self::new(levels, u64::MAX)
    }

    pub fn new(levels: u32, values: u64) -> Self {
        Self { levels, values_left: Cell::new(values), exceeded: Cell::new(None) }
    }

    /// The bound that made reading fail, if one did.
    pub fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded.get()
    }

    /// Counts a value.
    pub(crate) fn count<E: de::Error>(&self) -> Result<(), E> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => {
                self.values_left.set(left);
                Ok(())
            }
            None => Err(self.exceed(Exceeded::Values)),
        }
    }

    /// Enters a level of nesting below `depth`; 0 is the top.
    pub(crate) fn enter<E: de::Error>(&self, depth: u32) -> Result<u32, E> {
        if depth < self.levels { Ok(depth + 1) } else { Err(self.exceed(Exceeded::Levels)) }
    }

    fn exceed<E: de::Error>(&self, what: Exceeded) -> E {
        self.exceeded.set(Some(what));
        E::custom(match what {
            Exceeded::Levels => "nested too deeply",
            Exceeded::Values => "too many values",
        })
    }
}

/// Serializes `content` as canonical text; `None` if it is not valid JSON.
pub fn text_of(content: &impl Serialize) -> Option<String> {
    let written = serde_json::to_vec(content).ok()?;
    let mut reader = serde_json::Deserializer::from_slice(&written);
    let bounds = Bounds::levels(u32::MAX);
    let mut text = Text::new(written.len(), &bounds);
    reader.disable_recursion_limit();
    Place { text: &mut text, depth: 0 }.deserialize(&mut reader).ok()?;
    text.finish()
}

/// Writes an object whose members arrive in order.
pub(super) struct ObjectWriter {
    out: Vec<u8>,
}

impl ObjectWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes + 2);
        out.push(b'{');
        Self { out }
    }

    /// Writes a member: its name, and the canonical text of its value.
    pub(super) fn member(&mut self, name: &str, value: &str) {
        self.separate();
        write(&mut self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(value.as_bytes());
    }

    /// Writes a member whose name is escaped already.
    pub(super) fn written(&mut self, key: &str, value: &str) {
        self.separate();
        for part in ["\"", key, "\":", value] {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    fn separate(&mut self) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
    }

    pub(super) fn done(mut self) -> String {
        self.out.push(b'}');
        String::from_utf8(self.out).unwrap_or_default()
    }
}

/// Reads one value as canonical text.
pub(crate) fn read<'de, D: Deserializer<'de>>(reader: D, bounds: &Bounds) -> Result<String, D::Error> {
    let mut text = Text::new(0, bounds);
    Place { text: &mut text, depth: 0 }.deserialize(reader)?;
    text.finish().ok_or_else(|| de::Error::custom("not text"))
}

/// Reads the members of an object that is at `depth`.
#[cfg(feature = "server")]
pub(crate) fn members<'de, A: MapAccess<'de>>(
    members: A,
    bounds: &Bounds,
    depth: u32,
) -> Result<String, A::Error> {
    let mut text = Text::new(0, bounds);
    Place { text: &mut text, depth }.visit_map(members)?;
    text.finish().ok_or_else(|| de::Error::custom("not text"))
}

/// The text written so far.
struct Text<'b> {
    out: Vec<u8>,
    bounds: &'b Bounds,
}

impl<'b> Text<'b> {
    fn new(capacity: usize, bounds: &'b Bounds) -> Self {
        Self { out: Vec::with_capacity(capacity), bounds }
    }

    fn finish(self) -> Option<String> {
        String::from_utf8(self.out).ok()
    }
}

/// The place of the next value.
struct Place<'t, 'b> {
    text: &'t mut Text<'b>,
    depth: u32,
}

/// Our values are always written: they are strings, numbers and booleans.
fn write(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let _written = serde_json::to_writer(out, value);
}

impl<'de> DeserializeSeed<'de> for Place<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        self.text.bounds.count()?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        write(&mut self.text.out, &value);
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        write(&mut self.text.out, &value);
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        write(&mut self.text.out, &value);
        Ok(())
    }
    /// Numbers that JSON does not have are written as null.
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        write(&mut self.text.out, &value);
        Ok(())
    }
    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        write(&mut self.text.out, value);
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.text.out.extend_from_slice(b"null");
        Ok(())
    }
    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.visit_unit()
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<(), D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Place { text, depth } = self;
        let depth = text.bounds.enter(depth)?;
        text.out.push(b'[');
        let mut first = true;
        loop {
            let before = text.out.len();
            if !first {
                text.out.push(b',');
            }
            first = false;
            if items.next_element_seed(Place { text: &mut *text, depth })?.is_none() {
                text.out.truncate(before);
                break;
            }
        }
        text.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Place { text, depth } = self;
        let depth = text.bounds.enter(depth)?;
        let begin = text.out.len();
        text.out.push(b'{');
        let (mut sorted, mut last) = (true, None::<Range<usize>>);
        loop {
            let before = text.out.len();
            if last.is_some() {
                text.out.push(b',');
            }
            let key = text.out.len();
            if members.next_key_seed(Name { out: &mut text.out })?.is_none() {
                text.out.truncate(before);
                break;
            }
            // Without its quotes.
            let name = key + 1..text.out.len() - 1;
            if let Some(last) = last.replace(name.clone()) {
                sorted &= scan::compare_names(&text.out[last], &text.out[name]).is_lt();
            }
            text.out.push(b':');
            members.next_value_seed(Place { text: &mut *text, depth })?;
        }
        if !sorted {
            sort(&mut text.out, begin);
        }
        text.out.push(b'}');
        Ok(())
    }
}

/// A member's name.
struct Name<'t> {
    out: &'t mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }
    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        write(self.out, name);
        Ok(())
    }
}

/// Puts the members of an object that was written from `begin` on, but for its
/// end, in order. Of those with one name the last stays.
fn sort(out: &mut Vec<u8>, begin: usize) {
    let mut written = out.split_off(begin);
    written.push(b'}');
    // Names and values are written from text, so this is text.
    let object = std::str::from_utf8(&written).unwrap_or("{}");
    let mut members: Vec<(&str, &str)> = scan::members(object).collect();
    // Stable: the last of a name is the last of them here, too.
    members.sort_by(|(a, _), (b, _)| scan::compare_names(a.as_bytes(), b.as_bytes()));
    out.reserve_exact(written.len());
    out.push(b'{');
    for (at, (name, value)) in members.iter().enumerate() {
        if members.get(at + 1).is_some_and(|(next, _)| next == name) {
            continue;
        }
        if out.len() > begin + 1 {
            out.push(b',');
        }
        for part in ["\"", name, "\":", value] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::types::proptests;

    fn canonical(text: &str) -> Result<String, serde_json::Error> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let text = read(&mut reader, &Bounds::levels(100))?;
        reader.end().map(|()| text)
    }

    #[test]
    fn members_are_sorted_and_the_last_duplicate_counts() {
        for (given, expected) in [
            (r#" { "b" : 1 , "a" : [ 1 , 2.50 , null , true ] } "#, r#"{"a":[1,2.5,null,true],"b":1}"#),
            (r#"{"a":1,"b":2,"a":{"z":1,"y":2,"z":3}}"#, r#"{"a":{"y":2,"z":3},"b":2}"#),
            (r#"{"\u0061":1,"a":2}"#, r#"{"a":2}"#),
            (
                r#"{"ü":1,"\n":2,"":3,"a\"b":[{}],"a":[]}"#,
                "{\"\":3,\"\\n\":2,\"a\":[],\"a\\\"b\":[{}],\"ü\":1}",
            ),
            ("18446744073709551616", "1.8446744073709552e+19"),
            ("-0", "-0.0"),
            ("{}", "{}"),
        ] {
            assert_eq!(canonical(given).expect(given), expected);
        }
    }

    #[test]
    fn invalid_json_is_refused() {
        for text in ["NaN", "1e999", r#""\ud800""#, "[1,]", r#"{"a"}"#, "", "{} {}"] {
            assert!(canonical(text).is_err(), "{text}");
        }
    }

    #[test]
    fn exceeded_bound_is_reported() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (text, bounds, exceeded) in [
            (nested(5), Bounds::new(5, 5), None),
            (nested(6), Bounds::new(5, 100), Some(Exceeded::Levels)),
            ("[1,2,3]".into(), Bounds::new(5, 4), None),
            (r#"{"a":[1,2,3]}"#.into(), Bounds::new(5, 4), Some(Exceeded::Values)),
        ] {
            let mut reader = serde_json::Deserializer::from_str(&text);
            assert_eq!(read(&mut reader, &bounds).is_ok(), exceeded.is_none(), "{text}");
            assert_eq!(bounds.exceeded(), exceeded, "{text}");
        }
    }

    proptest! {
        /// serde_json's own tree is the oracle.
        #[test]
        fn text_equals_that_of_a_sorted_tree(value in proptests::any_json()) {
            let text = canonical(&value.to_string()).expect("JSON");
            prop_assert_eq!(&text, &value.to_string());
            prop_assert_eq!(text_of(&value), Some(text));
        }
    }

    #[test]
    fn content_of_any_type_has_canonical_text() {
        assert_eq!(text_of(&json!({"b": 1, "a": Value::Null})).as_deref(), Some(r#"{"a":null,"b":1}"#));
    }
}
