//! The evidence of one run, page by page from a transaction that sees one moment: memory
//! does not grow with the run.
//!
//! ```text
//!   snapshot ─▶ run · nodes · events · attempts · audit ─▶ pieces of 64 KiB, a few ─▶ reader
//! ```
//!
//! A snapshot keeps the database from cleaning up, so a reader has [`WITHIN`] for it.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use parking_lot::Mutex;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{PostgresJournal, link::Live, machine, read, read::head_columns, readers::Snapshot};
use crate::{
    evidence::BundleWriter,
    journal::{
        JournalError, Pieces,
        rows::{NodeRow, RunRow, from_json},
    },
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

/// The rows of a page.
const PAGE: i64 = 200;

/// A parent's path is the start of its children's: it comes before them.
const NODES: &str = concat!(
    "SELECT ",
    head_columns!(),
    ", body, apart, CASE WHEN apart & 1 <> 0 THEN inputs END, CASE WHEN apart & 2 <> 0 THEN outputs END
     FROM node_runs WHERE run_id = $1 AND path > $2 ORDER BY path LIMIT $3"
);

const EVENTS: &str = "SELECT seq, body FROM events WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3";

const ATTEMPTS: &str =
    "SELECT n.path, a.attempt, a.body FROM node_runs AS n JOIN attempts AS a USING (node_run_id)
    WHERE n.run_id = $1 AND (n.path, a.attempt) > ($2, $3) ORDER BY n.path, a.attempt LIMIT $4";

const AUDIT: &str = "SELECT id, body FROM audit_trail WHERE run_id = $1 AND id > $2 ORDER BY id LIMIT $3";

/// `None`: there is no such run.
pub(super) async fn pieces(
    journal: &PostgresJournal,
    run: &RunId,
    now: Timestamp,
) -> Result<Option<Pieces>, JournalError> {
    let snapshot = journal.readers.snapshot().await?;
    let Some(record) = read_run(&snapshot.live, run).await? else { return Ok(None) };
    let (sender, mut pieces) = mpsc::channel(WAITING_MAX);
    machine::begin(async move {
        let out = Out::default();
        let mut sink = Sink { sender, out: out.clone(), until: Instant::now() + WITHIN };
        if let Err(failure) = write(&snapshot, record, now, &mut sink).await {
            // The reader may be gone: then nothing is left to say.
            let _gone = sink.sender.send(Err(failure)).await;
        }
    });
    Ok(Some(Box::pin(stream::poll_fn(move |cx| pieces.poll_recv(cx)))))
}

async fn read_run(live: &Live, run: &RunId) -> Result<Option<RunRecord>, JournalError> {
    let row = live.query_opt(read::RUN, &[&run.as_str()]).await?;
    row.map(|row| RunRow::read(&row)?.decode()).transpose()
}

/// What a bundle is written to, until it is sent.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl Write for Out {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Sink {
    sender: mpsc::Sender<Result<Bytes, JournalError>>,
    out: Out,
    until: Instant,
}

impl Sink {
    /// Sends what was written, if it is a piece, or the last one.
    async fn send(&mut self, is_last: bool) -> Result<(), JournalError> {
        let piece = {
            let mut written = self.out.0.lock();
            if written.is_empty() || (written.len() < PIECE && !is_last) {
                return Ok(());
            }
            Bytes::from(std::mem::take(&mut *written))
        };
        let failed = |why: &str| JournalError::Failed(why.to_owned());
        let sent = timeout_at(self.until, self.sender.send(Ok(piece))).await;
        sent.map_err(|_| failed("it was not read in time"))?.map_err(|_| failed("its reader is gone"))
    }
}

/// Everything else of the run.
async fn write(
    snapshot: &Snapshot,
    record: RunRecord,
    now: Timestamp,
    sink: &mut Sink,
) -> Result<(), JournalError> {
    let live = &snapshot.live;
    let run = record.id().clone();
    let id = run.as_str();
    let written = |e: io::Error| JournalError::Failed(format!("cannot write the bundle: {e}"));
    let mut bundle = BundleWriter::begin(sink.out.clone(), record, now).map_err(written)?;
    let mut path = String::new();
    loop {
        let rows = live.query(NODES, &[&id, &path, &PAGE]).await?;
        for row in &rows {
            let node = NodeRow::read(row)?.decode()?;
            path = row.try_get(3)?;
            bundle.node_run(node).map_err(written)?;
            sink.send(false).await?;
        }
        if rows.is_empty() {
            break;
        }
    }
    let mut seq: i64 = 0;
    loop {
        let rows = live.query(EVENTS, &[&id, &seq, &PAGE]).await?;
        for row in &rows {
            seq = row.try_get(0)?;
            bundle.event(&from_json::<RunEvent>(id, row.try_get(1)?)?).map_err(written)?;
            sink.send(false).await?;
        }
        if rows.is_empty() {
            break;
        }
    }
    let mut place: (String, i64) = (String::new(), 0);
    loop {
        let rows = live.query(ATTEMPTS, &[&id, &place.0, &place.1, &PAGE]).await?;
        for row in &rows {
            place = (row.try_get(0)?, row.try_get(1)?);
            bundle.attempt(&from_json::<AttemptRecord>(id, row.try_get(2)?)?).map_err(written)?;
            sink.send(false).await?;
        }
        if rows.is_empty() {
            break;
        }
    }
    let mut audit: i64 = 0;
    loop {
        let rows = live.query(AUDIT, &[&id, &audit, &PAGE]).await?;
        for row in &rows {
            audit = row.try_get(0)?;
            bundle.audit(&from_json::<AuditRecord>(id, row.try_get(1)?)?).map_err(written)?;
            sink.send(false).await?;
        }
        if rows.is_empty() {
            break;
        }
    }
    bundle.end().map_err(written)?;
    sink.send(true).await
}
