//! The queue before the pump: bounded, and nothing waits for it.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::span::{Ended, Spans};
use crate::{metrics::Metrics, time::Timestamp};

/// The sizes of the queue and of what is sent at once (`OTEL_BSP_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// The most that waits.
    pub size: usize,
    /// The most that is sent at once.
    pub batch: usize,
    /// How long something waits for more, if it is not a batch.
    pub delay: Duration,
}

/// What has ended and is not sent.
#[derive(Debug)]
pub struct Queue {
    pub(super) options: QueueOptions,
    waiting: Mutex<VecDeque<Ended>>,
    /// There is a batch.
    pub(super) batch: Notify,
    metrics: Metrics,
}

impl Queue {
    pub fn new(options: QueueOptions, metrics: Metrics) -> Self {
        Self { options, waiting: Mutex::default(), batch: Notify::new(), metrics }
    }

    pub(super) fn take(&self) -> Vec<Ended> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(self.options.batch);
        waiting.drain(..count).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn has_batch(&self) -> bool {
        self.waiting.lock().len() >= self.options.batch
    }

    /// When the oldest of what waits has ended.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        // Not the first: what is not a record has ended later than it was put in.
        self.waiting.lock().iter().map(Ended::at).min()
    }

    /// Waits for room, for what is in no hurry.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.waiting.lock().len() + more <= self.options.size
    }
}

impl Spans for Queue {
    fn ended(&self, ended: Ended) {
        let (is_dropped, is_batch) = {
            let mut waiting = self.waiting.lock();
            let is_dropped = waiting.len() >= self.options.size;
            if !is_dropped {
                waiting.push_back(ended);
            }
            (is_dropped, waiting.len() == self.options.batch)
        };
        if is_dropped {
            self.metrics.spans("dropped", 1);
        }
        if is_batch {
            self.batch.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_drops_what_is_new_and_counts_it() {
        let metrics = Metrics::new();
        let options = QueueOptions { size: 3, batch: 2, delay: Duration::from_secs(5) };
        let queue = Queue::new(options, metrics.clone());
        let at = Timestamp::from_micros;
        for number in [4, 2, 3, 1] {
            queue.ended(Ended::Run { run: "r".into(), at: at(number) });
        }
        assert_eq!(queue.oldest(), Some(at(2)), "the one too many is not in it");
        let ended = |ended: Vec<Ended>| ended.iter().map(|ended| ended.at().as_micros()).collect::<Vec<_>>();
        assert_eq!((ended(queue.take()), ended(queue.take())), (vec![4, 2], vec![3]));
        assert!(queue.is_empty() && queue.has_room_for(3) && !queue.has_room_for(4));
        let text = metrics.encode().expect("text");
        assert!(text.contains("arp_spans_total{result=\"dropped\"} 1\n"), "{text}");
    }
}
