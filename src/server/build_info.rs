//! What this program was built from, as `build/stamp.rs` has found it: the version
//! always, commit and date if they are known. The date is that of the source.

use std::sync::LazyLock;

use crate::{time::Timestamp, types};

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Empty if it is not known.
pub const COMMIT: &str = env!("STAMP_COMMIT");

/// How many characters of a commit people are shown.
const SHORT: usize = 12;

/// For people: `0.1.0 (0123456789ab, 2026-11-29)`, or the version alone.
pub static DESCRIPTION: LazyLock<String> = LazyLock::new(|| description(COMMIT, has_changes(), date()));

/// When the source was made, empty if that is not known.
pub static DATE: LazyLock<String> =
    LazyLock::new(|| date().map_or_else(String::new, |date| date.to_string()));

/// The member `build` of `GET /v1/version`: nothing, rather than an empty object.
pub fn for_callers() -> Option<types::BuildInfo> {
    let known = !COMMIT.is_empty();
    let build = types::BuildInfo {
        commit: known.then(|| COMMIT.to_owned()),
        built_at: date(),
        dirty: known.then(has_changes),
    };
    (known || build.built_at.is_some()).then_some(build)
}

fn has_changes() -> bool {
    env!("STAMP_HAS_CHANGES") == "true"
}

fn date() -> Option<Timestamp> {
    let seconds: i64 = env!("STAMP_EPOCH").parse().ok()?;
    Some(Timestamp::from_micros(seconds.saturating_mul(1_000_000)))
}

fn description(commit: &str, has_changes: bool, date: Option<Timestamp>) -> String {
    let commit = (!commit.is_empty()).then(|| {
        let short = commit.get(..SHORT).unwrap_or(commit);
        if has_changes { format!("{short} with changes") } else { short.to_owned() }
    });
    let day = date.map(|date| date.to_string()[..10].to_owned());
    let known: Vec<String> = [commit, day].into_iter().flatten().collect();
    if known.is_empty() { VERSION.to_owned() } else { format!("{VERSION} ({})", known.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn description_has_what_is_known() {
        let date = Some(Timestamp::from_micros(1_764_417_600_000_000));
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (commit, changes, date, expected) in [
            ("", false, None, ""),
            ("", false, date, " (2025-11-29)"),
            (commit, false, date, " (0123456789ab, 2025-11-29)"),
            (commit, true, date, " (0123456789ab with changes, 2025-11-29)"),
            ("v7", false, None, " (v7)"),
        ] {
            assert_eq!(description(commit, changes, date), format!("{VERSION}{expected}"));
        }
    }
}
