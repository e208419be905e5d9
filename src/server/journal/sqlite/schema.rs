//! Opening the file: it must be ours, unlocked, sound and of a supported schema.
//!
//! ```text
//!   <file>.lock ─▶ lock ─▶ file: lock ─▶ ours? ─▶ sound? ─▶ migrate ─▶ no worker is alive
//!                   └ held: another coordinator uses it
//! ```

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::{
    SqliteOptions,
    migrations::{APPLICATION_ID, KNOWN, NotMigrated, migrate},
};
use crate::journal::OpenError;

/// Files up to this size are checked page by page when they are opened, which
/// takes a fraction of a second. For bigger files SQLite's own checks (header,
/// length, schema) have to do: a coordinator that needs a minute to restart would
/// be worse, and other damage is reported when it is read.
pub(super) const CHECK_WHOLE_UP_TO: u64 = 64 << 20;

/// The page cache of the writer's connection, in KiB: holds the inner pages of all
/// indexes. The body
/// of a large record fills it, so it is no larger than such a body; what is not
/// in it, the system mostly has in memory.
const CACHE_KIB: i64 = 8 << 10;

/// A journal file that is locked, sound and of the current schema.
pub(super) struct Opened {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) lock: Lock,
    pub(super) new: bool,
}

pub(super) fn open(options: &SqliteOptions) -> Result<Opened, OpenError> {
    let at = At(&options.path);
    let path = std::path::absolute(&options.path).map_err(|e| at.io(e))?;
    folder_exists(&options.path)?;
    let beside = lock_beside(&path, at)?;
    make_private(&path);
    let lock = lock_file(&path, beside, at)?;
    let connection = connect(&path).map_err(|e| at.sqlite(&e))?;
    let new = is_new(&connection, at)?;
    if !new {
        check(&connection, &path, at)?;
    }
    prepare(&connection, options.max_bytes).map_err(|e| at.sqlite(&e))?;
    take_over(&connection, at)?;
    Ok(Opened { path, connection, lock, new })
}

/// Migrates the schema, and unregisters the workers of earlier processes.
pub(super) fn take_over(connection: &Connection, at: At<'_>) -> Result<(), OpenError> {
    migrate(connection).map_err(|failed| at.not_migrated(&failed))?;
    // Only one process has the file at a time, and that is this one: every
    // registered worker is dead. Their claims go with the next
    // `reap_dead_workers`, not when their time has passed.
    connection.execute("DELETE FROM owners", []).map_err(|e| at.sqlite(&e))?;
    Ok(())
}

/// Fails if the folder does not exist. It is not created: a mistake in the path
/// would create another, empty journal, and the runs of the right one would be
/// forgotten.
pub fn folder_exists(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    Err(OpenError::NoFolder { path: path.display().to_string(), folder: folder.display().to_string() })
}

/// Creates a missing file so that only its user can read it, because it will
/// contain secrets. SQLite's files beside it get the same mode. An existing file
/// keeps its mode.
fn make_private(path: &Path) {
    // Mostly it exists. If it cannot be created, SQLite reports that better.
    let _made = private(path);
}

/// Creates an empty file that only its user can read.
pub fn private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens another connection to the file.
pub(super) fn connect_again(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Opens a connection. URIs are disabled: a file name is a file name.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    set_up(&connection)?;
    Ok(connection)
}

/// The settings that every connection needs.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // A plan must not depend on bound values. Otherwise SQLite compiles each
    // statement with a parameter and an ORDER BY or LIMIT again for every
    // execution, which costs more than executing it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The right to use a journal, until dropped.
///
/// ```text
///   <path>.lock ── locked first: older programs check it too, and it stays when
///                  the journal itself is moved away
///   the file ───── locked through every path to it: symlink, hard link, mount
/// ```
///
/// These are locks of open files (`flock`), independent of SQLite's, which belong
/// to the process (`fcntl`). SQLite's locks are all released when the process
/// closes *any* open file of the journal. So ours is opened before SQLite opens the
/// file and closed after it, and nothing else in this process opens the file:
/// `HELD` is checked first.
pub(super) struct Lock {
    pub(super) beside: File,
    file: File,
    id: FileId,
}

/// The identity of a file under all its names: device and inode.
type FileId = (u64, u64);

/// The journals that this process has open.
static HELD: Mutex<BTreeSet<FileId>> = Mutex::new(BTreeSet::new());

fn held() -> MutexGuard<'static, BTreeSet<FileId>> {
    HELD.lock()
}

fn id_of(file: &fs::Metadata) -> FileId {
    (file.dev(), file.ino())
}

impl Drop for Lock {
    fn drop(&mut self) {
        held().remove(&self.id);
        // Closing alone is not enough: a child process that is being started has
        // the files too, for a moment.
        for file in [&self.file, &self.beside] {
            let _released_by_closing = file.unlock();
        }
    }
}

fn try_lock(file: File, at: At<'_>) -> Result<File, OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: at.text() }),
        Err(TryLockError::Error(e)) => Err(at.io(e)),
    }
}

/// The file beside the journal that is locked.
pub(super) fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

/// Two coordinators on one file would each take the other's runs for their own.
/// The lock ends with the process, however it ends.
fn lock_beside(path: &Path, at: At<'_>) -> Result<File, OpenError> {
    let name = lock_path(path);
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(|e| at.io(e))?;
    try_lock(file, at)
}

fn lock_file(path: &Path, beside: File, at: At<'_>) -> Result<Lock, OpenError> {
    let id = id_of(&fs::metadata(path).map_err(|e| at.io(e))?);
    // Held while the file is opened: another thread may be opening it too.
    let mut held = held();
    if held.contains(&id) {
        return Err(OpenError::Locked { path: at.text() });
    }
    let file = File::options().read(true).write(true).open(path).map_err(|e| at.io(e))?;
    let file = try_lock(file, at)?;
    if id_of(&file.metadata().map_err(|e| at.io(e))?) != id {
        return Err(at.io(std::io::Error::other("the file was replaced while it was opened")));
    }
    held.insert(id);
    Ok(Lock { beside, file, id })
}

/// Whether the database is empty. One with content must be a journal, of a schema
/// that is not newer. Checked before anything in the file is changed.
pub(super) fn is_new(connection: &Connection, at: At<'_>) -> Result<bool, OpenError> {
    let number = |sql| connection.query_one(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| at.sqlite(&e));
    let application_id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application_id == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(true);
    }
    if application_id != i64::from(APPLICATION_ID) {
        return Err(at.corrupt(format!("the application id is {application_id:#x}, not {APPLICATION_ID:#x}")));
    }
    if version > KNOWN {
        return Err(OpenError::Newer { path: at.text(), found: version, supported: KNOWN });
    }
    Ok(false)
}

fn check(connection: &Connection, path: &Path, at: At<'_>) -> Result<(), OpenError> {
    if fs::metadata(path).map_err(|e| at.io(e))?.len() > CHECK_WHOLE_UP_TO {
        return Ok(());
    }
    quick_check(connection, at)
}

/// Checks each page, but not whether the indexes agree with their tables.
pub(super) fn quick_check(connection: &Connection, at: At<'_>) -> Result<(), OpenError> {
    let verdict: String =
        connection.query_one("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| at.sqlite(&e))?;
    if verdict == "ok" { Ok(()) } else { Err(at.corrupt(verdict)) }
}

fn prepare(connection: &Connection, max_bytes: Option<u64>) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: the log is synced by each commit, not only by checkpoints.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // `checkpoint` does it, outside of commits.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // The undo data of savepoints is kept in memory, not in a temporary file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    if let Some(max_bytes) = max_bytes {
        let page_bytes: i64 = connection.query_one("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::try_from(max_bytes).unwrap_or(i64::MAX) / page_bytes;
        // SQLite takes this number as 32 bits, and zero as a query.
        connection.pragma_update(None, "max_page_count", pages.clamp(1, i64::from(i32::MAX)))?;
    }
    Ok(())
}

/// The file that an error is about.
#[derive(Clone, Copy)]
pub(super) struct At<'a>(pub(super) &'a Path);

impl At<'_> {
    fn text(self) -> String {
        self.0.display().to_string()
    }
    pub(super) fn corrupt(self, reason: String) -> OpenError {
        OpenError::Corrupt { path: self.text(), reason }
    }
    #[expect(clippy::needless_pass_by_value, reason = "the signature that map_err needs")]
    pub(super) fn io(self, error: std::io::Error) -> OpenError {
        OpenError::Io { path: self.text(), reason: error.to_string() }
    }
    pub(super) fn sqlite(self, error: &rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.corrupt(error.to_string()),
            Some(_) | None => OpenError::Io { path: self.text(), reason: error.to_string() },
        }
    }
    pub(super) fn not_migrated(self, failed: &NotMigrated) -> OpenError {
        let NotMigrated { from, error } = failed;
        // Without the SQL, which would hide the reason.
        let error = if let rusqlite::Error::SqlInputError { msg, .. } = error {
            msg.clone()
        } else {
            error.to_string()
        };
        let reason = format!("the migration from schema {from} failed ({error}); the journal is unchanged");
        OpenError::Io { path: self.text(), reason }
    }
}
