//! Scalars with bounds, which the generator would drop. Each is a type that cannot
//! hold an invalid value, and documents its bounds in the API document.

use std::ops::Deref;

use schemars::{
    JsonSchema,
    r#gen::SchemaGenerator,
    schema::{ArrayValidation, InstanceType, NumberValidation, Schema, SchemaObject},
};
use serde::{Deserialize, Serialize};

/// A URI in normal form: host in lower case, default port dropped, an empty
/// path made `/` (contract §3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Uri(String);

impl TryFrom<String> for Uri {
    type Error = url::ParseError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        url::Url::parse(&text).map(|url| Self(url.into()))
    }
}

impl From<Uri> for String {
    fn from(uri: Uri) -> Self {
        uri.0
    }
}

impl Deref for Uri {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Uri {
    fn is_referenceable() -> bool {
        false
    }
    fn schema_name() -> String {
        "Uri".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        SchemaObject {
            instance_type: Some(InstanceType::String.into()),
            format: Some("uri".into()),
            ..Default::default()
        }
        .into()
    }
}

macro_rules! bounded_number {
    ($(#[$doc:meta])* $name:ident, $range:expr, $maximum:expr, $message:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            pub fn get(self) -> f64 {
                self.0
            }
        }
        impl TryFrom<f64> for $name {
            type Error = &'static str;
            fn try_from(number: f64) -> Result<Self, Self::Error> {
                if $range.contains(&number) { Ok(Self(number)) } else { Err($message) }
            }
        }
        impl From<$name> for f64 {
            fn from(number: $name) -> Self {
                number.0
            }
        }
        impl JsonSchema for $name {
            fn is_referenceable() -> bool {
                false
            }
            fn schema_name() -> String {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                SchemaObject {
                    instance_type: Some(InstanceType::Number.into()),
                    number: Some(Box::new(NumberValidation {
                        minimum: Some(0.0),
                        maximum: $maximum,
                        ..Default::default()
                    })),
                    ..Default::default()
                }
                .into()
            }
        }
    };
}

bounded_number! {
    /// From 0 to 1.
    UnitInterval, (0.0..=1.0), Some(1.0), "must be between 0 and 1"
}
bounded_number! {
    /// Zero or more.
    NonNegative, (0.0..=f64::MAX), None, "must not be negative"
}

/// A list with at least one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<T>", into = "Vec<T>", bound(serialize = "T: Serialize + Clone"))]
pub struct NonEmpty<T>(Vec<T>);

impl<T> TryFrom<Vec<T>> for NonEmpty<T> {
    type Error = &'static str;
    fn try_from(items: Vec<T>) -> Result<Self, Self::Error> {
        if items.is_empty() { Err("must not be empty") } else { Ok(Self(items)) }
    }
}

impl<T> From<T> for NonEmpty<T> {
    fn from(only: T) -> Self {
        Self(vec![only])
    }
}

impl<T> From<NonEmpty<T>> for Vec<T> {
    fn from(items: NonEmpty<T>) -> Self {
        items.0
    }
}

impl<T> Deref for NonEmpty<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: JsonSchema> JsonSchema for NonEmpty<T> {
    fn is_referenceable() -> bool {
        false
    }
    fn schema_name() -> String {
        format!("NonEmpty_{}", T::schema_name())
    }
    fn json_schema(g: &mut SchemaGenerator) -> Schema {
        SchemaObject {
            instance_type: Some(InstanceType::Array.into()),
            array: Some(Box::new(ArrayValidation {
                items: Some(g.subschema_for::<T>().into()),
                min_items: Some(1),
                ..Default::default()
            })),
            ..Default::default()
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_normalised() {
        for (given, normal) in [
            ("http://h:8081", "http://h:8081/"),
            ("HTTP://Host.Example:80/a b", "http://host.example/a%20b"),
            ("file:///x", "file:///x"),
            ("urn:a:b", "urn:a:b"),
            ("unix:///x", "unix:///x"),
        ] {
            assert_eq!(&*Uri::try_from(given.to_owned()).expect(given), normal);
        }
        assert!(Uri::try_from("/bare/path".to_owned()).is_err());
    }

    #[test]
    fn bounds_are_checked_at_deserialization() {
        assert!(serde_json::from_str::<UnitInterval>("1.0").is_ok());
        assert!(serde_json::from_str::<UnitInterval>("1.1").is_err());
        assert!(serde_json::from_str::<NonNegative>("-0.1").is_err());
        assert!(serde_json::from_str::<NonEmpty<u8>>("[]").is_err());
    }
}
