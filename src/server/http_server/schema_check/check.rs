//! Everything that is wrong with a body, in pydantic's words.

use serde_json::Number;

use super::{
    schema::{BodySchema, Format, MAX_SCALARS, MAX_SHORT, Member},
    tree::Tree,
};
use crate::{
    coordinator::{FieldError, Step},
    time::Timestamp,
};

/// The maximum number of errors in an answer.
pub(super) const MAX_ERRORS: usize = 100;
/// Names of unknown members are truncated to this length: input is not echoed.
pub(in crate::server::http_server) const MAX_NAME: usize = 100;

/// From 2^64 on, every floating point number is an integer, and too large for
/// `u64`.
const TWO_TO_THE_64: f64 = 18_446_744_073_709_551_616.0;
const TWO_TO_THE_63: f64 = 9_223_372_036_854_775_808.0;

impl BodySchema {
    /// Lists everything that is wrong with `body`, always in the same order.
    /// Integers beyond `u64` become the largest `u64`.
    pub(in crate::server::http_server) fn check(&self, body: &mut Tree) -> Vec<FieldError> {
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
            (Self::Enum(values), value) => {
                let known = value.as_text().is_some_and(|given| values.iter().any(|known| known == given));
                if !known {
                    wrong("enum", &format!("Input should be {}", one_of(values)));
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
    for Member { name, required, schema } in members {
        let place = Place::Member(place, name);
        let found = given.binary_search_by(|(given, _)| given.cmp(name)).ok();
        match found.map(|at| &mut given[at].1) {
            None if *required => place.wrong(errors, "missing", "Field required"),
            None => (),
            Some(value) => {
                known += 1;
                if *required || !value.is_null() {
                    schema.walk(value, &place, errors);
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

fn walk_map(
    values: &BodySchema,
    given: &mut [(String, Tree)],
    place: &Place<'_>,
    errors: &mut Vec<FieldError>,
) {
    if given.len() > MAX_SCALARS {
        let message = format!(
            "Dictionary should have at most {MAX_SCALARS} items after validation, not {}",
            given.len()
        );
        place.wrong(errors, "too_long", &message);
    }
    for (name, value) in given {
        let place = Place::Member(place, name);
        if !is_short(name) {
            let message = format!("Names of members should have at most {MAX_SHORT} characters");
            place.wrong(errors, "string_too_long", &message);
        }
        values.walk(value, &place, errors);
    }
}

fn check_length(
    length: usize,
    min: usize,
    items: &BodySchema,
    place: &Place<'_>,
    errors: &mut Vec<FieldError>,
) {
    let max = items.list_max();
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

/// A value, interpreted as an unsigned integer.
enum Integer {
    Is(u64),
    /// An integer beyond `u64`.
    Huge,
    Negative,
    No,
}

fn as_number(value: &Tree) -> Option<&Number> {
    if let Tree::Number(number) = value { Some(number) } else { None }
}

/// The parser reads integers beyond 64 bits as floating point numbers, so a
/// floating point number of that size counts as an integer.
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
            Self::Short if is_short(text) => Ok(()),
            Self::Short => {
                Err(("string_too_long", format!("String should have at most {MAX_SHORT} characters")))
            }
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

fn is_short(text: &str) -> bool {
    // Most are: the bytes decide.
    text.len() <= MAX_SHORT || text.chars().nth(MAX_SHORT).is_none()
}

fn at_least(min: impl std::fmt::Display) -> String {
    format!("Input should be greater than or equal to {min}")
}

/// `'a', 'b' or 'c'`
fn one_of(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some(_) | None => quoted.concat(),
    }
}

/// A location in a body. A linked list on the stack, written out only for an
/// error.
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
