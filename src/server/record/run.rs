//! A Run and the coordinator's bookkeeping about it.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Account, Hold, Identity, RerunOf, RunTrace, SealedToken};

use crate::{
    time::Timestamp,
    types::{Run, RunId, StructuralConstraints},
};

/// A Run with the bookkeeping that callers do not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The Run as callers see it.
    pub run: Run,
    /// Version of the row, counted up by each commit; 0 = not stored yet.
    #[serde(skip)]
    pub version: u64,
    /// `seq` of the newest event; the first has 1.
    pub last_seq: u64,
    /// NodeRuns in the run, the root included.
    pub nodes: u64,
    /// How the run came into this journal.
    #[serde(rename = "request_digest")]
    pub origin: Origin,
    /// The principal that the run belongs to. `None`: the run was adopted, and the
    /// coordinator that started it recorded none.
    #[serde(default, deserialize_with = "owner_or_subject")]
    pub owner: Option<Identity>,
    /// The token of the principal that started the run, for calls on its behalf.
    /// `None`: calls are the coordinator's own, or the run has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_token: Option<SealedToken>,
    /// When the run as a whole times out. `Some` until it is terminal.
    pub deadline: Option<Timestamp>,
    /// Limits on its tree where its constraints have none. `None`: no such limits,
    /// as in journals of earlier programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<StructuralConstraints>,
    /// Its budgets, if it has limits on what is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// It is kept from starting work. `None` once it is terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The Run that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<RerunOf>,
    /// Attempts of its nodes that this coordinator began. In runs of journals of
    /// earlier programs, those since then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u64,
    /// When it was changed last. `None`: by a program that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// The distributed trace that it belongs to. `None`: its caller sent none, and
    /// traces were off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Box<RunTrace>>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl RunRecord {
    pub fn id(&self) -> &RunId {
        &self.run.run_id
    }

    pub fn is_terminal(&self) -> bool {
        self.run.state.is_terminal()
    }

    /// When something is to be decided about the run as a whole: its deadline, or
    /// the end of its hold.
    pub fn due_at(&self) -> Option<Timestamp> {
        let until = self.hold.as_ref().and_then(|hold| hold.until);
        self.deadline.map(|deadline| until.map_or(deadline, |until| until.min(deadline)))
    }

    /// The code of the error with which it failed, as callers see it in its
    /// extensions.
    pub fn error_code(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Code {
            code: String,
        }
        let error = self.run.extensions.as_ref()?.raw("jarvis.error")?;
        serde_json::from_str::<Code>(error).ok().map(|error| error.code)
    }
}

/// Reads an owner; journals of earlier programs have the subject alone.
fn owner_or_subject<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Identity>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Identity(Identity),
        Subject(String),
    }
    Ok(Option::<Stored>::deserialize(deserializer)?.map(|stored| match stored {
        Stored::Identity(identity) => identity,
        Stored::Subject(subject) => Identity::bare(subject),
    }))
}

/// How a run came into this journal.
///
/// Stored as one string, in the member that held the digest alone before
/// adoption existed. A digest is hexadecimal, so it cannot read `adopted`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Origin {
    /// Started by a request with this digest, by which a repetition of the
    /// request is recognized (contract D-07).
    Request { digest: String },
    /// Adopted from the JARVIS stores: another coordinator started it, with a
    /// request that this one does not know.
    Adopted,
}

/// The stored form of [`Origin::Adopted`].
const ADOPTED: &str = "adopted";

impl Origin {
    /// The run was started by a request with this digest.
    pub fn is_request(&self, digest: &str) -> bool {
        match self {
            Self::Request { digest: known } => known == digest,
            Self::Adopted => false,
        }
    }
}

impl From<String> for Origin {
    fn from(stored: String) -> Self {
        if stored == ADOPTED { Self::Adopted } else { Self::Request { digest: stored } }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Request { digest } => digest,
            Origin::Adopted => ADOPTED.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_is_stored_as_journals_have_it() {
        let request = Origin::Request { digest: "0f".into() };
        for (origin, stored) in [(request.clone(), "\"0f\""), (Origin::Adopted, "\"adopted\"")] {
            assert_eq!(serde_json::to_string(&origin).expect("JSON"), stored);
            assert_eq!(serde_json::from_str::<Origin>(stored).expect("an origin"), origin);
        }
        assert!(request.is_request("0f") && !request.is_request("adopted"));
        assert!(!Origin::Adopted.is_request("adopted"));
    }
}
