//! The file system of the journal: that this user may write to it, its space, its kind,
//! and how long a commit waits for it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::finding::Finding;
use crate::{
    config::{JournalPlace, Settings, variables as v},
    journal::sqlite::private,
    types::{IdSource, RandomIds},
};

const CHECK: &str = "disk";

/// With less a server would soon have to refuse work.
const LEAST_BYTES: u64 = 64 << 20;
/// Below this, people should know.
const FEW_BYTES: u64 = 1 << 30;
/// A group of commits waits this long, and with it every answer.
const SLOW: Duration = Duration::from_millis(50);
/// Syncs that are measured; the middle one counts.
const SYNCS: usize = 5;

/// The numbers of file systems over a network (`statfs(2)`), on which SQLite's locks and
/// syncs do not hold.
const NETWORK: [(u64, &str); 4] =
    [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB"), (0x0102_1997, "9p")];

/// Tries the folder of the journal, if it exists.
pub(super) fn disk(settings: &Settings) -> Vec<Finding> {
    let JournalPlace::File(path) = &settings.journal.place else {
        // It is the database's.
        return Vec::new();
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        // The finding about the journal says so.
        return Vec::new();
    }
    vec![space(settings, path, folder), kind(folder), speed(folder)].into_iter().flatten().collect()
}

fn space(settings: &Settings, path: &Path, folder: &Path) -> Option<Finding> {
    let system = rustix::fs::statvfs(folder).ok()?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    let used = fs::metadata(path).map_or(0, |file| file.len());
    let message = format!("{}: {} free", folder.display(), shown(free));
    let grows = settings.journal.max_bytes.map(|max| max.saturating_sub(used));
    Some(if free < LEAST_BYTES {
        let remedy = format!("Free space, or set {} to a file on another disk.", v::JOURNAL.name);
        Finding::failed(CHECK, message, remedy)
    } else if let Some(grows) = grows.filter(|grows| *grows > free) {
        let remedy = format!("Free space, or lower {}.", v::JOURNAL_MAX_BYTES.name);
        Finding::warning(CHECK, format!("{message}, and the journal may grow by {}", shown(grows)), remedy)
    } else if free < FEW_BYTES {
        let remedy = format!("Free space, or delete finished runs with {}.", v::RETENTION.name);
        Finding::warning(CHECK, message, remedy)
    } else {
        Finding::ok(CHECK, message)
    })
}

fn kind(folder: &Path) -> Option<Finding> {
    let system = rustix::fs::statfs(folder).ok()?;
    // The type of the number differs between machines.
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "the numbers are bit patterns")]
    let number = system.f_type as u64 & 0xffff_ffff;
    let (_, name) = NETWORK.iter().find(|(known, _)| *known == number)?;
    let message = format!(
        "{} is on a network file system ({name}): its locks and syncs are no promise",
        folder.display()
    );
    Some(Finding::failed(CHECK, message, format!("Set {} to a file on a local disk.", v::JOURNAL.name)))
}

fn speed(folder: &Path) -> Option<Finding> {
    Some(match sync_time(folder) {
        Err(error) => Finding::failed(
            CHECK,
            format!("{}: cannot write: {error}", folder.display()),
            "The user of the server must be able to write to this folder.",
        ),
        Ok(time) if time > SLOW => Finding::warning(
            CHECK,
            format!("a sync takes {} ms, and every commit waits for one", time.as_millis()),
            format!("Set {} to a file on a faster disk.", v::JOURNAL.name),
        ),
        Ok(time) => Finding::ok(CHECK, format!("a sync takes {:.1} ms", time.as_secs_f64() * 1e3)),
    })
}

/// The middle time of a few syncs of a small file, which is removed.
fn sync_time(folder: &Path) -> io::Result<Duration> {
    let draft = Draft(folder.join(format!(".jarvis-run-coordinator-{}.tmp", RandomIds.fresh())));
    let mut file = private(&draft.0)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

/// A file that is removed when this is dropped.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // If it could not be made, there is none.
        let _removed = fs::remove_file(&self.0);
    }
}

/// `12.3 GiB`, for people.
fn shown(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib < 1024.0 { format!("{mib:.0} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(sync_time(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 0);
        let missing = speed(&folder.path().join("no")).expect("a finding");
        assert!(missing.message.contains("cannot write"), "{missing:?}");
    }

    #[test]
    fn sizes_are_shown_in_their_unit() {
        assert_eq!([shown(0), shown(3 << 20), shown(5 << 29)], ["0 MiB", "3 MiB", "2.5 GiB"]);
    }
}
