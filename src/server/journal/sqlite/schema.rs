//! Opening the file: whose it is, whether it is sound, and whether this program
//! knows its schema.

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
/// takes a fraction of a second. Bigger ones get what SQLite itself checks
/// (header, length, schema): a coordinator that needs a minute to come back is
/// the greater evil, and damage elsewhere is reported when it is read.
const CHECK_WHOLE_UP_TO: u64 = 64 << 20;

/// Of the writer's connection, in KiB: the inner pages of all indexes. The body
/// of a large record fills it, so it is no larger than such a body; what is not
/// in it, the system mostly has in memory.
const CACHE_KIB: i64 = 8 << 10;

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

/// Brings the schema up to date, and declares the owners before us dead.
pub(super) fn take_over(connection: &Connection, at: At<'_>) -> Result<(), OpenError> {
    migrate(connection).map_err(|failed| at.not_migrated(&failed))?;
    // Only one process has the file at a time, and that is this one: whoever
    // is registered in it is dead. What they had is free as soon as somebody
    // asks (`reap_dead_workers`), not when their leases run out.
    connection.execute("DELETE FROM owners", []).map_err(|e| at.sqlite(&e))?;
    Ok(())
}

/// The folder is not made: a path with a mistake in it would become another,
/// empty journal, and what the right one has would be forgotten.
pub fn folder_exists(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match folder.is_dir() {
        true => Ok(()),
        false => Err(OpenError::NoFolder {
            path: path.display().to_string(),
            folder: folder.display().to_string(),
        }),
    }
}

/// If there is no file yet, makes one that only its owner can read: it will
/// hold secrets. SQLite's files beside it get the same mode. A file that is
/// there keeps the mode that somebody gave it.
fn make_private(path: &Path) {
    // Mostly it exists. If it cannot be made, SQLite says so better.
    let _made = private(path);
}

/// A new, empty file for its owner only.
pub(super) fn private(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
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
    set_up(&connection)?;
    Ok(connection)
}

/// What each connection needs, whatever it is for.
pub(super) fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    // A plan must not depend on the values that are bound. If it may, SQLite
    // compiles each statement that has a parameter and an ORDER BY or a LIMIT
    // again with every execution, which costs more than to execute it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The right to use a journal, until dropped.
///
/// ```text
///   <path>.lock ── locked first: also older programs look at it, and it stays
///                  when the journal itself is put aside
///   the file ───── locked whatever path leads to it: symlink, hard link, mount
/// ```
///
/// These are locks of open files (`flock`), and know nothing of those that
/// SQLite has, which are the process's (`fcntl`). The latter all go when the
/// process closes *any* open file of the journal. So ours is opened before
/// SQLite opens the file and closed after it, and nothing else in this process
/// opens it but SQLite: `HELD` is asked before.
pub(super) struct Lock {
    pub(super) beside: File,
    file: File,
    id: FileId,
}

/// Which file it is, whatever its names: device and inode.
type FileId = (u64, u64);

/// The journals that this process has.
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
        // Not by closing alone: a child process that is being started has the
        // files too, for a moment.
        for file in [&self.file, &self.beside] {
            let _closing_will_do = file.unlock();
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

/// Two coordinators on one file would each believe that the other's runs are
/// theirs. The lock ends with the process, however that ends.
fn lock_beside(path: &Path, at: At<'_>) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(|e| at.io(e))?;
    try_lock(file, at)
}

fn lock_file(path: &Path, beside: File, at: At<'_>) -> Result<Lock, OpenError> {
    let id = id_of(&fs::metadata(path).map_err(|e| at.io(e))?);
    // Kept while the file is opened: another thread may be about to.
    let mut held = held();
    if held.contains(&id) {
        return Err(OpenError::Locked { path: at.text() });
    }
    let file = File::options().read(true).write(true).open(path).map_err(|e| at.io(e))?;
    let file = try_lock(file, at)?;
    if id_of(&file.metadata().map_err(|e| at.io(e))?) != id {
        return Err(at.io(std::io::Error::other("it was replaced while it was opened")));
    }
    held.insert(id);
    Ok(Lock { beside, file, id })
}

/// Nothing in it yet. A file with something in it must be ours, and not from
/// the future. Asked before anything in the file is touched.
pub(super) fn is_new(connection: &Connection, at: At<'_>) -> Result<bool, OpenError> {
    let number = |sql| connection.query_one(sql, [], |row| row.get::<_, i64>(0)).map_err(|e| at.sqlite(&e));
    let application_id = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    if application_id == 0 && version == 0 && number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(true);
    }
    if application_id != i64::from(APPLICATION_ID) {
        return Err(at.corrupt(format!("its application id is {application_id:#x}, not {APPLICATION_ID:#x}")));
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

/// Each page, but not whether the indexes agree with their tables.
pub(super) fn quick_check(connection: &Connection, at: At<'_>) -> Result<(), OpenError> {
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
    #[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
    pub(super) fn io(self, error: std::io::Error) -> OpenError {
        OpenError::Io { path: self.text(), reason: error.to_string() }
    }
    pub(super) fn sqlite(self, error: &rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => self.corrupt(error.to_string()),
            Some(_) | None => OpenError::Io { path: self.text(), reason: error.to_string() },
        }
    }
    fn not_migrated(self, failed: &NotMigrated) -> OpenError {
        let NotMigrated { from, error } = failed;
        // Without the SQL, which would hide what the matter is.
        let error = if let rusqlite::Error::SqlInputError { msg, .. } = error {
            msg.clone()
        } else {
            error.to_string()
        };
        let reason = format!("it has schema {from} and cannot be given the next ({error}); it is as it was");
        OpenError::Io { path: self.text(), reason }
    }
}
