//! Ids of outbox entries as databases with several writers give them out: before the
//! commit, so that a lower one may appear after a higher one. Those of one run stay in
//! the order of its commits.
//!
//! ```text
//!   commits:   a  b  [gap]  c   d      ids:  1  2  (3 4 5)  6  3
//!                      └─ as if given out to a commit that takes longer: d
//! ```

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use rusqlite::{Connection, params};

use crate::{
    journal::{
        JournalError,
        sqlite::encoding::{integer, natural},
    },
    types::RunId,
};

/// The ids of a gap, at least.
const GAP: u64 = 8;
/// Gaps that are kept: what is in older ones never appears.
const GAPS_MAX: usize = 16;

/// Renumbers new entries. Clones share what was given out.
#[derive(Clone, Default)]
pub(in super::super) struct LateIds(Arc<Mutex<Given>>);

#[derive(Default)]
struct Given {
    commits: u64,
    /// The first id of each, and how many there are.
    gaps: Vec<(u64, u64)>,
    /// The highest of each run.
    last: BTreeMap<RunId, u64>,
}

impl LateIds {
    /// Renumbers the `count` entries that a commit has just added, up to `last`. Returns
    /// the last one's number. A commit that is undone leaves its numbers unused.
    pub(in super::super) fn renumber(
        &self,
        connection: &Connection,
        run: &RunId,
        count: usize,
        last: Option<i64>,
    ) -> Result<Option<i64>, JournalError> {
        let Some(last) = last else { return Ok(None) };
        let (count, last) = (count as u64, natural(last)?);
        let first = last + 1 - count;
        let given = &mut *self.0.lock();
        let to = given.place(run, first, count);
        if to != first {
            connection
                .prepare_cached("UPDATE outbox SET id = ?2 + (id - ?1) WHERE id >= ?1 AND id <= ?3")?
                .execute(params![integer(first)?, integer(to)?, integer(last)?])?;
            connection
                .prepare_cached("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'outbox'")?
                .execute([integer(to + count - 1)?])?;
        }
        Ok(Some(integer(to + count - 1)?))
    }
}

impl Given {
    /// Where the entries of a commit go.
    fn place(&mut self, run: &RunId, first: u64, count: u64) -> u64 {
        self.commits += 1;
        let before = self.last.get(run).copied().unwrap_or(0);
        let fits = |gap: &&mut (u64, u64)| gap.0 > before && gap.1 >= count;
        let to = match self.gaps.iter_mut().find(fits).filter(|_| self.commits.is_multiple_of(2)) {
            Some(gap) => {
                let to = gap.0;
                *gap = (gap.0 + count, gap.1 - count);
                to
            }
            None if self.commits.is_multiple_of(3) => {
                // Wider than what moves, so that no number is taken twice on the way.
                let gap = GAP.max(count);
                self.gaps.push((first, gap));
                if self.gaps.len() > GAPS_MAX {
                    self.gaps.remove(0);
                }
                first + gap
            }
            None => first,
        };
        self.last.insert(run.clone(), to + count - 1);
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_ids_appear_later_but_not_of_one_run() {
        let (mut given, mut highest, mut late) = (Given::default(), 0, 0);
        let mut last: BTreeMap<RunId, u64> = BTreeMap::new();
        let mut taken = std::collections::BTreeSet::new();
        for commit in 0..100_u64 {
            let run = RunId::new(format!("run-{}", commit % 7));
            let count = 1 + commit % 3;
            let to = given.place(&run, highest + 1, count);
            assert!((to..to + count).all(|id| taken.insert(id)), "{to} is given out twice");
            assert!(last.insert(run, to + count - 1) < Some(to));
            late += u32::from(to <= highest);
            highest = highest.max(to + count - 1);
        }
        assert!(late > 10, "{late}");
    }
}
