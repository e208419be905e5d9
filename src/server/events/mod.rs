//! Event streams: stored events first, then new ones, from one source.
//!
//! ```text
//!            ┌────────────── page of stored events ──────────────┐
//!   after ──▶│ more stored? ──no──▶ follow and run live?         │──no──▶ end
//!            │      │yes                     │yes                │
//!            │      ▼                        ▼                   │
//!            └─ send as one chunk     wait for the hub ──────────┘
//! ```
//!
//! A follower reads the journal like any other reader; the hub only announces
//! that there is something to read. So no event is missed between replay and
//! live, and a slow follower delays no other: it has one page in memory, at most
//! [`PAGE`].
//!
//! The follower that acts for a NodeRun ([`StreamOptions::until_end_of`]) follows
//! no longer than that NodeRun lives, and gets all events up to its end.

mod hub;

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use sync_wrapper::SyncStream;

pub use hub::{EventHub, Newest};

use crate::{
    journal::{Journal, JournalError, PageLimit},
    record::NodePath,
    types::{NodeRunId, RunId},
};

/// The part of a stream that is in memory at once.
pub const PAGE: PageLimit = PageLimit { entries: 512, bytes: 64 * 1024 };

/// The lines of an event stream, each with its line end, in chunks of whole
/// lines. An error breaks the connection off, so that no client takes a part for
/// the whole. (`Sync`, because HTTP bodies have to be.)
pub type EventLines = Pin<Box<dyn Stream<Item = Result<Bytes, JournalError>> + Send + Sync>>;

/// The part of an event stream that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamOptions {
    /// Start after this `seq`.
    pub after: u64,
    /// Maximum number of lines.
    pub limit: Option<u64>,
    /// Wait for more events, until the run has ended.
    pub follow: bool,
    /// Wait no longer than until this NodeRun has ended.
    pub until_end_of: Option<NodeRunId>,
}

/// Makes event streams.
#[derive(Clone)]
pub struct Events {
    pub journal: Arc<dyn Journal>,
    pub hub: Arc<EventHub>,
}

impl Events {
    /// The events of a run, or of one node and its descendants.
    pub fn stream(&self, run: RunId, within: Option<NodePath>, options: StreamOptions) -> EventLines {
        let reader = Reader {
            // Before the first read: every later commit is announced.
            news: options.follow.then(|| self.hub.subscribe(&run)),
            events: self.clone(),
            run,
            within,
            after: options.after,
            read_again_for: None,
            left: options.limit.unwrap_or(u64::MAX),
            until_end_of: options.until_end_of,
            has_ended: false,
        };
        Box::pin(SyncStream::new(futures::stream::try_unfold(reader, |mut reader| async move {
            Ok(reader.next_chunk().await?.map(|chunk| (chunk, reader)))
        })))
    }

    /// Returns when the run has ended, or does not exist.
    pub async fn ended(&self, run: &RunId) -> Result<(), JournalError> {
        // Before the read: an end that comes later is announced.
        let mut news = self.hub.subscribe(run);
        match self.journal.run_fetch(run).await? {
            Some(stored) if !stored.is_terminal() => {
                news.wait_for_end().await;
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }
}

struct Reader {
    events: Events,
    run: RunId,
    within: Option<NodePath>,
    after: u64,
    /// The newest `seq` for which the journal was read a second time.
    read_again_for: Option<u64>,
    left: u64,
    /// The NodeRun that the follower acts for.
    until_end_of: Option<NodeRunId>,
    /// It had ended before the last page was read.
    has_ended: bool,
    news: Option<hub::Subscription>,
}

impl Reader {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, JournalError> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            let journal = &self.events.journal;
            let entries = u32::try_from(self.left).unwrap_or(u32::MAX).min(PAGE.entries);
            let limit = PageLimit { entries, ..PAGE };
            let page = journal.events_after(&self.run, self.after, self.within.as_ref(), limit).await?;
            self.after = page.scanned_to.max(self.after);
            if !page.events.is_empty() {
                self.left = self.left.saturating_sub(page.events.len() as u64);
                return Ok(Some(lines(page.events)));
            }
            if !page.at_end {
                continue;
            }
            let Some(news) = &mut self.news else { return Ok(None) };
            // What was announced spares a read of the run, unless there is more.
            let mut newest = news.newest();
            if newest.seq != self.after {
                let Some(run) = journal.run_fetch(&self.run).await? else { return Ok(None) };
                newest = Newest::from(&run);
            }
            if newest.seq > self.after {
                // Committed since the page was read. If the second read does not
                // find it either, the journal lacks it: a third would not help.
                if self.read_again_for.replace(newest.seq) != Some(newest.seq) {
                    continue;
                }
                if newest.ended {
                    return Err(JournalError::Damaged(format!("run {}: events are missing", self.run)));
                }
            } else if newest.ended {
                return Ok(None);
            }
            // Before the node is read: an end that is announced later ends the wait.
            let ends = match &self.until_end_of {
                None => u64::MAX,
                Some(_) if self.has_ended => return Ok(None),
                Some(node) => {
                    let ends = news.ends();
                    let found = journal.head_fetch(node).await?;
                    if found.is_none_or(|node| node.is_terminal()) {
                        // Whatever happened up to its end can be read by now.
                        self.has_ended = true;
                        continue;
                    }
                    ends
                }
            };
            // Not beyond `after`: a cursor may be beyond all events there are,
            // invented or from the time before a restore.
            news.wait_beyond(newest.seq, ends).await;
        }
    }
}

fn lines(events: Vec<(u64, String)>) -> Bytes {
    let mut chunk = String::with_capacity(events.iter().map(|(_, event)| event.len() + 1).sum());
    for (_, event) in events {
        chunk.push_str(&event);
        chunk.push('\n');
    }
    chunk.into()
}
