//! The evidence of one run, row by row: memory does not grow with the run.
//!
//! ```text
//!   command ──▶ view of the file ─┐                          ┌▶ file
//!                                 ├▶ BEGIN · run · nodes · … ┤
//!   operator ─▶ a connection ─────┘     in a blocking thread └▶ pieces of 64 KiB, a few ──▶ reader
//! ```
//!
//! **Invariant:** a bundle is of one moment. While it is read, the write-ahead log can
//! only grow, so a reader has [`WITHIN`] for it.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::stream;
use rusqlite::{Connection, Row};
use tokio::sync::{mpsc, oneshot};

use super::{
    access::Reads,
    contents::View,
    encoding::from_json,
    migrations::AUDIT_TRAIL_SINCE,
    readers::Readers,
    rows::{HeadRow, NodeRow},
};
use crate::{
    evidence::BundleWriter,
    journal::{JournalError, OpenError, Pieces},
    record::{AttemptRecord, AuditRecord, RunRecord},
    time::Timestamp,
    types::{RunEvent, RunId},
};

/// The size of a piece; the last one is smaller, and one with a long line larger.
const PIECE: usize = 64 << 10;

/// The pieces that wait for a reader.
const WAITING_MAX: usize = 4;

/// The time that a reader has for all pieces.
const WITHIN: Duration = Duration::from_secs(600);

/// Why a run was not exported. What was written by then is not a bundle: it has no
/// footer.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("the journal has no run {0}")]
    NoRun(RunId),
    #[error("the journal has schema {0}: start the server on it first")]
    OldSchema(i64),
    #[error("cannot read the run: {0}")]
    Read(#[from] JournalError),
    #[error("cannot write the bundle: {0}")]
    Write(#[from] io::Error),
}

/// Writes everything that the journal has about a run, as of one moment, also while
/// a server uses it. Returns the hash of the bundle.
pub fn export(journal: &Path, run: &RunId, now: Timestamp, out: impl Write) -> Result<String, ExportError> {
    let view = View::open(journal)?;
    if view.schema < AUDIT_TRAIL_SINCE {
        return Err(ExportError::OldSchema(view.schema));
    }
    let snapshot = view.connection.unchecked_transaction().map_err(JournalError::from)?;
    let record = record(&snapshot, run)?.ok_or_else(|| ExportError::NoRun(run.clone()))?;
    write(&snapshot, record, now, out)
}

/// The same for a reader elsewhere. `None`: there is no such run.
pub(super) async fn pieces(
    reads: &Reads,
    run: RunId,
    now: Timestamp,
) -> Result<Option<Pieces>, JournalError> {
    match reads {
        Reads::Pool { readers, turns: _ } => from_thread(Arc::clone(readers), run, now, WITHIN).await,
        #[cfg(any(test, feature = "test-util"))]
        Reads::Shared(shared) => shared.with(|connection| {
            let Some(record) = record(connection, &run)? else { return Ok(None) };
            let mut whole = Vec::new();
            write(connection, record, now, &mut whole).map_err(as_read)?;
            Ok(Some(Box::pin(stream::iter([Ok(Bytes::from(whole))])) as Pieces))
        }),
    }
}

/// Reads in a thread with a connection of its own, as fast as the pieces are taken.
/// It ends when the stream is dropped.
pub(super) async fn from_thread(
    readers: Arc<Readers>,
    run: RunId,
    now: Timestamp,
    within: Duration,
) -> Result<Option<Pieces>, JournalError> {
    let (sender, mut pieces) = mpsc::channel(WAITING_MAX);
    let (begun, beginning) = oneshot::channel();
    let read = move || {
        let mut out = Out { sender, piece: Vec::new(), until: Instant::now() + within };
        let mut begun = Some(begun);
        let done = readers.connect().map_err(ExportError::from).and_then(|connection| {
            let snapshot = connection.unchecked_transaction().map_err(JournalError::from)?;
            let record = record(&snapshot, &run)?;
            let is_there = record.is_some();
            // The caller may be gone: then the first piece finds that out.
            let _gone = begun.take().map(|begun| begun.send(Ok(is_there)));
            match record {
                Some(record) => write(&snapshot, record, now, &mut out).map(drop),
                None => Ok(()),
            }
        });
        let Err(failure) = done.map_err(as_read) else { return };
        match begun {
            Some(begun) => _ = begun.send(Err(failure)),
            None => _ = out.sender.blocking_send(Err(failure)),
        }
    };
    tokio::task::spawn_blocking(read);
    let ended = |_| JournalError::Failed("the reader of the bundle has ended".into());
    if !beginning.await.map_err(ended)?? {
        return Ok(None);
    }
    Ok(Some(Box::pin(stream::poll_fn(move |cx| pieces.poll_recv(cx)))))
}

fn as_read(failure: ExportError) -> JournalError {
    match failure {
        ExportError::Read(failure) => failure,
        ExportError::Open(_) | ExportError::NoRun(_) | ExportError::OldSchema(_) | ExportError::Write(_) => {
            JournalError::Failed(failure.to_string())
        }
    }
}

/// Collects pieces, and waits until each is taken.
struct Out {
    sender: mpsc::Sender<Result<Bytes, JournalError>>,
    piece: Vec<u8>,
    until: Instant,
}

impl Out {
    fn send(&mut self) -> io::Result<()> {
        if Instant::now() >= self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it was not read in time"));
        }
        let piece = Bytes::from(std::mem::take(&mut self.piece));
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "its reader is gone"))
    }
}

impl Write for Out {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(text);
        if self.piece.len() >= PIECE {
            self.send()?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}

fn record(connection: &Connection, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
    super::read::run(connection, run)
}

/// Everything else of the run, on a connection that sees one moment.
fn write(
    connection: &Connection,
    record: RunRecord,
    now: Timestamp,
    out: impl Write,
) -> Result<String, ExportError> {
    let run = record.id().clone();
    let id = run.as_str();
    let mut bundle = BundleWriter::begin(out, record, now)?;
    let (head, content) = (HeadRow::COLUMNS, NodeRow::CONTENT);
    // A parent's path is the start of its children's: it comes before them.
    let nodes = format!("SELECT {head}, {content} FROM node_runs WHERE run_id = ? ORDER BY path");
    each(connection, &nodes, id, |row| {
        Ok(bundle.node_run(NodeRow::read(row).map_err(JournalError::from)?.decode()?)?)
    })?;
    let events = "SELECT body FROM events WHERE run_id = ? ORDER BY seq";
    each(connection, events, id, |row| Ok(bundle.event(&body::<RunEvent>(id, row)?)?))?;
    let attempts = "SELECT a.body FROM node_runs n JOIN attempts a USING (node_run_id)
                    WHERE n.run_id = ? ORDER BY n.path, a.attempt";
    each(connection, attempts, id, |row| Ok(bundle.attempt(&body::<AttemptRecord>(id, row)?)?))?;
    let audit = "SELECT body FROM audit_trail WHERE run_id = ? ORDER BY id";
    each(connection, audit, id, |row| Ok(bundle.audit(&body::<AuditRecord>(id, row)?)?))?;
    Ok(bundle.end()?)
}

fn each(
    connection: &Connection,
    sql: &str,
    run: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut statement = connection.prepare_cached(sql).map_err(JournalError::from)?;
    let mut rows = statement.query([run]).map_err(JournalError::from)?;
    while let Some(row) = rows.next().map_err(JournalError::from)? {
        take(row)?;
    }
    Ok(())
}

fn body<T: serde::de::DeserializeOwned>(run: &str, row: &Row<'_>) -> Result<T, ExportError> {
    let text = row.get_ref(0).and_then(|value| Ok(value.as_str()?)).map_err(JournalError::from)?;
    Ok(from_json(run, text)?)
}
