//! The log: to standard output, a line a record, as text or as JSON.
//!
//! Messages are constant; what varies is in key-value pairs. A thread of its
//! own writes, so that nobody waits for a slow terminal: if it cannot keep up,
//! records are dropped and their number is logged.

use std::io;

use slog::{Drain, FnValue, Level, LevelFilter, Logger, PushFnValue, o};

use crate::config::LogFormat;

/// So many records may wait to be written.
const WAITING: usize = 4096;

/// Writes what is left when dropped: keep it until the process ends.
pub struct Shutdown {
    _writer: slog_async::AsyncGuard,
}

/// The root logger.
pub fn logger(format: LogFormat, level: Level) -> (Logger, Shutdown) {
    match format {
        LogFormat::Text => {
            let line = slog_term::PlainSyncDecorator::new(io::stdout());
            let drain = slog_term::FullFormat::new(line)
                .use_utc_timestamp()
                .use_custom_header_print(print_header)
                .build();
            asynchronous(drain.ignore_res(), level)
        }
        LogFormat::Json => {
            let drain = slog_json::Json::new(io::stdout())
                .set_flush(true)
                .add_key_value(o!(
                    "time" => FnValue(|_| now()),
                    "level" => FnValue(|record| record.level().as_str()),
                    "msg" => PushFnValue(|record, ser| ser.emit(record.msg())),
                ))
                .build();
            asynchronous(std::sync::Mutex::new(drain).ignore_res(), level)
        }
    }
}

fn asynchronous(
    drain: impl Drain<Ok = (), Err = slog::Never> + Send + 'static,
    level: Level,
) -> (Logger, Shutdown) {
    let (drain, writer) = slog_async::Async::new(drain)
        .chan_size(WAITING)
        .overflow_strategy(slog_async::OverflowStrategy::DropAndReport)
        .build_with_guard();
    let log = Logger::root(LevelFilter::new(drain, level).ignore_res(), o!());
    (log, Shutdown { _writer: writer })
}

/// `2026-11-22T12:22:49.078778Z INFO jarvis_run_coordinator::server: message`
fn print_header(
    _: &dyn slog_term::ThreadSafeTimestampFn<Output = io::Result<()>>,
    mut line: &mut dyn slog_term::RecordDecorator,
    record: &slog::Record<'_>,
    _: bool,
) -> io::Result<bool> {
    use std::io::Write as _;
    line.start_timestamp()?;
    write!(line, "{}", now())?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_level()?;
    write!(line, "{}", record.level().as_str())?;
    line.start_whitespace()?;
    write!(line, " ")?;
    line.start_msg()?;
    let mut counted = slog_term::CountingWriter::new(&mut line);
    write!(counted, "{}: {}", record.module(), record.msg())?;
    Ok(counted.count() != 0)
}

/// When something was logged is no fact that a decision is made on, so it does
/// not come from the injected clock.
#[expect(clippy::disallowed_methods, reason = "a log line's own time")]
fn now() -> String {
    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}
