//! The names under which a server may be asked for, and the pages that may ask.
//!
//! ```text
//!   Host: localhost, 127.0.0.0/8, [::1] ───────────────▶ yes
//!   Host: the listen address, or a listed name ────────▶ yes
//!   any other Host, two of them, or none ──────────────▶ 403 forbidden_host
//!   no Origin ─────────────────────────────────────────▶ yes: not a page of a browser
//!   Origin: the same host and port, or a listed name ──▶ yes
//!   any other Origin, `null` ──────────────────────────▶ 403 forbidden_origin
//! ```
//!
//! A page on the internet can have a name that resolves to 127.0.0.1 (DNS
//! rebinding): the browser of an operator would let it read every answer, and
//! where authentication is off, let it act. Its requests have its own name as
//! their `Host`. Pages of other origins can send requests too, without reading the
//! answers; those have an `Origin`.
//!
//! **Invariant:** only names and addresses are compared, never resolved.

use std::net::IpAddr;

use http::{
    HeaderMap, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};

/// Which `Host` and `Origin` a server accepts.
#[derive(Clone, Debug, Default)]
pub enum Hosts {
    /// All: callers need tokens, and no browser has them.
    #[default]
    Any,
    Only(Names),
}

/// The names of a server besides those of the loopback interface.
#[derive(Clone, Debug)]
pub struct Names {
    /// The host that it listens on.
    listen: String,
    /// Further names, which are trusted origins as well.
    listed: Vec<String>,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    Host,
    Origin,
}

impl Foreign {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Host => "forbidden_host",
            Self::Origin => "forbidden_origin",
        }
    }

    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Host => "The server does not answer to the name in the Host header",
            Self::Origin => "Pages of this origin may not call the server",
        }
    }
}

impl Hosts {
    /// The names of the loopback interface, the host that the server listens on,
    /// and these.
    pub fn only(listen: &str, listed: &[String]) -> Self {
        Self::Only(Names { listen: normal(listen), listed: listed.iter().map(|name| normal(name)).collect() })
    }

    /// Whether a request may be answered.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let Self::Only(names) = self else { return Ok(()) };
        // HTTP/2 and requests in the form for proxies name it in the target.
        let mut asked = uri.authority().cloned();
        let mut hosts = headers.get_all(HOST).iter();
        if let Some(host) = hosts.next() {
            let host = host.to_str().ok().and_then(authority).ok_or(Foreign::Host)?;
            if asked.as_ref().is_some_and(|asked| !asked.as_str().eq_ignore_ascii_case(host.as_str())) {
                return Err(Foreign::Host);
            }
            asked = Some(host);
        }
        let asked = asked.filter(|_| hosts.next().is_none()).ok_or(Foreign::Host)?;
        if !names.has(asked.host()) {
            return Err(Foreign::Host);
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let origin = origin.to_str().ok().filter(|_| origins.next().is_none());
        if origin.is_some_and(|origin| names.trusts(origin, &asked)) { Ok(()) } else { Err(Foreign::Origin) }
    }
}

impl Names {
    fn has(&self, host: &str) -> bool {
        let host = normal(host);
        match host.parse::<IpAddr>() {
            // A server that listens on all addresses cannot tell which are its
            // own. A page cannot have another's address for its name.
            Ok(address) => {
                address.is_loopback()
                    || self.listen.parse().is_ok_and(|own: IpAddr| own == address || own.is_unspecified())
                    || self.listed.contains(&host)
            }
            Err(_) => host == "localhost" || host == self.listen || self.listed.contains(&host),
        }
    }

    /// Whether pages of `origin` may call the server that was asked for as `asked`.
    fn trusts(&self, origin: &str, asked: &Authority) -> bool {
        let Some((scheme, rest)) = origin.split_once("://") else { return false };
        let default = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let Some(origin) = authority(rest) else { return false };
        let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
        let is_same = normal(origin.host()) == normal(asked.host()) && port(&origin) == port(asked);
        is_same || self.listed.contains(&normal(origin.host()))
    }
}

/// A host with or without a port, and nothing else.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let rest = text.strip_prefix(host)?;
    let port = rest.strip_prefix(':');
    let is_port = |port: &str| !port.is_empty() && port.parse::<u16>().is_ok();
    (!host.is_empty() && (rest.is_empty() || port.is_some_and(is_port))).then_some(authority)
}

/// A host as it is compared: in lower case, without brackets and a final dot.
fn normal(host: &str) -> String {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(hosts: &[&str], origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, values) in [(HOST, hosts), (ORIGIN, origins)] {
            for value in values {
                headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        headers
    }

    fn check(listen: &str, hosts: &[&str], origins: &[&str]) -> Result<(), Foreign> {
        let hosts_of = Hosts::only(listen, &["Ops.example.com".into(), "10.9.9.9".into()]);
        hosts_of.check(&Uri::from_static("/livez"), &headers(hosts, origins))
    }

    #[test]
    fn own_names_are_answered_and_no_others() {
        for host in [
            "localhost",
            "localhost:8089",
            "LOCALHOST.:8089",
            "127.0.0.1:8089",
            "127.1.2.3",
            "[::1]:8089",
            "[::ffff:127.0.0.1]",
            "10.0.0.5:8089",
            "ops.example.com",
            "OPS.example.com.:443",
            "10.9.9.9:8089",
        ] {
            assert_eq!(check("10.0.0.5", &[host], &[]), Ok(()), "{host}");
        }
        for host in [
            "",
            ":8089",
            "evil.example.com",
            "evil.example.com:8089",
            "ops.example.com.evil.com",
            "xops.example.com",
            "localhost.evil.com",
            "127.0.0.1.evil.com",
            "evil@localhost",
            "localhost@evil.com",
            "localhost:",
            "localhost:8089:8089",
            "localhost:99999",
            "localhost/",
            "localhost evil",
            "10.0.0.6:8089",
            "0.0.0.0:8089",
            "127.1",
            "2130706433",
            "[::2]:8089",
            "::1",
            "ö.example.com",
        ] {
            assert_eq!(check("10.0.0.5", &[host], &[]), Err(Foreign::Host), "{host}");
        }
        assert_eq!(check("10.0.0.5", &[], &[]), Err(Foreign::Host), "a request without a host");
        assert_eq!(check("10.0.0.5", &["localhost", "evil.com"], &[]), Err(Foreign::Host), "two hosts");
        assert_eq!(check("10.0.0.5", &["localhost", "localhost"], &[]), Err(Foreign::Host), "two hosts");
        // All addresses are its own, names are not.
        assert_eq!(check("0.0.0.0", &["192.168.1.7:8089"], &[]), Ok(()));
        assert_eq!(check("::", &["[fd00::7]:8089"], &[]), Ok(()));
        assert_eq!(check("0.0.0.0", &["evil.com"], &[]), Err(Foreign::Host));
        assert_eq!(check("ops", &["ops:8089"], &[]), Ok(()), "the name that it listens on");
    }

    #[test]
    fn pages_of_other_origins_may_not_call() {
        let origin = |origin: &str| check("127.0.0.1", &["localhost:8089"], &[origin]);
        for own in [
            "http://localhost:8089",
            "https://localhost:8089",
            "http://LOCALHOST:8089",
            "https://ops.example.com",
        ] {
            assert_eq!(origin(own), Ok(()), "{own}");
        }
        for foreign in [
            "null",
            "",
            "localhost:8089",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:8089",
            "http://evil.com",
            "http://evil.com:8089",
            "http://localhost:8089@evil.com",
            "http://localhost:8089.evil.com",
            "file://localhost:8089",
            "chrome-extension://localhost:8089",
            "http://localhost:8089/x",
        ] {
            assert_eq!(origin(foreign), Err(Foreign::Origin), "{foreign}");
        }
        let two =
            check("127.0.0.1", &["localhost:8089"], &["http://localhost:8089", "http://localhost:8089"]);
        assert_eq!(two, Err(Foreign::Origin));
        // A default port counts as given.
        assert_eq!(check("127.0.0.1", &["localhost"], &["http://localhost:80"]), Ok(()));
        assert_eq!(check("127.0.0.1", &["localhost:443"], &["https://localhost"]), Ok(()));
    }

    #[test]
    fn target_of_the_request_counts_too() {
        let hosts = Hosts::only("127.0.0.1", &[]);
        let check = |uri: &'static str, of: &[&str]| hosts.check(&Uri::from_static(uri), &headers(of, &[]));
        assert_eq!(check("http://localhost:8089/x", &[]), Ok(()));
        assert_eq!(check("http://localhost:8089/x", &["localhost:8089"]), Ok(()));
        assert_eq!(check("http://evil.com/x", &["localhost"]), Err(Foreign::Host));
        assert_eq!(check("http://localhost/x", &["evil.com"]), Err(Foreign::Host));
        assert_eq!(check("http://evil.com/x", &[]), Err(Foreign::Host));
        let any = Hosts::Any.check(&Uri::from_static("/x"), &headers(&["evil.com"], &["http://evil.com"]));
        assert_eq!(any, Ok(()));
    }
}
