//! Stops a server in order.
//!
//! ```text
//!   stop claiming, end streams ─▶ requests finish ─▶ jobs finish ─▶ outbox and spans sent ─▶ claims released ─▶ journal closed
//! ```
//!
//! The whole has a time limit; requests have half of it, so that a slow caller
//! leaves time for the stores. Work that is cut off is in the journal, and the
//! next process resumes it.

use std::time::Duration;

use slog::{info, warn};

use super::Server;
use crate::time::within;

/// The time limit for tasks that were cut off, and for closing the journal: its
/// disk may hang.
const CUT_OFF: Duration = Duration::from_secs(1);
/// The time limit for sending the last spans.
const FLUSH: Duration = Duration::from_secs(5);

impl Server {
    /// Stops: takes no new work, ends streams, and lets requests and jobs finish
    /// within the time limit of the settings.
    pub async fn stop(self) {
        let Self {
            listeners,
            tasks,
            outbox_tasks,
            trace_tasks,
            beats,
            journal,
            journal_fatal: _,
            clock,
            worker,
            stop_within,
            log,
        } = self;
        info!(log, "stopping"; "within_seconds" => stop_within.as_secs_f64());
        // Ends streams and dispatch; running jobs continue.
        tasks.stopping().cancel();
        let drained = within(&*clock, stop_within, async {
            if let Err(failure) = listeners.close(stop_within / 2).await {
                warn!(log, "HTTP server did not stop cleanly"; "error" => failure);
            }
            tasks.stop().await;
            outbox_tasks.stop().await;
            // A collector that does not answer is not waited for.
            within(&*clock, FLUSH, trace_tasks.stop()).await;
        });
        match drained.await {
            Some(()) => info!(log, "stopped"),
            None => {
                let unfinished = tasks.len() + outbox_tasks.len();
                warn!(log, "stopped with unfinished work: the next start resumes it"; "tasks" => unfinished);
                // The tasks hold the journal.
                within(&*clock, CUT_OFF, async { tokio::join!(tasks.cut_off(), outbox_tasks.cut_off()) })
                    .await;
            }
        }
        // Its task holds the journal, too.
        within(&*clock, CUT_OFF, trace_tasks.cut_off()).await;
        // It is not declared dead if a heartbeat comes after the claims are released.
        beats.stopping().cancel();
        let closed = within(&*clock, CUT_OFF, async {
            if let Err(failure) = journal.release_claims(&worker, clock.now()).await {
                warn!(log, "could not release claims: the next start takes them over"; "error" => %failure);
            }
            beats.cut_off().await;
            // Closing joins the journal's thread, which may wait for the disk.
            let closing = tokio::task::spawn_blocking(move || drop(journal));
            if let Err(failure) = closing.await {
                warn!(log, "could not close the journal"; "error" => %failure);
            }
        });
        if closed.await.is_none() {
            warn!(log, "could not close the journal in time");
        }
    }
}
