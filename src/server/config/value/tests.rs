//! Parsing and formatting of values.

use std::time::Duration;

use slog::Level;

use super::{
    AudienceField, HttpUrl, LogFormat, PdpOutage, RegistryOutage, Secret, SecretSource, TEN_YEARS,
    WithoutStores, age, bytes, count, log_level, loopback_url, masked_url, number::AGE_MAX, one_line,
    seconds, size, switch,
};

#[test]
fn base_url_loses_slashes_and_one_final_v1() {
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
fn exact_url_is_only_trimmed() {
    let url = HttpUrl::exact(" https://sts/token/?tenant=1 ").expect("a URL");
    assert_eq!(url.as_str(), "https://sts/token/?tenant=1");
    assert!(HttpUrl::exact("unix:/run/sts").is_none());
}

#[test]
fn recorded_url_has_no_credentials() {
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
fn loopback_url_replaces_unspecified_addresses() {
    for (host, url) in [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("::", "http://[::1]:81"),
        ("::1", "http://[::1]:81"),
        ("localhost", "http://localhost:81"),
    ] {
        assert_eq!(loopback_url(false, host, 81), url);
        assert_eq!(loopback_url(true, host, 81), url.replace("http:", "https:"));
    }
}

#[test]
fn masked_url_shows_no_secret() {
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
fn numbers_are_positive_and_may_have_units() {
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
    for (text, written) in [("1", "1"), ("1023", "1023"), ("1536", "1536"), ("160k", "160k"), ("8192k", "8m")]
    {
        assert_eq!(size(bytes(text).expect("bytes")), written);
    }
    assert_eq!([age("36500d"), age("36501d"), age("0s")], [Some(AGE_MAX), None, None]);
    assert_eq!([count("256"), count("0"), count("2k"), count("-2")], [Some(256), None, None, None]);
}

#[test]
fn choices_are_parsed_in_any_case() {
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
fn secret_file_is_read_when_it_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("secret");
    let source = SecretSource::File(path.clone());
    let read = || source.read().map(|secret| secret.expose().to_owned()).map_err(|error| error.to_string());
    let refusal = |reason| Err(format!("cannot read the secret in {}: {reason}", path.display()));
    assert_eq!(read(), refusal("No such file or directory (os error 2)"));
    for (content, expected) in [
        ("hush\n", Ok("hush".to_owned())),
        (" two words\r\n", Ok("two words".to_owned())),
        ("\n", refusal("it is empty")),
        (&"x".repeat(70_000), refusal("it is too large")),
    ] {
        std::fs::write(&path, content).expect("written");
        assert_eq!(read(), expected);
    }
    assert!(SecretSource::File(folder.path().to_owned()).read().is_err(), "a folder");
    let value = SecretSource::Value(Secret::new("hush".into()));
    assert_eq!(value.read().expect("a value").expose(), "hush");
    assert_eq!(format!("{value:?}"), "Value(***)");
}

#[test]
fn line_escapes_control_characters() {
    assert_eq!(one_line("a\nb\tüc"), "a\\nb\\tüc");
}
