//! Opening the file: lock, check, migrate.
//!
//! Migrations go forward only. Each is applied in a transaction together with
//! the number that says so (`user_version`).

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
    time::Duration,
};

use rusqlite::Connection;

use crate::store::OpenError;

/// Marks the file as ours: "JRUC".
const APPLICATION_ID: i64 = 0x4A52_5543;
const PAGE_BYTES: u64 = 4096;
/// A file up to this size is checked as a whole when it is opened. A larger one
/// would take seconds; damage in it shows when the damaged page is read.
const CHECK_BYTES: u64 = 64 * 1024 * 1024;
/// Pages in the write-ahead log before they are brought over to the database:
/// rarely enough that few commits wait for it, often enough that the log stays
/// small.
const CHECKPOINT_PAGES: u32 = 4_000;

/// The schema, step by step. Never edit a step that was released: append one.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE runs (
        run_id   TEXT PRIMARY KEY NOT NULL,
        version  INTEGER NOT NULL,
        terminal INTEGER NOT NULL,
        deadline INTEGER,
        body     TEXT NOT NULL,
        CHECK (terminal OR deadline IS NOT NULL)
    );
    CREATE INDEX runs_by_deadline ON runs (deadline) WHERE NOT terminal;

    CREATE TABLE node_runs (
        node_run_id TEXT PRIMARY KEY NOT NULL,
        run_id      TEXT NOT NULL,
        version     INTEGER NOT NULL,
        path        TEXT NOT NULL,
        terminal    INTEGER NOT NULL,
        wake_job    TEXT,
        wake_at     INTEGER,
        wake_owner  TEXT,
        wake_tries  INTEGER NOT NULL DEFAULT 0,
        body        TEXT NOT NULL,
        CHECK (terminal OR wake_at IS NOT NULL),
        CHECK ((wake_at IS NULL) = (wake_job IS NULL)),
        CHECK (wake_owner IS NULL OR wake_at IS NOT NULL)
    );
    CREATE INDEX node_runs_live ON node_runs (run_id) WHERE NOT terminal;
    CREATE INDEX node_runs_due ON node_runs (wake_at) WHERE wake_at IS NOT NULL AND wake_owner IS NULL;
    CREATE INDEX node_runs_owned ON node_runs (wake_owner, wake_at) WHERE wake_owner IS NOT NULL;

    CREATE TABLE events (
        run_id TEXT NOT NULL,
        seq    INTEGER NOT NULL,
        path   TEXT,
        body   TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) WITHOUT ROWID;

    CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL,
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) WITHOUT ROWID;

    CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) WITHOUT ROWID;

    CREATE TABLE outbox (
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id TEXT NOT NULL,
        what   TEXT NOT NULL,
        key    TEXT NOT NULL
    );
"];

/// The newest schema that this program knows.
#[expect(clippy::cast_possible_wrap, reason = "a handful")]
pub(super) const SCHEMA: i64 = MIGRATIONS.len() as i64;

/// Keeps other processes away from the journal while the file is open.
pub(super) fn lock(path: &Path) -> Result<File, OpenError> {
    let name = path.display().to_string();
    let io = |reason: std::io::Error| OpenError::Io { path: name.clone(), reason: reason.to_string() };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(io)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&beside).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: name }),
        Err(TryLockError::Error(reason)) => Err(io(reason)),
    }
}

/// The connection that writes, on a file that is ours and up to date.
pub(super) fn open(path: &Path, max_bytes: Option<u64>) -> Result<Connection, OpenError> {
    let name = path.display().to_string();
    let corrupt = |reason: &str| OpenError::Corrupt { path: name.clone(), reason: reason.into() };
    let explain = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            corrupt(&error.to_string())
        }
        Some(_) | None => OpenError::Io { path: name.clone(), reason: error.to_string() },
    };
    let size = fs::metadata(path).map(|file| file.len()).unwrap_or(0);
    let mut db = Connection::open(path).map_err(explain)?;
    let number = |db: &Connection, pragma: &str| {
        db.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
    };
    if size > 0 {
        let (application, tables) = (
            number(&db, "application_id").map_err(explain)?,
            db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
                .map_err(explain)?,
        );
        if application != APPLICATION_ID && (application, tables) != (0, 0) {
            return Err(corrupt("it belongs to another program"));
        }
        if size <= CHECK_BYTES {
            let verdict: String =
                db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(explain)?;
            if verdict != "ok" {
                return Err(corrupt(&verdict));
            }
        }
    }
    let found = number(&db, "user_version").map_err(explain)?;
    if found > SCHEMA {
        return Err(OpenError::Newer { path: name, found, supported: SCHEMA });
    }
    configure(&db, max_bytes).map_err(explain)?;
    migrate(&mut db, found).map_err(explain)?;
    // Only one process can have it open, and that is this one: nobody who is
    // registered lives any more.
    db.execute("DELETE FROM owners", []).map_err(explain)?;
    Ok(db)
}

fn configure(db: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "page_size", PAGE_BYTES.to_string())?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "temp_store", "memory")?;
    db.set_prepared_statement_cache_capacity(64);
    if let Some(max_bytes) = max_bytes {
        db.query_row(
            &format!("PRAGMA max_page_count = {}", (max_bytes / PAGE_BYTES).max(1)),
            [],
            |_| Ok(()),
        )?;
    }
    Ok(())
}

fn migrate(db: &mut Connection, found: i64) -> rusqlite::Result<()> {
    for (step, sql) in (1..).zip(MIGRATIONS).filter(|(step, _)| *step > found) {
        let transaction = db.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}
