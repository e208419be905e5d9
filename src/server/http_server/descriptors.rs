//! The limit of open files, which connections must not use up: the journal, the
//! executors and the log need some, too.

use slog::{Logger, warn};

/// Files that are neither connections nor calls: the journal, its readers, the
/// log, the runtime.
const OWN: u64 = 128;

/// Connections that may be accepted between two looks at their number.
const BETWEEN: u64 = 4_096;

/// The share of the limit that is left for them if there is less than that.
const SHARE: u64 = 4;

/// Raises the limit of open files as far as needed and permitted. Returns how many
/// connections it leaves room for, at most `wanted`; there are at most `calls`
/// calls to other services at a time.
pub(super) fn room_for(wanted: usize, calls: usize, log: &Logger) -> usize {
    let needed = OWN + calls as u64;
    let enough = (wanted as u64).saturating_add(needed).saturating_add(BETWEEN);
    let Ok(limit) = rlimit::increase_nofile_limit(enough) else { return wanted };
    let room = room_within(limit, needed);
    if room >= wanted as u64 {
        return wanted;
    }
    warn!(log, "the limit of open files lowers the number of connections";
        "connections" => room, "wanted" => wanted, "open_files" => limit);
    usize::try_from(room).unwrap_or(wanted)
}

fn room_within(limit: u64, needed: u64) -> u64 {
    let between = BETWEEN.min(limit / SHARE);
    limit.saturating_sub(between).saturating_sub(needed.min(limit / SHARE)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        for (limit, needed, room) in [
            (0, 384, 1),
            (64, 384, 32),
            (1_024, 384, 512),
            (20_000, 384, 15_520),
            (1_048_576, 1_128, 1_043_352),
        ] {
            assert_eq!(room_within(limit, needed), room, "{limit}");
        }
    }
}
