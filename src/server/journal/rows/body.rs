//! The body of a row is a record as JSON.
//!
//! ```text
//!   record ─┬─ mostly small ───────▶ text ────────────────────────▶ bound
//!           └─ shares a long text ─▶ the record ──▶ text ──▶ bound, and freed
//!   database ──────────────────────▶ text ──▶ record
//! ```
//!
//! A record with long extensions is cheap to clone, because its clones share that
//! text. Its body does not share it. Therefore the writer makes the body of such
//! a record when it writes it, and the bodies of one change never exist all at
//! once.

use std::borrow::Cow;

use rusqlite::{
    ToSql,
    types::{FromSql, FromSqlResult, ToSqlOutput, Value, ValueRef},
};
use serde::Serialize;

use crate::{
    journal::JournalError,
    record::{NodeRecord, RunRecord},
    types::Extensions,
};

/// From this many bytes of shared text on, a body is made as late as possible.
/// Smaller ones are made in the caller's task: there is only one writer thread.
const LONG_FROM: usize = 256 << 10;

/// What a body holds besides a long extension, in bytes: a guess, for the first
/// allocation.
const REST: usize = 4 << 10;

/// A record that is stored as a body.
pub(in crate::server::journal) trait Record: Clone + Serialize {
    /// The text in it that its clones share, and its body repeats.
    fn extensions(&self) -> Option<&Extensions>;
}

impl Record for RunRecord {
    fn extensions(&self) -> Option<&Extensions> {
        self.run.extensions.as_ref()
    }
}

impl Record for NodeRecord {
    fn extensions(&self) -> Option<&Extensions> {
        self.node.extensions.as_ref()
    }
}

pub(in crate::server::journal) enum Body<R> {
    Text(String),
    /// The text is made on each request.
    Long(Box<R>),
}

impl<R: Record> Body<R> {
    pub(in crate::server::journal) fn of(record: &R) -> Result<Self, JournalError> {
        match shared(record) < LONG_FROM {
            true => Ok(Self::Text(to_json(record, 128)?)),
            false => Ok(Self::Long(Box::new(record.clone()))),
        }
    }

    pub(in crate::server::journal) fn text(&self) -> Result<Cow<'_, str>, JournalError> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text)),
            Self::Long(record) => Ok(Cow::Owned(to_json(&**record, shared(&**record) + REST)?)),
        }
    }

    /// Length of the text, or nearly.
    pub(in crate::server::journal) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Long(record) => shared(&**record),
        }
    }
}

fn shared(record: &impl Record) -> usize {
    record.extensions().map_or(0, Extensions::bytes)
}

fn to_json(record: &impl Serialize, capacity: usize) -> Result<String, JournalError> {
    let failed =
        |reason: String| JournalError::Failed(format!("a record cannot be encoded as JSON: {reason}"));
    let mut text = Vec::with_capacity(capacity);
    serde_json::to_writer(&mut text, record).map_err(|e| failed(e.to_string()))?;
    String::from_utf8(text).map_err(|e| failed(e.to_string()))
}

/// SQLite copies what is bound to a statement. A text that was made for this is
/// freed before the statement executes, which makes another copy.
impl<R: Record> ToSql for Body<R> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.text().map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))? {
            Cow::Borrowed(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cow::Owned(text) => ToSqlOutput::Owned(Value::Text(text)),
        })
    }
}

impl<R> FromSql for Body<R> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        String::column_result(value).map(Self::Text)
    }
}

impl<R> From<String> for Body<R> {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
