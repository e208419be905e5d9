//! Canonical JSON text: no spaces, members sorted by name, of members with the
//! same name the last, numbers as 64-bit integers or doubles. Equal content has
//! equal text (except for `1` and `1.0`), so it can be compared and hashed
//! without a tree.
//!
//! It is made in one pass over the input, within [`Bounds`].

use std::{fmt, ops::Range};

use serde::{
    Deserializer, Serialize,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{
    bounds::{Bounds, Step},
    scan,
};

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
    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.text.bounds.string(value)?;
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
        let bounds = text.bounds;
        let depth = bounds.enter(depth)?;
        text.out.push(b'[');
        for index in 0_usize.. {
            let before = text.out.len();
            if index > 0 {
                text.out.push(b',');
            }
            let item = items.next_element_seed(Place { text: &mut *text, depth });
            if item.map_err(|error| bounds.within(error, || Step::Index(index)))?.is_none() {
                text.out.truncate(before);
                break;
            }
            bounds.item(index)?;
        }
        text.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Place { text, depth } = self;
        let bounds = text.bounds;
        let depth = bounds.enter(depth)?;
        let begin = text.out.len();
        text.out.push(b'{');
        let (mut sorted, mut last) = (true, None::<Range<usize>>);
        for count in 0_usize.. {
            let before = text.out.len();
            if last.is_some() {
                text.out.push(b',');
            }
            let key = text.out.len();
            if members.next_key_seed(Name { out: &mut text.out, bounds })?.is_none() {
                text.out.truncate(before);
                break;
            }
            bounds.member(count)?;
            // Without its quotes.
            let name = key + 1..text.out.len() - 1;
            if let Some(last) = last.replace(name.clone()) {
                sorted &= scan::compare_names(&text.out[last], &text.out[name.clone()]).is_lt();
            }
            text.out.push(b':');
            let value = members.next_value_seed(Place { text: &mut *text, depth });
            value.map_err(|error| bounds.within(error, || step(&text.out[name])))?;
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
    bounds: &'t Bounds,
}

/// The step to the member with this escaped name.
fn step(name: &[u8]) -> Step {
    Step::Member(scan::unescaped(std::str::from_utf8(name).unwrap_or_default()).into_owned())
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
    fn visit_str<E: de::Error>(self, name: &str) -> Result<(), E> {
        self.bounds.name(name)?;
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
    use crate::types::{json::bounds::Exceeded, proptests};

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
        let bounds = |values| Bounds::new(5, values).string_bytes(4).items(3);
        let member = |name: &str| Step::Member(name.to_owned());
        for (text, bounds, exceeded) in [
            (nested(5), bounds(5), None),
            (nested(6), bounds(100), Some((Exceeded::Levels, vec![Step::Index(0); 5]))),
            ("[1,2,3]".into(), bounds(4), None),
            (
                r#"{"a":[1,2,3]}"#.into(),
                bounds(4),
                Some((Exceeded::Values, vec![member("a"), Step::Index(2)])),
            ),
            (r#"["1234","\u00fc12",{"1234":0}]"#.into(), bounds(100), None),
            ("\"12345\"".into(), bounds(100), Some((Exceeded::String, vec![]))),
            (
                r#"{"\n":[0,{"b":"\u00fc123"}]}"#.into(),
                bounds(100),
                Some((Exceeded::String, vec![member("\n"), Step::Index(1), member("b")])),
            ),
            (r#"{"a":{"12345":0}}"#.into(), bounds(100), Some((Exceeded::Name, vec![member("a")]))),
            (r#"{"a":[1,2,3,4]}"#.into(), bounds(100), Some((Exceeded::Items, vec![member("a")]))),
            (
                r#"[{"a":1,"b":2,"a":3,"d":4}]"#.into(),
                bounds(100),
                Some((Exceeded::Members, vec![Step::Index(0)])),
            ),
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
