//! Writes the log to standard output, one line per record, as text or JSON.
//!
//! Messages are constant; details are key-value pairs, which may come from
//! callers and are therefore sanitized (`sanitize`). A thread of its own writes,
//! so that no task waits for a slow terminal: if the thread cannot keep up,
//! records are dropped and their number is logged.

use std::io;

use slog::{Drain, FnValue, Level, LevelFilter, Logger, PushFnValue, o};

use super::sanitize::{EscapeControls, Sanitize};
use crate::{config::LogFormat, redact::Redactor};

/// The maximum number of records that wait to be written.
const QUEUE: usize = 4096;

/// Flushes the log when dropped: keep it until the process ends.
pub struct Shutdown {
    _writer: slog_async::AsyncGuard,
}

/// Makes the root logger.
pub fn logger(format: LogFormat, level: Level, redactor: Redactor) -> (Logger, Shutdown) {
    logger_to(io::stdout(), format, level, redactor)
}

fn logger_to(
    out: impl io::Write + Send + 'static,
    format: LogFormat,
    level: Level,
    redactor: Redactor,
) -> (Logger, Shutdown) {
    match format {
        LogFormat::Text => {
            let line = EscapeControls(slog_term::PlainSyncDecorator::new(out));
            let drain = slog_term::FullFormat::new(line)
                .use_utc_timestamp()
                .use_custom_header_print(print_header)
                .build();
            asynchronous(drain.ignore_res(), level, redactor)
        }
        LogFormat::Json => {
            let drain = slog_json::Json::new(out)
                .set_flush(true)
                .add_key_value(o!(
                    "time" => FnValue(|_| now()),
                    "level" => FnValue(|record| record.level().as_str()),
                    "msg" => PushFnValue(|record, ser| ser.emit(record.msg())),
                ))
                .build();
            asynchronous(std::sync::Mutex::new(drain).ignore_res(), level, redactor)
        }
    }
}

fn asynchronous(
    drain: impl Drain<Ok = (), Err = slog::Never> + Send + 'static,
    level: Level,
    redactor: Redactor,
) -> (Logger, Shutdown) {
    let (drain, writer) = slog_async::Async::new(drain)
        .chan_size(QUEUE)
        .overflow_strategy(slog_async::OverflowStrategy::DropAndReport)
        .build_with_guard();
    let log = Logger::root(LevelFilter::new(Sanitize { drain, redactor }, level).ignore_res(), o!());
    (log, Shutdown { _writer: writer })
}

/// `2026-11-22T12:22:49.078778Z INFO jarvis_run_coordinator::app: message`
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

/// The time of a log line. No decision depends on it, so it does not come from
/// the injected clock.
#[expect(clippy::disallowed_methods, reason = "a log line's own time")]
fn now() -> String {
    chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now())
        .to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use slog::warn;

    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns what is written when `emit` logs.
    fn written(format: LogFormat, emit: impl FnOnce(&Logger)) -> String {
        let out = Out::default();
        let (log, end) = logger_to(out.clone(), format, Level::Info, Redactor::default());
        emit(&log);
        drop((log, end));
        let bytes = out.0.lock().unwrap().clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    const FORGED: &str =
        "x\n2026-01-01T00:00:00.000000Z CRIT server: all is lost\r\u{1b}[2J\u{85}\u{2028}\u{202e}";

    #[test]
    fn value_cannot_forge_a_line() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = written(format, |log| {
                let log = log.new(o!("context" => FORGED));
                warn!(log, "{}", FORGED; "value" => FORGED, "shown" => %FORGED, "debug" => ?FORGED, "count" => 7);
                warn!(log, "the next");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            let controls = |c: char| c.is_control() && c != '\n';
            match format {
                LogFormat::Text => {
                    assert!(!text.contains(controls), "{text:?}");
                    assert!(!text.contains(['\u{2028}', '\u{202e}']), "{text:?}");
                    assert!(text.contains("value: x\\n2026-"), "{text}");
                    assert!(text.contains(", count: 7"), "{text}");
                }
                LogFormat::Json => {
                    let first: serde_json::Value =
                        serde_json::from_str(text.lines().next().unwrap()).expect("JSON");
                    assert_eq!((&first["value"], &first["count"]), (&FORGED.into(), &7.into()));
                }
            }
        }
    }

    #[test]
    fn secrets_are_masked_wherever_they_are_logged() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.hush";
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = written(format, |log| {
                let log = log.new(o!("uri" => "/x?access_token=hush", "authorization" => "Basic hush"));
                warn!(log, "could not use {}", jwt; "error" => %format_args!("got {jwt}"),
                    "api_key" => "hush", "client-secret" => %"hush", "password" => 40_417,
                    "body" => ?serde_json::json!({"secret": "hush"}), "count" => 3);
            });
            assert!(!text.contains("hush") && !text.contains("40417"), "{text}");
            assert_eq!(text.matches("[redacted]").count(), 8, "{text}");
            assert!(text.contains("got [redacted]"), "{text}");
        }
    }

    #[test]
    fn token_at_the_end_of_what_is_kept_is_not_shown() {
        let long = format!("{} eyJhbGciOiJSUzI1NiJ9.{}", "password=x ".repeat(361), "hush".repeat(1000));
        for shown in [true, false] {
            let text = written(LogFormat::Text, |log| match shown {
                true => warn!(log, "m"; "value" => %long),
                false => warn!(log, "m"; "value" => &long),
            });
            assert!(!text.contains("hush") && text.contains("(truncated)"), "{text}");
        }
    }

    /// Writes nothing until it is opened.
    struct Held {
        out: Out,
        opened: std::sync::mpsc::Receiver<()>,
    }

    impl io::Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Once it has been opened, the sender is gone.
            let _opened = self.opened.recv();
            self.out.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn slow_terminal_blocks_no_task_and_lost_lines_are_counted() {
        let (out, (open, opened)) = (Out::default(), std::sync::mpsc::channel());
        let held = Held { out: out.clone(), opened };
        let (log, end) = logger_to(held, LogFormat::Json, Level::Info, Redactor::default());
        let total = QUEUE + 500;
        // Returns, although nothing is written.
        (0..total).for_each(|number| slog::info!(log, "run ended"; "number" => number));
        assert_eq!(out.0.lock().unwrap().len(), 0);
        drop(open);
        let lines = || String::from_utf8(out.0.lock().unwrap().clone()).expect("UTF-8");
        while lines().lines().count() < QUEUE {
            std::thread::yield_now();
        }
        drop((log, end));
        let text = lines();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let written = lines.iter().filter(|line| line["msg"] == "run ended").count();
        let lost: u64 = lines.iter().filter_map(|line| line["count"].as_u64()).sum();
        assert!(
            (QUEUE..total).contains(&written) && written as u64 + lost >= total as u64,
            "{written}, {lost}"
        );
    }

    #[test]
    fn long_values_are_truncated() {
        let long = "ü".repeat(1 << 20);
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = written(format, |log| {
                warn!(log, "m"; "text" => &long, "shown" => %long, "exact" => &long[..2_000]);
            });
            assert!(text.len() < 8_000, "{} bytes", text.len());
            assert_eq!(text.matches("… (truncated)").count(), 2, "{text}");
            assert_eq!(text.matches('ü').count(), 3_000);
        }
    }
}
