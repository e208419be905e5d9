//! Sanitizes logged values. Callers, executors and services choose some of them,
//! and must neither forge a line nor flood the log.
//!
//! ```text
//!   record ──▶ Sanitize ──▶ queue ─┬▶ text: EscapeControls ──▶ stdout
//!                                  └▶ JSON (escapes itself) ─▶ stdout
//! ```
//!
//! Values are redacted and truncated before they are queued, so that the queue is
//! bounded in bytes, too.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io,
};

use slog::{BorrowedKV, Drain, KV, Key, OwnedKVList, Record, RecordStatic, Serializer, o};
use slog_term::{Decorator, RecordDecorator};

use crate::{
    redact::{MASK, Redactor},
    traces::current,
};

/// The maximum number of characters of a value: enough for every accepted id, and
/// for an error with its causes.
pub(super) const VALUE_CHARS: usize = 1_000;

/// Masks secrets in the message and in all values, and truncates values to
/// [`VALUE_CHARS`].
pub(super) struct Sanitize<D> {
    pub(super) drain: D,
    pub(super) redactor: Redactor,
}

impl<D: Drain> Drain for Sanitize<D> {
    type Ok = D::Ok;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<D::Ok, D::Err> {
        let kv = SanitizedKv { record: record.kv(), values, redactor: &self.redactor };
        let place = RecordStatic { location: record.location(), tag: record.tag(), level: record.level() };
        let pass_on = |message: &fmt::Arguments<'_>| {
            // The values of the loggers are among those of the record now.
            self.drain.log(&Record::new(&place, message, BorrowedKV(&kv)), &OwnedKVList::from(o!()))
        };
        if record.msg().as_str().is_some() {
            return pass_on(record.msg());
        }
        // Not ours, whose messages are constant.
        let message = bounded(*record.msg());
        let message = message.sanitized(&self.redactor);
        pass_on(&format_args!("{message}"))
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        self.drain.is_enabled(level)
    }
}

/// The values of a record and of its loggers, sanitized, and the span that the task
/// works for.
struct SanitizedKv<'k> {
    record: BorrowedKV<'k>,
    values: &'k OwnedKVList,
    redactor: &'k Redactor,
}

impl KV for SanitizedKv<'_> {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        let mut sanitizing = SanitizingSerializer { inner: serializer, redactor: self.redactor };
        self.record.serialize(record, &mut sanitizing)?;
        self.values.serialize(record, &mut sanitizing)?;
        let ids = current::look(|current| (current.trace_id, current.span_id));
        let Some((trace_id, span_id)) = ids else { return Ok(()) };
        sanitizing.inner.emit_arguments("trace_id".into(), &format_args!("{trace_id}"))?;
        match span_id {
            Some(span_id) => sanitizing.inner.emit_arguments("span_id".into(), &format_args!("{span_id}")),
            None => Ok(()),
        }
    }
}

struct SanitizingSerializer<'s> {
    inner: &'s mut dyn Serializer,
    redactor: &'s Redactor,
}

/// Passes numbers on unchanged, unless their key is that of a secret.
macro_rules! plain {
    ($($emit:ident: $type:ty),*) => {$(
        fn $emit(&mut self, key: Key, value: $type) -> slog::Result {
            if self.redactor.is_secret(key.as_ref()) {
                return self.inner.emit_str(key, MASK);
            }
            self.inner.$emit(key, value)
        }
    )*};
}

impl Serializer for SanitizingSerializer<'_> {
    plain! {
        emit_bool: bool, emit_char: char, emit_f32: f32, emit_f64: f64, emit_i8: i8, emit_i16: i16,
        emit_i32: i32, emit_i64: i64, emit_isize: isize, emit_u8: u8, emit_u16: u16, emit_u32: u32,
        emit_u64: u64, emit_usize: usize
    }
    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.inner.emit_unit(key)
    }
    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.inner.emit_none(key)
    }
    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        if self.redactor.is_secret(key.as_ref()) {
            return self.inner.emit_str(key, MASK);
        }
        let value = match value.char_indices().nth(KEPT_CHARS).filter(|_| value.len() > KEPT_CHARS) {
            Some((end, _)) => Bounded { text: Cow::Borrowed(&value[..end]), is_cut: true },
            None => Bounded { text: Cow::Borrowed(value), is_cut: false },
        };
        self.inner.emit_str(key, &value.sanitized(self.redactor))
    }
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        if self.redactor.is_secret(key.as_ref()) {
            return self.inner.emit_str(key, MASK);
        }
        self.inner.emit_str(key, &bounded(*value).sanitized(self.redactor))
    }
}

/// Marks a truncated value.
const TRUNCATED: &str = "… (truncated)";

/// Of a value, the characters that are looked at. More than are shown, so that
/// a credential is found although its end would not be shown.
const KEPT_CHARS: usize = 4 * VALUE_CHARS;

/// A text of at most [`KEPT_CHARS`] characters.
struct Bounded<'t> {
    text: Cow<'t, str>,
    /// Whether the whole is longer.
    is_cut: bool,
}

impl Bounded<'_> {
    /// With its secrets masked, and truncated to [`VALUE_CHARS`].
    fn sanitized(&self, redactor: &Redactor) -> Cow<'_, str> {
        let masked = redactor.text(&self.text);
        // A text has no more characters than bytes.
        let end = masked.char_indices().nth(VALUE_CHARS).filter(|_| masked.len() > VALUE_CHARS);
        match end {
            Some((end, _)) => format!("{}{TRUNCATED}", &masked[..end]).into(),
            None if self.is_cut => {
                // What was cut through may be a credential.
                let whole = masked.trim_end_matches(|letter: char| !letter.is_whitespace());
                format!("{whole}{TRUNCATED}").into()
            }
            None => masked,
        }
    }
}

/// The beginning of a text.
fn bounded(arguments: fmt::Arguments<'_>) -> Bounded<'static> {
    let mut text = BoundedText { text: String::new(), left: KEPT_CHARS };
    let is_cut = text.write_fmt(arguments).is_err();
    Bounded { text: text.text.into(), is_cut }
}

/// Collects up to `left` characters, and fails on more.
struct BoundedText {
    text: String,
    left: usize,
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        if piece.len() <= self.left {
            // It has no more characters than bytes.
            self.left -= piece.chars().count();
            self.text.push_str(piece);
            return Ok(());
        }
        for letter in piece.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(letter);
        }
        Ok(())
    }
}

/// Writes each record on one line: escapes control characters, and those that
/// break lines or change the direction of writing in a viewer.
pub(super) struct EscapeControls<D>(pub(super) D);

impl<D: Decorator> Decorator for EscapeControls<D> {
    fn with_record<F>(&self, record: &Record<'_>, values: &OwnedKVList, write: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        self.0.with_record(record, values, |inner| write(&mut Escaping { inner, from_formatter: true }))
    }
}

struct Escaping<'d> {
    inner: &'d mut dyn RecordDecorator,
    /// Whether the formatter itself writes: blanks and the end of the line.
    from_formatter: bool,
}

macro_rules! parts {
    ($($start:ident: $from_formatter:literal),*) => {$(
        fn $start(&mut self) -> io::Result<()> {
            self.from_formatter = $from_formatter;
            self.inner.$start()
        }
    )*};
}

impl RecordDecorator for Escaping<'_> {
    parts! {
        reset: true, start_whitespace: true, start_comma: true, start_separator: true, start_timestamp: true,
        start_level: true, start_location: true, start_msg: false, start_key: false, start_value: false
    }
}

impl io::Write for Escaping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !self.from_formatter && text.contains(needs_escape) => {
                self.inner.write_all(escaped(text).as_bytes())?
            }
            Ok(_) | Err(_) => self.inner.write_all(bytes)?,
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Whether a character is a control character, separates lines or paragraphs, or
/// changes the direction of writing.
fn needs_escape(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if needs_escape(letter) {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}
