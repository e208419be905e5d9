//! What the machine itself can do, in the same minutes: its disk, and SQLite on it.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use rusqlite::Connection;
use tokio::task::spawn_blocking;

use crate::{plan::rows, report::Results};

const EACH: Duration = Duration::from_secs(1);

/// A block of the disk.
const BLOCK: [u8; 4096] = [7; 4096];

/// `folder`: an empty one, on the disk of the journals.
pub(crate) async fn measure(folder: &Path, results: &mut Results) -> Result<()> {
    let fdatasyncs = fdatasyncs(folder.to_owned(), EACH).await?;
    let path = folder.join("commits.db");
    let commits = spawn_blocking(move || commits(path, EACH)).await??;
    let figures = [("fdatasync/s", fdatasyncs), ("SQLite commits/s", commits)];
    results.add(rows::LIMITS, "this machine, one writer", None, &figures);
    Ok(())
}

/// The rate at which one writer can append a block to a file and wait for the disk.
pub(crate) async fn fdatasyncs(folder: PathBuf, each: Duration) -> Result<f64> {
    spawn_blocking(move || {
        let path = folder.join("fdatasync");
        let mut file = File::create(&path)?;
        rate(each, || {
            file.write_all(&BLOCK)?;
            Ok(file.sync_data()?)
        })
    })
    .await?
}

/// The rate of transactions with one small row each, each on the disk when it is over.
fn commits(path: PathBuf, each: Duration) -> Result<f64> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "WAL")?;
    database.pragma_update(None, "synchronous", "FULL")?;
    database.execute_batch("CREATE TABLE commits (number INTEGER PRIMARY KEY, what TEXT)")?;
    let mut insert = database.prepare("INSERT INTO commits (what) VALUES (?1)")?;
    rate(each, || {
        insert.execute(["a small row"])?;
        Ok(())
    })
}

fn rate(each: Duration, mut once: impl FnMut() -> Result<()>) -> Result<f64> {
    let (began, mut times) = (Instant::now(), 0_u32);
    while began.elapsed() < each {
        once()?;
        times += 1;
    }
    Ok(f64::from(times) / began.elapsed().as_secs_f64())
}
