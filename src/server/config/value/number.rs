//! Sizes, times and counts.

use std::time::Duration;

/// Parses a number of bytes above 0, with an optional binary suffix `k`, `m` or `g`.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, unit) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text.as_str(), 1),
    };
    unsigned(digits.trim_end())?.checked_mul(unit)
}

/// Formats a number of bytes as [`bytes()`] parses it.
pub fn size(bytes: u64) -> String {
    let unit = [(30, "g"), (20, "m"), (10, "k")].into_iter().find(|(bits, _)| {
        let unit = 1u64 << bits;
        bytes >= unit && bytes.is_multiple_of(unit)
    });
    unit.map_or_else(|| bytes.to_string(), |(bits, suffix)| format!("{}{suffix}", bytes >> bits))
}

/// The maximum of every time. A larger number is a mistake, and added to the
/// present it may exceed the years that a timestamp can have.
pub const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The maximum age.
pub(super) const AGE_MAX: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// Parses a number of seconds above 0, which may have a fraction.
pub fn seconds(text: &str) -> Option<Duration> {
    seconds_or_none(text).filter(|time| !time.is_zero())
}

/// As [`seconds`], with 0 for none.
pub fn seconds_or_none(text: &str) -> Option<Duration> {
    // Rust parses "inf" and "nan" as numbers; a duration refuses them.
    let time = Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()?;
    (time <= TEN_YEARS).then_some(time)
}

/// Parses an age above 0: an integer with the suffix `s`, `m`, `h` or `d`.
pub fn age(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    let age = unsigned(digits.trim_end())?.checked_mul(seconds).map(Duration::from_secs)?;
    (age <= AGE_MAX).then_some(age)
}

/// Parses a count above 0.
pub fn count(text: &str) -> Option<usize> {
    usize::try_from(unsigned(text.trim())?).ok()
}

/// Parses a count that may be 0.
pub fn number(text: &str) -> Option<u32> {
    let digits = text.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Parses digits: `parse` alone would accept a sign.
fn unsigned(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number > 0)
}
