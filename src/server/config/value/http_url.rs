//! URLs of services.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use url::{Host, Url};

use super::secret::masked_url;

/// An `http` or `https` URL, kept as it was written: it is shown to people and
/// stored in records, and `url::Url` would append a slash.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(String);

impl HttpUrl {
    /// Parses a URL that is called as it is.
    pub fn exact(text: &str) -> Option<Self> {
        let text = text.trim();
        let url = Url::parse(text).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| Self(text.to_owned()))
    }

    /// Parses a URL that paths such as `/v1/runs` are appended to: removes a
    /// trailing `/`, a final `/v1`, and the `/` before that (contract §18). A
    /// query or a fragment is refused, because it would swallow the path.
    pub fn base(text: &str) -> Option<Self> {
        let text = text.trim().trim_end_matches('/');
        let text = text.strip_suffix("/v1").unwrap_or(text).trim_end_matches('/');
        Self::exact(text).filter(|_| !text.contains(['?', '#']))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Host, port and path: what tells it from other URLs, without credentials.
    pub fn address(&self) -> String {
        let url = Url::parse(&self.0);
        let parts = url.as_ref().ok().and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
        match (&url, parts) {
            (Ok(url), Some((host, port))) => format!("{host}:{port}{}", url.path().trim_end_matches('/')),
            // Cannot happen: the text was an http URL when `self` was made.
            (Ok(_) | Err(_), _) => masked_url(&self.0),
        }
    }

    /// The same address without user and password, for records, which others
    /// read.
    pub fn without_credentials(&self) -> String {
        match Url::parse(&self.0) {
            Ok(url) if url.username().is_empty() && url.password().is_none() => self.0.clone(),
            // Both fail only for URLs without a host, and an http URL has one.
            Ok(mut url) => {
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.into()
            }
            // Cannot happen: the text was a URL when `self` was made.
            Err(_) => masked_url(&self.0),
        }
    }
}

/// Masks the user and password that the URL may contain.
impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked_url(&self.0))
    }
}

/// The URL by which a server that listens on `host` is reached from this machine.
pub fn loopback_url(https: bool, host: &str, port: u16) -> String {
    let scheme = if https { "https" } else { "http" };
    match host.parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => {
            format!("{scheme}://{}:{port}", Ipv4Addr::LOCALHOST)
        }
        Ok(IpAddr::V6(address)) if address.is_unspecified() => {
            format!("{scheme}://[{}]:{port}", Ipv6Addr::LOCALHOST)
        }
        Ok(IpAddr::V6(address)) => format!("{scheme}://[{address}]:{port}"),
        Ok(IpAddr::V4(_)) | Err(_) => format!("{scheme}://{host}:{port}"),
    }
}

/// Whether a URL is that of a server on this machine.
pub fn is_loopback_url(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    })
}
