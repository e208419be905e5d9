//! News between the handles of one database in memory.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::journal::{News, NewsBox};

/// The boxes of all handles. Clones are the same.
#[derive(Clone, Default)]
pub(in super::super) struct Bus(Arc<Mutex<Vec<Weak<NewsBox>>>>);

/// The place of one handle on the bus, until it is dropped.
pub(in super::super) struct OnBus {
    bus: Bus,
    incoming: Arc<NewsBox>,
}

impl Bus {
    pub(in super::super) fn join(&self) -> OnBus {
        let incoming = Arc::<NewsBox>::default();
        self.0.lock().push(Arc::downgrade(&incoming));
        OnBus { bus: self.clone(), incoming }
    }
}

impl OnBus {
    /// Announces to the other handles.
    pub(in super::super) fn announce(&self, news: &News) {
        self.bus.0.lock().retain(|incoming| {
            let incoming = incoming.upgrade();
            if let Some(incoming) = incoming.as_ref().filter(|other| !Arc::ptr_eq(other, &self.incoming)) {
                incoming.add(news.clone());
            }
            incoming.is_some()
        });
    }

    pub(in super::super) async fn announced(&self) -> News {
        self.incoming.next().await
    }
}
