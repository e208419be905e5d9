//! What the suite knows about the coordinator under test.

use std::{str::FromStr, time::Duration};

use serde_json::{Value, json};

/// A node type, as `id@version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeName {
    pub id: String,
    pub version: String,
}

impl TypeName {
    pub fn new(id: &str, version: &str) -> Self {
        Self { id: id.to_owned(), version: version.to_owned() }
    }

    /// A NodeTypeRef.
    pub fn to_ref(&self) -> Value {
        json!({"node_type_id": self.id, "version": self.version})
    }
}

impl FromStr for TypeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('@') {
            Some((id, version)) if !id.is_empty() && !version.is_empty() => Ok(Self::new(id, version)),
            Some(_) | None => Err("a node type is given as id@version".into()),
        }
    }
}

/// The coordinator under test.
#[derive(Clone, Debug)]
pub struct Setup {
    pub url: String,
    pub token: Option<String>,
    /// A type whose nodes are executed and succeed.
    pub atomic_type: Option<TypeName>,
    /// A type whose nodes go to the suite's executors.
    pub composite_type: Option<TypeName>,
    pub denied_type: Option<TypeName>,
    pub denied_tenant: Option<String>,
    /// The time limit for anything that must happen.
    pub patience: Duration,
}
