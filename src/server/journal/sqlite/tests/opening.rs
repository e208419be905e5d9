//! Opening a file, and refusing one.

use super::*;

#[tokio::test]
async fn missing_folder_is_refused_and_any_file_name_works() {
    let directory = Directory::new();
    let error = try_open(directory.file("a/b/j.db")).err().expect("no such folder");
    assert!(matches!(&error, OpenError::NoFolder { folder, .. } if folder.ends_with("a/b")), "{error}");
    assert!(!directory.file("a").exists());
    for name in ["j.db", "file:x?mode=memory", ":memory:", "100% ü'\".db"] {
        let journal = probe(open(directory.file(name)));
        journal.commit(start("a")).await;
        assert!(directory.file(name).exists(), "{name}");
    }
}

#[tokio::test]
async fn second_coordinator_is_locked_out_until_the_first_ends() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let first = open(path.clone());
    let error = try_open(path.clone()).err().expect("locked");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(first);
    open(path);
}

#[tokio::test]
async fn lock_holds_through_links_and_other_paths() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let first = probe(open(path.clone()));
    fs::create_dir(directory.file("elsewhere")).expect("a folder");
    let (symlink, hard_link) = (directory.file("elsewhere/s.db"), directory.file("elsewhere/h.db"));
    std::os::unix::fs::symlink(&path, &symlink).expect("a symlink");
    fs::hard_link(&path, &hard_link).expect("a hard link");
    let others = [symlink, hard_link, directory.file("elsewhere/../j.db")];
    for other in &others {
        let error = try_open(other.clone()).err().unwrap_or_else(|| panic!("{}: locked", other.display()));
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    }
    // The refusals have released nothing: SQLite's own locks on the file are still
    // there.
    assert!(sqlite_locks(&path) > 0);
    first.commit(start("a")).await;
    drop(first);
    for other in others {
        assert!(probe(open(other)).run("a").await.is_some());
    }
}

/// The number of SQLite's locks on a file, which are by process and range.
fn sqlite_locks(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", fs::metadata(path).expect("a file").ino());
    let locks = fs::read_to_string("/proc/locks").expect("Linux lists its locks");
    locks.lines().filter(|line| line.contains(&inode) && line.contains("POSIX")).count()
}

#[test]
fn inherited_lock_file_does_not_keep_the_lock() {
    let directory = Directory::new();
    let first = open(directory.file("j.db"));
    let _in_a_child = first._lock.as_ref().expect("it is locked").beside.try_clone().expect("the lock file");
    drop(first);
    try_open(directory.file("j.db")).expect("the journal opens");
}

#[tokio::test]
async fn file_that_is_no_database_is_refused_unchanged() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    let garbage = b"Dear diary, today I am not a database. ".repeat(200);
    fs::write(&path, &garbage).expect("a file can be written");
    let error = try_open(path.clone()).err().expect("refused");
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
    assert_eq!(fs::read(&path).expect("still there"), garbage);
    // A directory is not even that.
    let error = try_open(directory.0.path().into()).err().expect("refused");
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}

#[tokio::test]
async fn damaged_file_is_refused() {
    let directory = Directory::new();
    let whole = directory.file("whole.db");
    let journal = probe(open(whole.clone()));
    journal
        .commit(ChangeSet { events: (1..=500).map(|seq| event("a", seq, None)).collect(), ..start("a") })
        .await;
    drop(journal);
    let bytes = fs::read(&whole).expect("readable");
    assert!(bytes.len() > 50_000 && !directory.file("whole.db-wal").exists(), "it is all in one file");

    let refused = |name: &str, bytes: &[u8]| {
        let path = directory.file(name);
        fs::write(&path, bytes).expect("a file can be written");
        let error = try_open(path).err().unwrap_or_else(|| panic!("{name} is refused"));
        assert!(matches!(error, OpenError::Corrupt { .. }), "{name}: {error}");
    };
    refused("half", &bytes[..bytes.len() / 2]);
    refused("header only", &bytes[..100]);
    refused("last page missing", &bytes[..bytes.len() - 4096]);
    let mut overwritten = bytes.clone();
    overwritten[8192..bytes.len() - 8192].fill(0xaa);
    refused("overwritten", &overwritten);
    open(whole);
}

#[tokio::test]
async fn journal_of_a_newer_schema_is_refused() {
    let directory = Directory::new();
    let path = directory.file("j.db");
    drop(open(path.clone()));
    raw(&path).pragma_update(None, "user_version", 99).expect("it can be set");
    let error = try_open(path).err().expect("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, supported: migrations::KNOWN, .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn new_journal_is_readable_by_its_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let path = directory.file("j.db");
    let journal = probe(open(path.clone()));
    journal.commit(start("a")).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = fs::metadata(format!("{}{suffix}", path.display())).expect("a file");
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn foreign_database_is_refused_unchanged() {
    let directory = Directory::new();
    for (name, setup) in [
        ("with an id.db", "PRAGMA application_id = 1; CREATE TABLE t (x);"),
        ("without an id.db", "CREATE TABLE t (x);"),
    ] {
        let path = directory.file(name);
        raw(&path).execute_batch(setup).expect("it is made");
        let before = fs::read(&path).expect("readable");
        let error = try_open(path.clone()).err().expect("refused");
        assert!(matches!(error, OpenError::Corrupt { .. }), "{name}: {error}");
        assert_eq!(fs::read(&path).expect("readable"), before);
    }
    // An empty file is as good as none.
    fs::write(directory.file("empty.db"), b"").expect("a file can be written");
    open(directory.file("empty.db"));
}
