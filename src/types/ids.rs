//! Identifiers as types: a run id where a node run id is expected is a compile
//! error.

use std::fmt;

use schemars::{JsonSchema, r#gen::SchemaGenerator, schema::Schema};
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(id: impl Into<String>) -> Self {
                Self(id.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.into())
            }
        }
        /// In the API document an id is a plain string.
        impl JsonSchema for $name {
            fn is_referenceable() -> bool {
                false
            }
            fn schema_name() -> String {
                stringify!($name).into()
            }
            fn json_schema(g: &mut SchemaGenerator) -> Schema {
                String::json_schema(g)
            }
        }
    };
}

text_id! {
    /// Identifies a run. Chosen by the caller, or `run_` + 32 hex digits.
    RunId
}
text_id! {
    /// Identifies a node run: `node_run_` + 32 hex digits (contract §8).
    NodeRunId
}
text_id! {
    /// Identifies an artifact; chosen by the Artifact Store (contract §16).
    ArtifactId
}
text_id! {
    /// Identifies a bulk job: `bulk_` + 32 hex digits.
    BulkId
}
text_id! {
    /// Identifies a worker: one coordinator process from start to end. Workers hold
    /// claims.
    WorkerId
}

impl RunId {
    /// The id of the run that repeats this one with the idempotency key `key`:
    /// deterministic.
    pub fn derived_rerun(&self, key: &str) -> Self {
        Self(format!("run_{}", half_digest(&format!("rerun:{self}:{key}"))))
    }

    /// Whether a caller may choose this id (contract D-21): it must be usable in
    /// the URLs of all services.
    pub fn is_acceptable(&self) -> bool {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:~@-".contains(c);
        // URL parsers remove dot segments.
        (1..=200).contains(&self.0.len())
            && self.0.chars().all(allowed)
            && !matches!(self.as_str(), "." | "..")
    }
}

impl NodeRunId {
    /// The id of the child with the idempotency key `key` under this parent
    /// (contract §8): deterministic.
    pub fn derived(run: &RunId, parent: &NodeRunId, key: &str) -> Self {
        Self(format!("node_run_{}", half_digest(&format!("{run}:{parent}:{key}"))))
    }
}

/// The first 32 hex digits of the text's SHA-256.
fn half_digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The source of new ids. Injected, so that tests and the simulator are
/// repeatable.
pub trait IdSource: Send + Sync + 'static {
    /// 32 lower-case hex digits, never used before, which cannot be guessed.
    fn fresh(&self) -> String;

    /// The same for records, of which those made one after the other are neighbours in the
    /// journal's indexes: the first 12 digits are the time. (Not for secrets.)
    fn ordered(&self) -> String {
        self.fresh()
    }

    fn run_id(&self) -> RunId {
        RunId(format!("run_{}", self.ordered()))
    }
    fn node_run_id(&self) -> NodeRunId {
        NodeRunId(format!("node_run_{}", self.ordered()))
    }
    fn bulk_id(&self) -> BulkId {
        BulkId(format!("bulk_{}", self.ordered()))
    }
    fn owner_id(&self) -> WorkerId {
        WorkerId(format!("owner_{}", self.fresh()))
    }
}

/// Random ids (UUID version 4), and those of records (version 7: milliseconds since 1970,
/// a counter that begins at random in each of them, and 32 random bits).
pub struct RandomIds;

impl IdSource for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that draws ids")]
    fn fresh(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that draws ids")]
    fn ordered(&self) -> String {
        uuid::Uuid::now_v7().simple().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_records_are_in_the_order_in_which_they_were_made() {
        let ids: Vec<_> = (0..2000).map(|_| RandomIds.run_id()).collect();
        assert!(ids.is_sorted(), "{ids:?}");
        let hex = |text: &str| text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        assert!(ids.iter().all(|id| id.as_str().strip_prefix("run_").is_some_and(hex)), "{:?}", ids[0]);
        // The last 32 bits are random: two processes have the same time and may have the
        // same counter.
        let random: std::collections::BTreeSet<_> = ids.iter().map(|id| &id.as_str()[28..]).collect();
        assert!(random.len() > 1990, "{} of 2000", random.len());
    }

    #[test]
    fn derived_ids_match_the_contract() {
        for (run, parent, key, id) in [
            ("run-1", "parent-1", "key", "node_run_e0600c2b8f4f5c35552bd70574d29249"),
            ("run_é", "p", "k:1", "node_run_99dfb913e780f7b55c93fb5983694a75"),
        ] {
            assert_eq!(NodeRunId::derived(&run.into(), &parent.into(), key).as_str(), id);
        }
    }

    #[test]
    fn only_ids_usable_in_urls_are_acceptable() {
        for good in ["run_1", "a:b", "a.b~c@d-e", &"x".repeat(200)] {
            assert!(RunId::new(good).is_acceptable(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ü", "a?b", "a#b", "a%b", &"x".repeat(201)] {
            assert!(!RunId::new(bad).is_acceptable(), "{bad}");
        }
    }
}
