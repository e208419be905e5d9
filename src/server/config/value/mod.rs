//! The values that settings are made of, and how they are written as text.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use slog::Level;
use url::Url;

/// What takes the place of something secret.
pub const MASK: &str = "***";

/// A text that must not be shown. Only [`Secret::expose`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(text)
    }
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// An `http` or `https` URL, kept as it was written: it is shown to people and
/// stored in records, and `url::Url` would add a slash to it.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// A URL to be called as it is.
    pub fn exact(text: &str) -> Option<Self> {
        let text = text.trim();
        let url = Url::parse(text).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| Self(text.to_owned()))
    }

    /// A URL that paths such as `/v1/runs` are appended to: without a trailing
    /// `/`, a final `/v1`, and the `/` before that (contract §18). A query or a
    /// fragment would swallow the appended path, so they are refused.
    pub fn base(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('/');
        let text = text.strip_suffix("/v1").unwrap_or(text).trim_end_matches('/');
        Self::exact(text).filter(|_| !text.contains(['?', '#']))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same address without a user and a password: for records, which
    /// others read.
    pub fn without_credentials(&self) -> String {
        match Url::parse(&self.0) {
            Ok(url) if url.username().is_empty() && url.password().is_none() => self.0.clone(),
            // Both can fail only for URLs without a host, which http has not.
            Ok(mut url) => {
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.into()
            }
            // It was a URL when it was made.
            Err(_) => masked_url(&self.0),
        }
    }
}

/// Without the user and password that it may contain.
impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked_url(&self.0))
    }
}

/// How a server that listens on `host` is called from this machine.
pub fn loopback_url(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => {
            format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
        }
        Ok(IpAddr::V6(address)) if address.is_unspecified() => {
            format!("http://[{}]:{port}", Ipv6Addr::LOCALHOST)
        }
        Ok(IpAddr::V6(address)) => format!("http://[{address}]:{port}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("http://{host}:{port}"),
    }
}

/// `text` without what may be secret in a URL: user and password, and the
/// query. It works on text that is no URL too, since a broken one is quoted in
/// an error message; in doubt it masks too much.
pub fn masked_url(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + "://".len()),
        None => ("", text),
    };
    // First the user, since a password may contain a `?`.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, host)) => ("***@", host),
        None => ("", rest),
    };
    match rest.split_once('?') {
        Some((path, _)) => format!("{scheme}{user}{path}?{MASK}"),
        None => format!("{scheme}{user}{rest}"),
    }
}

/// `text` as one line of a report: control characters escaped.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
    line
}

/// A number of bytes above 0, with an optional binary suffix `k`, `m` or `g`.
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

/// A number of bytes as [`bytes()`] reads it.
pub fn size(bytes: u64) -> String {
    let unit = [(30, "g"), (20, "m"), (10, "k")].into_iter().find(|(bits, _)| {
        let unit = 1u64 << bits;
        bytes >= unit && bytes.is_multiple_of(unit)
    });
    unit.map_or_else(|| bytes.to_string(), |(bits, suffix)| format!("{}{suffix}", bytes >> bits))
}

/// No deadline and no wait is longer: a larger number is a mistake, and what it
/// leads to may be beyond the years that can be written.
pub const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Nothing is kept longer, but for ever.
const OLDEST: Duration = Duration::from_secs(36_500 * 24 * 3600);

/// A number of seconds above 0; fractions are fine.
pub fn seconds(text: &str) -> Option<Duration> {
    seconds_or_none(text).filter(|time| !time.is_zero())
}

/// As [`seconds`], and 0 for not at all.
pub fn seconds_or_none(text: &str) -> Option<Duration> {
    // Rust reads "inf" and "nan" as numbers; a duration does not take them.
    let time = Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()?;
    (time <= TEN_YEARS).then_some(time)
}

/// An age above 0: a whole number with the suffix `s`, `m`, `h` or `d`.
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
    (age <= OLDEST).then_some(age)
}

/// A number of things, at least one.
pub fn count(text: &str) -> Option<usize> {
    usize::try_from(unsigned(text.trim())?).ok()
}

/// A count that may be 0.
pub fn number(text: &str) -> Option<u32> {
    let digits = text.trim();
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Digits only: `parse` alone would take a sign.
fn unsigned(digits: &str) -> Option<u64> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number > 0)
}

/// A level by its Python name, in any case.
pub fn log_level(text: &str) -> Option<Level> {
    match text.trim().to_ascii_uppercase().as_str() {
        "CRITICAL" | "FATAL" => Some(Level::Critical),
        "ERROR" => Some(Level::Error),
        "WARNING" | "WARN" => Some(Level::Warning),
        "INFO" => Some(Level::Info),
        "DEBUG" => Some(Level::Debug),
        // Python's NOTSET lets everything through.
        "TRACE" | "NOTSET" => Some(Level::Trace),
        _ => None,
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl LogFormat {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// How a token request names the audience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceField {
    /// As contract §20 has it, and Auth0.
    Audience,
    /// RFC 8707.
    Resource,
}

impl AudienceField {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "audience" => Some(Self::Audience),
            "resource" => Some(Self::Resource),
            _ => None,
        }
    }
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audience => "audience",
            Self::Resource => "resource",
        }
    }
}

/// What to do about a Node Registry that does not answer (contract D-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryOutage {
    /// Nothing that needs it begins.
    Closed,
    /// Guess, as if there were none.
    Open,
}

impl RegistryOutage {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "closed" => Some(Self::Closed),
            "open" => Some(Self::Open),
            _ => None,
        }
    }
}

/// What a journal that has owed the JARVIS stores does in a server without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutStores {
    /// The server does not start.
    Refuse,
    /// It goes on noting what they are owed.
    Owe,
    /// It gives up what they are owed.
    Forget,
}

impl WithoutStores {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "refuse" => Some(Self::Refuse),
            "owe" => Some(Self::Owe),
            "forget" => Some(Self::Forget),
            _ => None,
        }
    }
}

/// What to do about a PDP that cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PdpOutage {
    /// It counts as a no (contract §10).
    Deny,
    /// What it should decide waits.
    Hold,
}

impl PdpOutage {
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "deny" => Some(Self::Deny),
            "hold" => Some(Self::Hold),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::vars::switch;

    #[test]
    fn base_urls_lose_slashes_and_one_final_v1() {
        for (text, base) in [
            ("http://store:8091", Some("http://store:8091")),
            ("  http://store:8091/  ", Some("http://store:8091")),
            ("http://store:8091///", Some("http://store:8091")),
            ("http://store:8091/v1", Some("http://store:8091")),
            ("http://store:8091/v1/", Some("http://store:8091")),
            ("http://store:8091//v1//", Some("http://store:8091")),
            ("https://host/stores/v1", Some("https://host/stores")),
            ("https://host/v1/v1", Some("https://host/v1")),
            ("https://host/v2", Some("https://host/v2")),
            ("https://host/myv1", Some("https://host/myv1")),
            ("HTTP://[::1]:8091", Some("HTTP://[::1]:8091")),
            ("ftp://host", None),
            ("store:8091", None),
            ("localhost", None),
            ("http://", None),
            ("/v1", None),
            ("http://host?key=1", None),
            ("http://host/#top", None),
        ] {
            assert_eq!(HttpUrl::base(text).as_ref().map(HttpUrl::as_str), base, "{text}");
        }
    }

    #[test]
    fn exact_urls_are_only_trimmed() {
        let url = HttpUrl::exact(" https://sts/token/?tenant=1 ").expect("a URL");
        assert_eq!(url.as_str(), "https://sts/token/?tenant=1");
        assert!(HttpUrl::exact("unix:/run/sts").is_none());
    }

    #[test]
    fn records_get_addresses_without_credentials() {
        for (url, recorded) in [
            ("http://host:1/path", "http://host:1/path"),
            ("http://host", "http://host"),
            ("http://me:pass@host:1/path", "http://host:1/path"),
            ("http://me@host/a@b", "http://host/a@b"),
            ("http://:pass@host", "http://host/"),
            ("http://me:p%40ss@host", "http://host/"),
        ] {
            let url = HttpUrl::exact(url).expect("a URL");
            assert_eq!(url.without_credentials(), recorded);
        }
    }

    #[test]
    fn a_server_is_called_where_it_can_be_reached() {
        for (host, url) in [
            ("127.0.0.1", "http://127.0.0.1:81"),
            ("0.0.0.0", "http://127.0.0.1:81"),
            ("::", "http://[::1]:81"),
            ("::1", "http://[::1]:81"),
            ("localhost", "http://localhost:81"),
        ] {
            assert_eq!(loopback_url(host, 81), url);
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (text, shown) in [
            ("http://host:1/path", "http://host:1/path"),
            ("http://me:pass@host/path", "http://***@host/path"),
            ("http://me:p/a@ss@host", "http://***@host"),
            ("http://me:p?a#ss@host", "http://***@host"),
            ("me:pass@host", "***@host"),
            ("https://host/keys?code=abc", "https://host/keys?***"),
        ] {
            assert_eq!(masked_url(text), shown);
        }
        assert_eq!(format!("{:?}", Secret::new("hush".into())), "***");
        let url = HttpUrl::exact("http://me:pass@host").expect("a URL");
        assert_eq!(format!("{url:?}"), "http://***@host");
    }

    #[test]
    fn numbers_have_units_and_are_above_zero() {
        for (text, number) in [
            ("1", Some(1)),
            ("8388608", Some(8 << 20)),
            ("8m", Some(8 << 20)),
            ("8 M", Some(8 << 20)),
            ("512K", Some(512 << 10)),
            ("2g", Some(2 << 30)),
            ("0", None),
            ("0k", None),
            ("-1", None),
            ("+1", None),
            ("1.5m", None),
            ("m", None),
            ("8t", None),
            ("18446744073709551615g", None),
            ("8µ", None),
            ("", None),
        ] {
            assert_eq!(bytes(text), number, "{text}");
        }
        for (text, time) in [
            ("10", Some(Duration::from_secs(10))),
            ("0.25", Some(Duration::from_millis(250))),
            ("0", None),
            ("-1", None),
            ("inf", None),
            ("nan", None),
            ("1e300", None),
            ("315360000", Some(TEN_YEARS)),
            ("315360000.5", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), time, "{text}");
        }
        for (text, written) in
            [("1", "1"), ("1023", "1023"), ("1536", "1536"), ("160k", "160k"), ("8192k", "8m")]
        {
            assert_eq!(size(bytes(text).expect("bytes")), written);
        }
        assert_eq!([age("36500d"), age("36501d"), age("0s")], [Some(OLDEST), None, None]);
        assert_eq!([count("256"), count("0"), count("2k"), count("-2")], [Some(256), None, None, None]);
    }

    #[test]
    fn words_are_read_in_any_case() {
        for text in ["0", "false", "No", " OFF "] {
            assert_eq!(switch(text), Some(false), "{text}");
        }
        for text in ["1", "TRUE", "yes", " On"] {
            assert_eq!(switch(text), Some(true), "{text}");
        }
        for text in ["", "flase", "n", "2"] {
            assert_eq!(switch(text), None, "{text}");
        }
        for (text, level) in [
            ("debug", Level::Debug),
            ("Info", Level::Info),
            ("WARN", Level::Warning),
            ("warning", Level::Warning),
            ("error", Level::Error),
            ("Critical", Level::Critical),
            ("fatal", Level::Critical),
            ("notset", Level::Trace),
            ("trace", Level::Trace),
        ] {
            assert_eq!(log_level(text), Some(level), "{text}");
        }
        assert_eq!(log_level("loud"), None);
        assert_eq!(LogFormat::parse("JSON"), Some(LogFormat::Json));
        assert_eq!(LogFormat::parse("xml"), None);
        for field in [AudienceField::Audience, AudienceField::Resource] {
            assert_eq!(AudienceField::parse(field.as_str()), Some(field));
        }
        assert_eq!(AudienceField::parse("both"), None);
        assert_eq!(RegistryOutage::parse(" Open "), Some(RegistryOutage::Open));
        assert_eq!(RegistryOutage::parse("closed"), Some(RegistryOutage::Closed));
        assert_eq!(RegistryOutage::parse("true"), None);
        assert_eq!(WithoutStores::parse(" Owe "), Some(WithoutStores::Owe));
        assert_eq!(WithoutStores::parse("forget"), Some(WithoutStores::Forget));
        assert_eq!(WithoutStores::parse("yes"), None);
        assert_eq!(PdpOutage::parse(" Hold "), Some(PdpOutage::Hold));
        assert_eq!(PdpOutage::parse("deny"), Some(PdpOutage::Deny));
        assert_eq!(PdpOutage::parse("allow"), None);
    }

    #[test]
    fn reports_stay_on_one_line() {
        assert_eq!(one_line("a\nb\tüc"), "a\\nb\\tüc");
    }
}
