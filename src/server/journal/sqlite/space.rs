//! The size limit of the file, and the reserve at its end for what ends work.
//!
//! ```text
//!   0 ───────────────── new work ─────────────────┬──── the reserve ────┐ max
//!                                                 │ what ends work:     │
//!     starts, children, and all other changes     │ completions,        │
//!                                                 │ cancels, deadlines  │
//! ```
//!
//! An operation that makes a Run or a NodeRun is refused if the pages in use would
//! reach into the reserve, its own included: it is checked with its rows written,
//! and undone if it is refused. Free pages count as room.
//!
//! From then on the journal is *short* of room, until two operations as large would
//! fit again. That is logged once, and callers are refused before they cost
//! anything (`Journal::room`).

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use rusqlite::Connection;
use slog::{Logger, error, info, warn};

use crate::journal::{JournalError, Room};

/// The reserve is this part of the limit, within the bounds below.
const RESERVE_PART: i64 = 16;
/// The minimum of the reserve ...
const RESERVE_MIN_BYTES: i64 = 4 << 20;
/// ... and its maximum, as a part of the limit.
const RESERVE_MAX_PART: i64 = 4;

/// How to make room in a full file, for the log.
pub(super) const HOW_TO_MAKE_ROOM: &str = "raise JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES (or give the disk \
    room), set JARVIS_RUN_COORDINATOR_RETENTION, or stop and run `journal compact --finished-before 30d`";

/// Shared by the writer, which measures, and by callers of `Journal::room`.
pub(super) struct Space {
    path: PathBuf,
    page_bytes: i64,
    max_pages: i64,
    /// The maximum of pages in use for new work.
    new_work_pages: i64,
    short: AtomicBool,
    /// While short: the number of pages in use at which that ends.
    enough_at: AtomicI64,
    log: Logger,
}

impl Space {
    /// `None` if the size has no limit. `connection` must be the one with the limit.
    pub(super) fn of(
        connection: &Connection,
        max_bytes: Option<u64>,
        path: PathBuf,
        log: Logger,
    ) -> rusqlite::Result<Option<Arc<Self>>> {
        if max_bytes.is_none() {
            return Ok(None);
        }
        let number = |sql| connection.query_one(sql, [], |row| row.get::<_, i64>(0));
        let (page_bytes, max_pages) = (number("PRAGMA page_size")?, number("PRAGMA max_page_count")?);
        let least = RESERVE_MIN_BYTES / page_bytes;
        let reserve = (max_pages / RESERVE_PART).max(least).min(max_pages / RESERVE_MAX_PART);
        let space = Self {
            path,
            page_bytes,
            max_pages,
            new_work_pages: max_pages - reserve,
            short: AtomicBool::new(false),
            enough_at: AtomicI64::new(0),
            log,
        };
        let used = pages_used(connection)?;
        if used > space.new_work_pages {
            space.is_short(used, 1);
        }
        Ok(Some(Arc::new(space)))
    }

    pub(super) fn room(&self) -> Room {
        if self.short.load(Ordering::Acquire) { Room::Reserve } else { Room::Enough }
    }

    /// Admits new work that has been written, or refuses it. `before`: the pages in
    /// use before it was written.
    pub(super) fn admit(&self, connection: &Connection, before: i64) -> Result<(), JournalError> {
        let used = pages_used(connection)?;
        if used <= self.new_work_pages {
            return Ok(());
        }
        let needs = (used - before).max(1);
        if needs > self.new_work_pages / 4 {
            // Smaller ones still have room.
            warn!(self.log, "a change is larger than the room in the journal"; "path" => %self.path.display(),
                "needs_bytes" => needs * self.page_bytes, "used_bytes" => before * self.page_bytes,
                "limit_bytes" => self.max_pages * self.page_bytes);
        } else {
            self.is_short(before, needs);
        }
        Err(JournalError::Reserved)
    }

    /// Checks whether there is room again.
    pub(super) fn check(&self, connection: &Connection) {
        if !self.short.load(Ordering::Acquire) {
            return;
        }
        match pages_used(connection) {
            Ok(used) if used <= self.enough_at.load(Ordering::Acquire) => {
                self.short.store(false, Ordering::Release);
                info!(self.log, "the journal has room for new work again"; "path" => %self.path.display(),
                    "used_bytes" => used * self.page_bytes, "limit_bytes" => self.max_pages * self.page_bytes);
            }
            Ok(_) => {}
            Err(e) => warn!(self.log, "could not measure the journal"; "error" => %e),
        }
    }

    fn is_short(&self, used: i64, needs: i64) {
        let margin = needs.max(self.new_work_pages / 64);
        self.enough_at.store(self.new_work_pages - 2 * margin, Ordering::Release);
        if !self.short.swap(true, Ordering::AcqRel) {
            let bytes = |pages: i64| pages * self.page_bytes;
            error!(self.log, "the journal is full: new runs and node runs are refused, running work can end";
                "path" => %self.path.display(), "used_bytes" => bytes(used), "limit_bytes" => bytes(self.max_pages),
                "reserve_bytes" => bytes(self.max_pages - self.new_work_pages), "to_make_room" => HOW_TO_MAKE_ROOM);
        }
    }
}

/// Pages in use, as the open transaction has them.
pub(super) fn pages_used(connection: &Connection) -> rusqlite::Result<i64> {
    let number = |sql| connection.prepare_cached(sql)?.query_one([], |row| row.get::<_, i64>(0));
    Ok(number("PRAGMA page_count")? - number("PRAGMA freelist_count")?)
}
