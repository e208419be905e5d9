//! Time: instants in microseconds, and clocks that can be replaced. No other code
//! reads the machine's clock.
//!
//! ```text
//!   SystemClock (wall, monotonic) ──▶ SteadyClock (slews instead of stepping) ──▶ deadlines, backoff, timestamps
//!              └─────────────────────────────────────────────────────────────▶ comparison with foreign times
//! ```

mod followed;
mod steady;

use std::{
    fmt,
    sync::LazyLock,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use schemars::{
    JsonSchema,
    r#gen::SchemaGenerator,
    schema::{InstanceType, Schema, SchemaObject},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use followed::FollowedClock;
pub use steady::SteadyClock;

/// An instant, in microseconds since 1970. On the wire it is RFC 3339 in UTC
/// (contract §3.5), which has four digits for the year: an instant is always
/// within the years 1 to 9999, so that whatever is written can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// `0001-01-01T00:00:00Z`.
    const FIRST: i64 = -62_135_596_800_000_000;
    /// `9999-12-31T23:59:59.999999Z`.
    const LAST: i64 = 253_402_300_799_999_999;

    /// Makes an instant, clamped to the range.
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::FIRST {
            Self(Self::FIRST)
        } else if micros > Self::LAST {
            Self(Self::LAST)
        } else {
            Self(micros)
        }
    }
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, time: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, time: Duration) -> Self {
        Self::from_micros(self.0.saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl std::str::FromStr for Timestamp {
    type Err = chrono::ParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|time| Self::from_micros(time.timestamp_micros()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn is_referenceable() -> bool {
        false
    }
    fn schema_name() -> String {
        "Timestamp".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        SchemaObject {
            instance_type: Some(InstanceType::String.into()),
            format: Some("date-time".into()),
            ..Default::default()
        }
        .into()
    }
}

/// A clock: the present time, and sleeping.
#[async_trait]
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
    async fn sleep(&self, time: Duration);
}

/// The clocks of a machine: a wall clock, which may be set, and a monotonic clock.
pub trait MachineClock: Clock {
    /// The time since an arbitrary moment. It is never set; it may stand still while
    /// the machine is suspended.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
pub struct SystemClock;

/// The origin of the monotonic clock of [`SystemClock`].
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl MachineClock for SystemClock {
    fn monotonic(&self) -> Duration {
        ORIGIN.elapsed()
    }
}

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
    #[expect(clippy::disallowed_methods, reason = "this is the one place that sleeps")]
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Exponential backoff with jitter: `base`, twice that, and so on up to `cap`. The
/// second half of each delay is spread by `salt`, so that retries of concurrent
/// failures are spread, too.
pub fn backoff(retries: u32, base: Duration, cap: Duration, salt: &str) -> Duration {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let full = base.saturating_mul(1 << retries.min(20)).min(cap);
    let mut hasher = DefaultHasher::new();
    (salt, retries).hash(&mut hasher);
    let spread = (hasher.finish() % 1000) as u32;
    full / 2 + full / 2 * spread / 1000
}

/// Runs `work` with a time limit; `None` if it takes longer than `time`.
pub async fn within<T>(clock: &dyn Clock, time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        // A result that is ready at the limit counts.
        biased;
        result = work => Some(result),
        () = clock.sleep(time) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_parsed_in_any_zone_and_written_in_utc() {
        let time: Timestamp = serde_json::from_str("\"2026-11-22T14:22:49.078778+02:00\"").expect("a time");
        assert_eq!(time.to_string(), "2026-11-22T12:22:49.078778Z");
        assert_eq!((time + Duration::from_millis(1)).since(time), Duration::from_millis(1));
        assert_eq!(time.since(time + Duration::from_secs(1)), Duration::ZERO);
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    /// An offset may lead out of the four-digit years of RFC 3339.
    #[test]
    fn timestamps_are_clamped_to_four_digit_years() {
        let (first, last) = ("0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z");
        for (text, written) in [
            (first, first),
            (last, last),
            ("9999-12-31T23:59:59-14:00", last),
            ("9999-12-31T23:59:59.9999999Z", last),
            ("0001-01-01T00:00:00+14:00", first),
            ("0000-02-29T12:00:00Z", first),
        ] {
            let time: Timestamp = text.parse().expect("a time");
            assert_eq!(time.to_string(), written, "{text}");
        }
        let last: Timestamp = last.parse().expect("a time");
        assert_eq!(last + Duration::MAX, last);
        assert_eq!((last - Duration::MAX).to_string(), first);
    }

    proptest::proptest! {
        #[test]
        fn written_timestamps_can_be_parsed(
            micros in proptest::prelude::any::<i64>(),
            time in proptest::prelude::any::<Duration>(),
        ) {
            let at = Timestamp::from_micros(micros);
            for at in [at, at + time, at - time] {
                let text = serde_json::to_string(&at).expect("JSON");
                proptest::prop_assert_eq!(serde_json::from_str::<Timestamp>(&text).ok(), Some(at), "{}", text);
                proptest::prop_assert_eq!(Timestamp::from_micros(at.as_micros()), at);
            }
        }
    }
}
