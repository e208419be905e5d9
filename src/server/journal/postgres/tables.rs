//! The rows of a database, for a file that takes them over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::runtime::Runtime;
use tokio_postgres::Row;

use super::{PostgresJournal, link::Live, machine::pause, readers::Snapshot, workers};
use crate::journal::{
    JournalError, OpenError,
    sqlite::NewFile,
    tables::{Cell, Kind, TABLES, Table},
};

/// Rows that are read at once.
const AT_ONCE: u32 = 500;
/// A worker that lives beats within this time.
const BEATS_WITHIN: Duration = Duration::from_secs(4);

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("{0}")]
    Read(#[from] JournalError),
    #[error("{0}")]
    File(#[from] OpenError),
    #[error("coordinators work on this database: stop them before it is copied ({0})")]
    InUse(String),
}

impl PostgresJournal {
    /// Copies everything to a new file, as of one moment. Returns the number of rows, by
    /// table.
    pub fn copy_to(&self, file: NewFile, runtime: &Runtime) -> Result<Vec<(&'static str, u64)>, CopyError> {
        runtime.block_on(self.is_unused())?;
        let snapshot = runtime.block_on(self.readers.snapshot())?;
        let mut copied = Vec::with_capacity(TABLES.len());
        for table in &TABLES {
            copied.push((table.name, copy(&snapshot, table, &file, runtime)?));
        }
        file.keep()?;
        Ok(copied)
    }

    /// Fails if a worker lives: what it commits meanwhile would be missing in the copy, and
    /// would be done twice.
    async fn is_unused(&self) -> Result<(), CopyError> {
        let beats = async || {
            let found = self.readers.read(|live: Arc<Live>| workers::all(live)).await?;
            let beats = found.into_iter().map(|beats| (beats.worker.to_string(), beats.count));
            Ok::<BTreeMap<_, _>, JournalError>(beats.collect())
        };
        let before = beats().await?;
        if before.is_empty() {
            return Ok(());
        }
        // Those that have crashed are still registered.
        pause(BEATS_WITHIN).await;
        let alive: Vec<String> = beats()
            .await?
            .into_iter()
            .filter(|(worker, count)| before.get(worker) != Some(count))
            .map(|(worker, _)| worker)
            .collect();
        if alive.is_empty() { Ok(()) } else { Err(CopyError::InUse(alive.join(", "))) }
    }
}

fn copy(snapshot: &Snapshot, table: &Table, file: &NewFile, runtime: &Runtime) -> Result<u64, JournalError> {
    let live = &snapshot.live;
    let declare = format!("DECLARE rows NO SCROLL CURSOR FOR {}", select(table));
    runtime.block_on(live.client.batch_execute(&declare))?;
    let fetch = format!("FETCH {AT_ONCE} FROM rows");
    let mut count = 0;
    loop {
        // Not prepared: the columns are those of another table each time.
        let rows = runtime.block_on(live.client.query(&fetch, &[]))?;
        if rows.is_empty() {
            break;
        }
        count += rows.len() as u64;
        let rows = rows.iter().map(|row| cells(table, row)).collect::<Result<Vec<_>, _>>()?;
        file.insert(table, &rows)?;
    }
    runtime.block_on(live.client.batch_execute("CLOSE rows"))?;
    Ok(count)
}

/// All rows; node runs and notices in the order of their creation.
fn select(table: &Table) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    let order = match table.name {
        "node_runs" => " ORDER BY number",
        "notices" => " ORDER BY id",
        _ => "",
    };
    format!("SELECT {} FROM {}{order}", columns.join(", "), table.name)
}

fn cells(table: &Table, row: &Row) -> Result<Vec<Cell>, JournalError> {
    let cell = |(place, (_, kind)): (usize, &(&str, Kind))| {
        Ok(match kind {
            Kind::Text => Cell::Text(row.try_get(place)?),
            Kind::Integer => Cell::Integer(row.try_get(place)?),
            Kind::Flag => Cell::Flag(row.try_get(place)?),
            Kind::Bytes => Cell::Bytes(row.try_get(place)?),
        })
    };
    table.columns.iter().enumerate().map(cell).collect()
}
