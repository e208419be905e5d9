//! Tasks of connections, and pauses between attempts: by the machine's time, which no
//! test replaces, because the other end of a connection is a process of its own.

use std::time::Duration;

/// Begins a task that ends with what it serves: a connection, or the queue of a writer.
#[expect(clippy::disallowed_methods, reason = "it ends by itself, and a failure is the connection's")]
pub(super) fn begin(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

#[expect(clippy::disallowed_methods, reason = "the database's time is the machine's")]
pub(super) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
