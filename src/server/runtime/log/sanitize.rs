//! Sanitizes logged values. Callers, executors and services choose some of them,
//! and must neither forge a line nor flood the log.
//!
//! ```text
//!   record ──▶ Truncate ──▶ queue ─┬▶ text: EscapeControls ──▶ stdout
//!                                  └▶ JSON (escapes itself) ─▶ stdout
//! ```
//!
//! Values are truncated before they are queued, so that the queue is bounded in
//! bytes, too.

use std::{
    fmt::{self, Write as _},
    io,
};

use slog::{BorrowedKV, Drain, KV, Key, OwnedKVList, Record, RecordStatic, Serializer};
use slog_term::{Decorator, RecordDecorator};

/// The maximum number of characters of a value: enough for every accepted id, and
/// for an error with its causes.
pub(super) const VALUE_CHARS: usize = 1_000;

/// Truncates textual values to [`VALUE_CHARS`].
pub(super) struct Truncate<D>(pub(super) D);

impl<D: Drain> Drain for Truncate<D> {
    type Ok = D::Ok;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<D::Ok, D::Err> {
        let kv = TruncatedKv(record.kv());
        let place = RecordStatic { location: record.location(), tag: record.tag(), level: record.level() };
        self.0.log(&Record::new(&place, record.msg(), BorrowedKV(&kv)), values)
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        self.0.is_enabled(level)
    }
}

struct TruncatedKv<'k>(BorrowedKV<'k>);

impl KV for TruncatedKv<'_> {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        self.0.serialize(record, &mut TruncatingSerializer(serializer))
    }
}

struct TruncatingSerializer<'s>(&'s mut dyn Serializer);

/// Passes numbers on unchanged.
macro_rules! unchanged {
    ($($emit:ident: $type:ty),*) => {$(
        fn $emit(&mut self, key: Key, value: $type) -> slog::Result {
            self.0.$emit(key, value)
        }
    )*};
}

impl Serializer for TruncatingSerializer<'_> {
    unchanged! {
        emit_bool: bool, emit_char: char, emit_f32: f32, emit_f64: f64, emit_i8: i8, emit_i16: i16,
        emit_i32: i32, emit_i64: i64, emit_isize: isize, emit_u8: u8, emit_u16: u16, emit_u32: u32,
        emit_u64: u64, emit_usize: usize
    }
    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.0.emit_unit(key)
    }
    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.0.emit_none(key)
    }
    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        match truncated(value) {
            Some(truncated) => self.0.emit_str(key, &truncated),
            None => self.0.emit_str(key, value),
        }
    }
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        let mut text = BoundedText { text: String::new(), left: VALUE_CHARS };
        match text.write_fmt(*value) {
            Ok(()) => self.0.emit_str(key, &text.text),
            Err(fmt::Error) => self.0.emit_str(key, &(text.text + TRUNCATED)),
        }
    }
}

/// Marks a truncated value.
const TRUNCATED: &str = "… (truncated)";

/// Truncates a text that is too long.
fn truncated(text: &str) -> Option<String> {
    // A text has no more characters than bytes.
    if text.len() <= VALUE_CHARS {
        return None;
    }
    let (end, _) = text.char_indices().nth(VALUE_CHARS)?;
    Some(format!("{}{TRUNCATED}", &text[..end]))
}

/// Collects up to `left` characters, and fails on more.
struct BoundedText {
    text: String,
    left: usize,
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
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
