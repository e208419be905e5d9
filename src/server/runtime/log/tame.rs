//! Values of others in our log: what callers, executors and services have
//! chosen must neither forge a line nor fill the log.
//!
//! ```text
//!   record ──▶ Short (values cut to a length) ──▶ asynchronous ──▶ text: OneLine (controls escaped) ──▶ stdout
//!                                                              └─▶ JSON (escapes by itself) ─────────▶ stdout
//! ```
//!
//! Values are cut before they wait to be written, so that what waits is bounded
//! too.

use std::{
    fmt::{self, Write as _},
    io,
};

use slog::{BorrowedKV, Drain, KV, Key, OwnedKVList, Record, RecordStatic, Serializer};
use slog_term::{Decorator, RecordDecorator};

/// The characters of a value that are logged, at most: enough for any id that
/// we accept, and for an error with its causes.
pub(super) const VALUE_CHARS: usize = 1_000;

/// Cuts values that are texts to [`VALUE_CHARS`].
pub(super) struct Short<D>(pub(super) D);

impl<D: Drain> Drain for Short<D> {
    type Ok = D::Ok;
    type Err = D::Err;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<D::Ok, D::Err> {
        let kv = ShortKv(record.kv());
        let place = RecordStatic { location: record.location(), tag: record.tag(), level: record.level() };
        self.0.log(&Record::new(&place, record.msg(), BorrowedKV(&kv)), values)
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        self.0.is_enabled(level)
    }
}

struct ShortKv<'k>(BorrowedKV<'k>);

impl KV for ShortKv<'_> {
    fn serialize(&self, record: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        self.0.serialize(record, &mut ShortTexts(serializer))
    }
}

struct ShortTexts<'s>(&'s mut dyn Serializer);

/// Numbers stay what they are.
macro_rules! as_it_is {
    ($($emit:ident: $type:ty),*) => {$(
        fn $emit(&mut self, key: Key, value: $type) -> slog::Result {
            self.0.$emit(key, value)
        }
    )*};
}

impl Serializer for ShortTexts<'_> {
    as_it_is! {
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
        match short(value) {
            Some(short) => self.0.emit_str(key, &short),
            None => self.0.emit_str(key, value),
        }
    }
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        let mut text = Room { text: String::new(), left: VALUE_CHARS };
        match text.write_fmt(*value) {
            Ok(()) => self.0.emit_str(key, &text.text),
            Err(fmt::Error) => self.0.emit_str(key, &(text.text + CUT)),
        }
    }
}

/// Stands for what was cut off.
const CUT: &str = "… (cut)";

/// What is left of a text that is too long.
fn short(text: &str) -> Option<String> {
    // A text has no more characters than bytes.
    if text.len() <= VALUE_CHARS {
        return None;
    }
    let (end, _) = text.char_indices().nth(VALUE_CHARS)?;
    Some(format!("{}{CUT}", &text[..end]))
}

/// Takes so many characters, and fails then.
struct Room {
    text: String,
    left: usize,
}

impl fmt::Write for Room {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for letter in piece.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(letter);
        }
        Ok(())
    }
}

/// Writes each record on one line, whatever is in it: control characters (and
/// those that turn or break lines in what shows them) are escaped.
pub(super) struct OneLine<D>(pub(super) D);

impl<D: Decorator> Decorator for OneLine<D> {
    fn with_record<F>(&self, record: &Record<'_>, values: &OwnedKVList, write: F) -> io::Result<()>
    where
        F: FnOnce(&mut dyn RecordDecorator) -> io::Result<()>,
    {
        self.0.with_record(record, values, |inner| write(&mut Escaping { inner, ours: true }))
    }
}

struct Escaping<'d> {
    inner: &'d mut dyn RecordDecorator,
    /// What is written now is the formatter's own: blanks and the line's end.
    ours: bool,
}

macro_rules! parts {
    ($($start:ident: $ours:literal),*) => {$(
        fn $start(&mut self) -> io::Result<()> {
            self.ours = $ours;
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
            Ok(text) if !self.ours && text.contains(is_unruly) => {
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

/// Control characters; the separators of lines and paragraphs; and what turns
/// the direction of writing.
fn is_unruly(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match is_unruly(letter) {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}
