//! Opening the file: whose it is, whether it is sound, and which schema it
//! has. Migrations only go forward.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteOptions;
use crate::store::OpenError;

/// `JRCJ`, the coordinator's journal: in the header of each of our files.
pub(super) const APPLICATION_ID: i32 = 0x4a52_434a;

/// What brings the schema from one version to the next; the first makes it.
/// Never change one that was released: append another.
const MIGRATIONS: [&str; 4] = [SCHEMA_1, SCHEMA_2, SCHEMA_3, SCHEMA_4];

/// The constraints make facts of what the coordinator relies on: whatever is
/// not over has a time at which it is looked at again.
const SCHEMA_1: &str = "
    CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
    CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;

    CREATE TABLE node_runs (
        node_run_id TEXT PRIMARY KEY NOT NULL,
        run_id      TEXT NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        path        TEXT NOT NULL,
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        wake_job    TEXT,
        wake_at     INTEGER,
        wake_owner  TEXT,
        wake_tries  INTEGER,
        body        TEXT NOT NULL,
        CONSTRAINT a_live_node_run_has_a_wake_up CHECK (terminal = 1 OR wake_at IS NOT NULL),
        CONSTRAINT a_wake_up_is_whole CHECK (
            (wake_at IS NULL) = (wake_job IS NULL)
            AND (wake_at IS NULL) = (wake_tries IS NULL)
            AND (wake_owner IS NULL OR wake_at IS NOT NULL))
    ) STRICT;
    CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
    CREATE INDEX wakes_free ON node_runs (wake_at) WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
    CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;

    CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id      TEXT NOT NULL,
        what        TEXT NOT NULL CHECK (what IN ('run', 'node_run', 'event')),
        key         TEXT NOT NULL
    ) STRICT;
";

/// What the coordinator must know again after a restart and nobody else may
/// know, by name. A reason why the file is for its owner only.
const SCHEMA_2: &str = "
    CREATE TABLE secrets (
        name        TEXT PRIMARY KEY NOT NULL,
        value       BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The outbox that says what is new, and how long it has waited. The first one
/// was always empty: no program that wrote to it has existed. A row is about
/// events if it has their numbers, else about an object: the run if it names no
/// node run.
const SCHEMA_3: &str = "
    DROP TABLE outbox;
    CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        decided_at  INTEGER NOT NULL,
        run_id      TEXT NOT NULL,
        node_run_id TEXT,
        new         INTEGER CHECK (new IN (0, 1)),
        first_seq   INTEGER,
        last_seq    INTEGER,
        CONSTRAINT events_or_an_object CHECK (
            (first_seq IS NULL) = (last_seq IS NULL)
            AND (first_seq IS NULL) <> (new IS NULL)
            AND (node_run_id IS NULL OR new IS NOT NULL))
    ) STRICT;
";

/// What parks, and what forgets.
///
/// - A run has the time of the last commit that wrote it. For those written
///   before, that is the time of their newest event; 0 where that cannot be
///   read, and such a run is never deleted. Only finished runs are indexed by
///   it: for the others that would be a page more in every commit.
/// - Free wake-ups are found without those of certain runs, from the index
///   alone.
/// - `parked` holds what fails again and again; an empty node run is the run
///   as a whole.
/// - The nodes of a run are found also when they are over. What the outbox owes
///   of a run is found without an index, which would be three pages more in
///   every commit (see `runs_prunable`).
const SCHEMA_4: &str = "
    ALTER TABLE runs ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
    UPDATE runs SET changed_at = coalesce((
        SELECT unixepoch(substr(time, 1, 19)) * 1000000 + CAST(substr(time, 21, 6) AS INTEGER)
        FROM (SELECT CASE WHEN json_valid(body) THEN body ->> '$.time' END AS time
              FROM events WHERE events.run_id = runs.run_id ORDER BY seq DESC LIMIT 1)), 0);
    CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;

    CREATE INDEX node_runs_of_run ON node_runs (run_id);
    DROP INDEX wakes_free;
    CREATE INDEX wakes_free ON node_runs (wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;

    CREATE TABLE parked (
        run_id      TEXT NOT NULL,
        node_run_id TEXT NOT NULL,
        job         TEXT NOT NULL,
        error       TEXT NOT NULL,
        since       INTEGER NOT NULL,
        until       INTEGER NOT NULL,
        times       INTEGER NOT NULL CHECK (times > 0),
        PRIMARY KEY (run_id, node_run_id)
    ) STRICT, WITHOUT ROWID;
";

/// Files up to this size are checked page by page when they are opened, which
/// takes a fraction of a second. Bigger ones get what SQLite itself checks
/// (header, length, schema): a coordinator that needs a minute to come back is
/// the greater evil, and damage elsewhere is reported when it is read.
const CHECK_WHOLE_UP_TO: u64 = 64 << 20;

/// Of the writer's connection, in KiB: the inner pages of all indexes.
const CACHE_KIB: i64 = 16 << 10;

/// A file that is ours, sound and up to date.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) lock: Lock,
    pub(super) new: bool,
}

pub(super) fn open(options: &SqliteOptions) -> Result<Opened, OpenError> {
    let at = At(&options.path);
    let path = std::path::absolute(&options.path).map_err(|e| at.io(e))?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|e| at.io(e))?;
    }
    let lock = lock(&path, at)?;
    make_private(&path);
    let connection = connect(&path).map_err(|e| at.sqlite(&e))?;
    let new = is_new(&connection, at)?;
    if !new {
        check(&connection, &path, at)?;
    }
    prepare(&connection, options.max_bytes).map_err(|e| at.sqlite(&e))?;
    migrate(&connection).map_err(|e| at.sqlite(&e))?;
    // Only one process has the file at a time, and that is this one: whoever
    // is registered in it is dead. What they had is free as soon as somebody
    // asks (`owners_expire`), not when their leases run out.
    connection.execute("DELETE FROM owners", []).map_err(|e| at.sqlite(&e))?;
    Ok(Opened { path, connection, lock, new })
}

/// If there is no file yet, makes one that only its owner can read: it will
/// hold secrets. SQLite's files beside it get the same mode. A file that is
/// there keeps the mode that somebody gave it.
fn make_private(path: &Path) {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Mostly it exists. If it cannot be made, SQLite says so better.
    let _made = options.open(path);
}

/// Another connection to a file that was opened.
pub(super) fn connect_again(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// No URIs: a file name is a file name.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// The right to use a journal, until dropped.
pub(super) struct Lock(pub(super) File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Not by closing alone: a child process that is being started has the
        // file too, for a moment.
        let _closing_will_do = self.0.unlock();
    }
}

/// Two coordinators on one file would each believe that the other's runs are
/// theirs. The lock ends with the process, however that ends.
fn lock(path: &Path, at: At<'_>) -> Result<Lock, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(|e| at.io(e))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: at.text() }),
        Err(TryLockError::Error(e)) => Err(at.io(e)),
    }
}

/// Nothing in it yet. A file with something in it must be ours, and not from
/// the future. Asked before anything in the file is touched.
fn is_new(connection: &Connection, at: At<'_>) -> Result<bool, OpenError> {
    let number = |sql| connection.query_one(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| at.sqlite(&e));
    let application_id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application_id == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(true);
    }
    if application_id != i64::from(APPLICATION_ID) {
        return Err(at.corrupt(format!("its application id is {application_id:#x}, not {APPLICATION_ID:#x}")));
    }
    let supported = MIGRATIONS.len() as i64;
    if version > supported {
        return Err(OpenError::Newer { path: at.text(), found: version, supported });
    }
    Ok(false)
}

fn check(connection: &Connection, path: &Path, at: At<'_>) -> Result<(), OpenError> {
    if fs::metadata(path).map_err(|e| at.io(e))?.len() > CHECK_WHOLE_UP_TO {
        return Ok(());
    }
    let verdict: String =
        connection.query_one("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| at.sqlite(&e))?;
    if verdict == "ok" { Ok(()) } else { Err(at.corrupt(verdict)) }
}

fn prepare(connection: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: the log is synced by each commit, not only by checkpoints.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // `checkpoint` does it, outside the commits.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // What undoes a savepoint is kept in memory, not in a temporary file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(max_bytes) = max_bytes {
        let page_bytes: i64 = connection.query_one("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::try_from(max_bytes).unwrap_or(i64::MAX) / page_bytes;
        // SQLite takes this number as 32 bits, and zero for "tell me".
        connection.pragma_update(None, "max_page_count", pages.clamp(1, i64::from(i32::MAX)))?;
    }
    Ok(())
}

/// Each step is one transaction, its number included: a step is done or not.
fn migrate(connection: &Connection) -> rusqlite::Result<()> {
    let done: usize = connection.query_one("PRAGMA user_version", [], |row| row.get::<_, u32>(0))? as usize;
    for (index, step) in MIGRATIONS.iter().enumerate().skip(done) {
        let version = index + 1;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             PRAGMA application_id = {APPLICATION_ID};
             {step}
             PRAGMA user_version = {version};
             COMMIT;"
        ))?;
    }
    Ok(())
}

/// The file that an error is about.
#[derive(Clone, Copy)]
struct At<'a>(&'a Path);

impl At<'_> {
    fn text(self) -> String {
        self.0.display().to_string()
    }
    fn corrupt(self, reason: String) -> OpenError {
        OpenError::Corrupt { path: self.text(), reason }
    }
    #[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
    fn io(self, error: std::io::Error) -> OpenError {
        OpenError::Io { path: self.text(), reason: error.to_string() }
    }
    fn sqlite(self, error: &rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.corrupt(error.to_string()),
            Some(_) | None => OpenError::Io { path: self.text(), reason: error.to_string() },
        }
    }
}
