//! What processes have spent, as the system counts it.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context, Result};

/// USER_HZ is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The processor time so far of a process and of those below it, of those that have
/// ended as well, if they were waited for.
pub(crate) fn cpu(process: u32) -> Duration {
    family(process).into_iter().filter_map(ticks).sum::<u32>() * TICK
}

/// The resident memory of a process and of those below it, in MiB.
pub(crate) fn resident_mib(process: u32) -> f64 {
    family(process).into_iter().filter_map(resident_kib).sum::<f64>() / 1024.0
}

fn family(process: u32) -> BTreeSet<u32> {
    let (mut found, mut new) = (BTreeSet::new(), vec![process]);
    while let Some(process) = new.pop() {
        if found.insert(process) {
            new.extend(children(process));
        }
    }
    found
}

/// Each thread has a list of those that it has started.
fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect()
}

fn ticks(process: u32) -> Option<u32> {
    ticks_of(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// utime, stime, cutime and cstime. The name before them may contain anything.
fn ticks_of(stat: &str) -> Option<u32> {
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u32>().ok()).sum()
}

fn resident_kib(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The machine, as a reader of the figures needs it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// The file system of the journals, and its device.
    pub(crate) disk: String,
}

impl Machine {
    /// `folder`: where the journals are.
    pub(crate) fn look(folder: &std::path::Path) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).with_context(|| format!("read {path}"));
        let after = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = after(&read("/proc/meminfo")?, "MemTotal").unwrap_or_default();
        let kib: f64 = memory.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Ok(Self {
            processor: after(&read("/proc/cpuinfo")?, "model name").unwrap_or_else(|| "unknown".into()),
            processors: std::thread::available_parallelism()?.get(),
            memory_gib: (kib / 1_048_576.0 * 10.0).round() / 10.0,
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            disk: disk(&read("/proc/self/mounts")?, &folder.display().to_string()),
        })
    }
}

/// The file system of a path: the mount with the longest name above it.
fn disk(mounts: &str, path: &str) -> String {
    let above = |place: &str| {
        path.strip_prefix(place).is_some_and(|rest| place == "/" || rest.is_empty() || rest.starts_with('/'))
    };
    let found = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.next()?, words.next()?))
        })
        .filter(|(_, place, _)| above(place))
        .max_by_key(|(_, place, _)| place.len());
    found.map_or_else(|| "unknown".into(), |(device, _, kind)| format!("{kind} on {device}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 9 0 100";
        assert_eq!(ticks_of(stat), Some(110));
        assert_eq!(ticks_of("7 (a) S 1"), None);
    }

    #[test]
    fn disk_is_the_nearest_mount_above() {
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /data xfs rw 0 0\ntmpfs /data/fast tmpfs rw 0 0";
        for (path, expected) in [
            ("/data/x", "xfs on /dev/b"),
            ("/data", "xfs on /dev/b"),
            ("/database", "ext4 on /dev/a"),
            ("/data/fast/x", "tmpfs on tmpfs"),
        ] {
            assert_eq!(disk(mounts, path), expected, "{path}");
        }
    }

    #[test]
    fn own_family_uses_memory_and_time() {
        let own = std::process::id();
        assert!(resident_mib(own) > 0.0);
        assert!(family(own).contains(&own));
        assert!(Machine::look(std::path::Path::new("/")).expect("a machine").processors > 0);
    }
}
