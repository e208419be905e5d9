//! What the other processes have announced, as connections hear it.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    journal::{News, NewsBox},
    types::WorkerId,
};

/// A message between processes.
#[derive(Serialize, Deserialize)]
pub(super) struct Message {
    /// Who says it.
    pub(super) by: WorkerId,
    #[serde(flatten)]
    pub(super) news: News,
}

/// What the other processes have announced.
#[derive(Default)]
pub(super) struct Inbox {
    news: NewsBox,
    /// The worker of this process, which hears itself, too.
    me: Mutex<Option<WorkerId>>,
}

impl Inbox {
    /// Takes what came over a connection.
    pub(super) fn take(&self, message: &str) {
        let news = match serde_json::from_str::<Message>(message) {
            Ok(message) if self.me.lock().as_ref() == Some(&message.by) => return,
            Ok(message) => message.news,
            // Of another version, or a stranger's.
            Err(_) => News::anything(),
        };
        self.news.add(news);
    }

    pub(super) fn belongs_to(&self, me: &WorkerId) {
        *self.me.lock() = Some(me.clone());
    }

    pub(super) fn add(&self, news: News) {
        self.news.add(news);
    }

    /// All that has come since the last time, at the earliest when there is something.
    pub(super) async fn next(&self) -> News {
        self.news.next().await
    }
}
