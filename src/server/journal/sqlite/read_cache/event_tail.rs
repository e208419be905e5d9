//! The newest events of one run, without gaps.
//!
//! Events are not changed but appended. While a commit appends some, the tail
//! does not answer that its newest event is the last one: others may be durable
//! already.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    journal::{EventPage, PageLimit},
    record::NodePath,
};

/// The maximum of a tail, in events and in bytes.
const EVENTS_MAX: usize = 64;
pub(super) const BYTES_MAX: usize = 64 << 10;

#[derive(Default)]
pub(super) struct EventTail {
    events: VecDeque<CachedEvent>,
    bytes: usize,
    /// A commit that appends more is under way.
    grows: bool,
}

pub(super) struct CachedEvent {
    pub(super) seq: u64,
    pub(super) path: Option<NodePath>,
    pub(super) body: Arc<str>,
}

impl EventTail {
    /// A commit that appends events begins.
    pub(super) fn expect_more(&mut self) {
        self.grows = true;
    }

    /// The commit is durable. If its events do not follow the cached ones, the
    /// tail starts over with them.
    pub(super) fn append(&mut self, events: Vec<CachedEvent>) {
        let Some(first) = events.first().map(|event| event.seq) else { return };
        let next = self.events.back().map(|newest| newest.seq + 1);
        if next.is_some_and(|next| next != first) {
            *self = Self::default();
        }
        self.grows = false;
        for event in events {
            self.bytes += event.body.len();
            self.events.push_back(event);
        }
        while self.events.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            match self.events.pop_front() {
                Some(oldest) => self.bytes -= oldest.body.len(),
                None => break,
            }
        }
    }

    /// The events after `after`, if all of them are cached.
    pub(super) fn events_after(
        &self,
        after: u64,
        within: Option<&NodePath>,
        limit: PageLimit,
    ) -> Option<EventPage> {
        if self.events.front()?.seq > after.saturating_add(1) {
            return None;
        }
        let mut page = EventPage { scanned_to: after, ..EventPage::default() };
        let mut bytes = 0;
        for event in self.events.iter().filter(|event| event.seq > after) {
            if page.events.len() >= limit.entries.max(1) as usize {
                return Some(page);
            }
            let is_within = |within: &NodePath| event.path.as_ref().is_some_and(|path| within.contains(path));
            if within.is_none_or(is_within) {
                if !page.events.is_empty() && bytes + event.body.len() > limit.bytes {
                    return Some(page);
                }
                bytes += event.body.len();
                page.events.push((event.seq, event.body.to_string()));
            }
            page.scanned_to = event.seq;
        }
        page.at_end = true;
        (!self.grows).then_some(page)
    }
}
