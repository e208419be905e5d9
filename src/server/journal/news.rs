//! What the processes that share a journal announce to one another.
//!
//! ```text
//!   commit ──▶ announce ──▶ … may be lost, doubled, late … ──▶ announced ──▶ look at just that now
//!                                                    a look at everything, twice a second ──▶ finds it anyway
//! ```
//!
//! **Invariant:** news are hints. Nothing is decided on them, and nothing depends on their
//! arrival but how soon it happens.

use std::{collections::BTreeSet, mem};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::types::{NodeRunId, RunId};

/// The maximum of names in one piece of news, in bytes: PostgreSQL takes 8,000 in all.
const NAMES_BYTES: usize = 7_000;
/// What a name takes besides its text.
const AROUND: usize = 3;

/// What has been committed by one process, or by all that were heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct News {
    /// Runs that have new events, or whose nodes have ended.
    pub runs: BTreeSet<RunId>,
    /// Nodes that have ended, although the process that says so was not calling their
    /// executors.
    pub ended: BTreeSet<NodeRunId>,
    /// Wake-ups are due that no worker has claimed.
    pub unclaimed: bool,
    /// Anything may have changed: there were too many names, or something was not heard.
    pub anything: bool,
}

impl News {
    /// That nothing is known of what has happened.
    pub fn anything() -> Self {
        Self { anything: true, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds other news. More than fits into one message is no list of names any more.
    pub fn add(&mut self, other: Self) {
        self.unclaimed |= other.unclaimed;
        self.anything |= other.anything;
        if !self.anything {
            self.runs.extend(other.runs);
            self.ended.extend(other.ended);
            self.anything = self.names_bytes() > NAMES_BYTES;
        }
        if self.anything {
            self.runs.clear();
            self.ended.clear();
        }
    }

    fn names_bytes(&self) -> usize {
        let runs = self.runs.iter().map(|run| run.as_str().len() + AROUND);
        let nodes = self.ended.iter().map(|node| node.as_str().len() + AROUND);
        runs.chain(nodes).sum()
    }
}

/// News that wait to be sent, or to be acted on.
#[derive(Default)]
pub struct NewsBox {
    news: Mutex<News>,
    added: Notify,
}

impl NewsBox {
    pub fn add(&self, news: News) {
        self.news.lock().add(news);
        self.added.notify_one();
    }

    /// Takes all that has been added, at the earliest when there is something. For one
    /// caller at a time, which may stop to wait.
    pub async fn next(&self) -> News {
        loop {
            let news = mem::take(&mut *self.news.lock());
            if !news.is_empty() {
                return news;
            }
            self.added.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_run(run: &str) -> News {
        News { runs: [run.into()].into(), ..News::default() }
    }

    #[test]
    fn news_are_added_without_repetition() {
        let mut news = News::default();
        assert!(news.is_empty());
        news.add(of_run("a"));
        news.add(of_run("a"));
        news.add(News { ended: ["n".into()].into(), unclaimed: true, ..of_run("b") });
        let all = News {
            runs: ["a".into(), "b".into()].into(),
            ended: ["n".into()].into(),
            unclaimed: true,
            anything: false,
        };
        assert_eq!(news, all);
    }

    #[test]
    fn more_news_than_a_message_holds_are_about_anything() {
        let mut news = News { unclaimed: true, ..News::default() };
        for number in 0..10_000 {
            news.add(of_run(&format!("run_{number:032}")));
            assert!(serde_json::to_string(&news).expect("JSON").len() < 7_900, "{number}");
        }
        assert_eq!(news, News { unclaimed: true, ..News::anything() });
    }
}
