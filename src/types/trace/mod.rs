//! Where something belongs in a distributed trace: the ids and headers of W3C Trace
//! Context (level 1).
//!
//! ```text
//!   traceparent: 00-<trace id, 32 hex>-<id of the parent span, 16 hex>-<flags, 2 hex>
//!   tracestate:  vendor=value,…          up to 32 members and 512 characters
//! ```
//!
//! **Invariants.** An id is never zero. What cannot be read counts as missing, as
//! the standard demands: a bad header is no error of the request.

mod state;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::state::TraceState;

/// The id of a trace, which all of its spans share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId([u8; 16]);

/// The id of a span within its trace.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpanId([u8; 8]);

/// The flags of a trace context; of those that are defined, one matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceFlags(u8);

/// A span, named for those that continue its trace: a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub flags: TraceFlags,
}

/// The text is no id.
#[derive(Debug, thiserror::Error)]
#[error("not an id of a trace or a span")]
pub struct NoTraceId;

macro_rules! id {
    ($name:ident, $bytes:literal) => {
        impl $name {
            /// An id of these bytes; `None` if all are zero.
            pub fn new(bytes: [u8; $bytes]) -> Option<Self> {
                (bytes != [0; $bytes]).then_some(Self(bytes))
            }

            /// An id of these bytes, which a digest or chance has made: zeros become 1.
            pub fn of(mut bytes: [u8; $bytes]) -> Self {
                if bytes == [0; $bytes] {
                    bytes[0] = 1;
                }
                Self(bytes)
            }

            /// Reads lower-case hex digits.
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; $bytes];
                hex(text, &mut bytes)?;
                Self::new(bytes)
            }

            pub fn bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NoTraceId;
            fn try_from(text: String) -> Result<Self, NoTraceId> {
                Self::parse(&text).ok_or(NoTraceId)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

id!(TraceId, 16);
id!(SpanId, 8);

impl TraceFlags {
    const SAMPLED: u8 = 1;

    /// Flags with nothing but whether the trace is recorded.
    pub fn sampled(sampled: bool) -> Self {
        Self(if sampled { Self::SAMPLED } else { 0 })
    }

    /// The caller records its part of the trace.
    pub fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED != 0
    }

    pub fn byte(self) -> u8 {
        self.0
    }
}

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

impl TraceParent {
    /// Reads a `traceparent`. Of a later version, what version 00 has is read.
    pub fn parse(text: &str) -> Option<Self> {
        let (known, rest) = (text.get(..LENGTH)?, &text[LENGTH..]);
        let mut parts = known.split('-');
        let mut part = || parts.next();
        let (version, trace_id, span_id, flags) = (part()?, part()?, part()?, part()?);
        if part().is_some() {
            return None;
        }
        let byte = |text: &str| {
            let mut byte = [0; 1];
            hex(text, &mut byte).map(|()| byte[0])
        };
        match byte(version)? {
            0xff => return None,
            0 if !rest.is_empty() => return None,
            _ if !rest.is_empty() && !rest.starts_with('-') => return None,
            _ => {}
        }
        Some(Self {
            trace_id: TraceId::parse(trace_id)?,
            span_id: SpanId::parse(span_id)?,
            flags: TraceFlags(byte(flags)?),
        })
    }
}

/// The header: version 00, and of the flags those that this version defines.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = TraceFlags::sampled(self.flags.is_sampled());
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, flags.0)
    }
}

/// Reads exactly as many lower-case hex digits as fill `bytes`.
fn hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != bytes.len() * 2 {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(())
}
