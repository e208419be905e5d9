//! Notifies the service manager (systemd, or one that speaks like it): the process listens,
//! is alive, stops.
//!
//! ```text
//!   start ──▶ READY=1 ──▶ WATCHDOG=1, WATCHDOG=1, … ──▶ STOPPING=1
//!              listens     twice in each WatchdogSec      drains
//! ```
//!
//! A manager is there if the environment has `NOTIFY_SOCKET`, and it wants signs of life
//! if there is `WATCHDOG_USEC` as well. Each sign comes from a task of the runtime, as
//! requests are answered by: where no task gets a turn any more there is none, and the
//! manager restarts the process. A disk or a service that hangs is no reason for that: a
//! restart would not heal it, and `GET /readyz` tells.

use sd_notify::NotifyState;
use slog::{Logger, warn};

use crate::{
    app::Server,
    runtime::tasks::TaskSet,
    time::{Clock, SystemClock},
};

/// Signs of life go on while the server drains: they end with the process.
pub(super) fn ready(server: &Server, log: &Logger) {
    let status = format!("listening on {}", server.address());
    notify(&[NotifyState::Ready, NotifyState::Status(&status)], log);
    let Some(within) = sd_notify::watchdog_enabled() else { return };
    let tasks = TaskSet::new(log.clone());
    let log = log.clone();
    tasks.spawn("signs of life", async move {
        loop {
            notify(&[NotifyState::Watchdog], &log);
            SystemClock.sleep(within / 2).await;
        }
    });
}

pub(super) fn stopping(log: &Logger) {
    notify(&[NotifyState::Stopping, NotifyState::Status("work in progress may finish")], log);
}

/// Without a manager, nothing is sent.
fn notify(states: &[NotifyState<'_>], log: &Logger) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(log, "could not notify the service manager"; "error" => %error);
    }
}
