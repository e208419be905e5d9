//! What every journal promises, and what one promises that several processes share.

use std::sync::Arc;

use jarvis_run_coordinator::journal::{conformance::JournalUnderTest, inspect::Inspect};

use crate::world::{open, schema};

mod one {
    use super::*;

    jarvis_run_coordinator::conformance_tests!(async || {
        let url = schema().await;
        let journal: Arc<dyn Inspect> = Arc::new(open(&url).await);
        let reopen = Box::new(move || -> futures::future::BoxFuture<'static, Arc<dyn Inspect>> {
            Box::pin(async move { Arc::new(open(&url).await) as Arc<dyn Inspect> })
        });
        JournalUnderTest { journal, reopen: Some(reopen), guard: Box::new(()) }
    });
}

mod two {
    use super::*;

    jarvis_run_coordinator::shared_conformance_tests!(async || {
        let url = schema().await;
        [Arc::new(open(&url).await) as Arc<dyn Inspect>, Arc::new(open(&url).await)]
    });
}
