//! The targets that webhooks may have: an allow-list, so that a caller cannot make
//! this server send requests to where only this server can reach (contract §26).
//!
//! ```text
//!   URL ──▶ scheme, host and port are in the list? ──▶ name ──▶ resolved at connect ──▶ address
//!                                                  └─▶ address ─────────────────────────▶ │
//!                               public, or in a range of the list? ◀──────────────────────┘
//! ```
//!
//! **Invariant:** an address that is not public is connected to only if the list has it
//! as an address or in a range, whatever name led to it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use url::{Host, Url};

/// The longest URL of a target.
pub const TARGET_BYTES: usize = 2_000;

/// The allow-list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookTargets(Vec<Entry>);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    /// Whether `http` is permitted besides `https`.
    plain: bool,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// A name, or any name below one (`*.name`). Without a port: the scheme's own.
    Name { name: String, below: bool, port: Option<u16> },
    /// An address, or a range of them. Without a port: any.
    Range { range: Range, port: Option<u16> },
}

/// A range of addresses (CIDR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: IpAddr,
    bits: u8,
}

/// Why a URL is no target. The message is for the caller who asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    #[error("not an https:// URL with a host")]
    NotAUrl,
    #[error("a URL has at most {TARGET_BYTES} bytes")]
    TooLong,
    #[error("a user or password in the URL is not accepted: deliveries are signed")]
    Credentials,
    #[error("a fragment in the URL is not accepted")]
    Fragment,
    #[error("https is required for this host")]
    NotHttps,
    #[error("the host is not in JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS")]
    NotListed,
}

impl WebhookTargets {
    /// Parses a list separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = super::items(text).map(Entry::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(entries))
    }

    /// Judges a URL. What its name resolves to is judged at each connection:
    /// [`Self::permits`].
    pub fn admits(&self, text: &str) -> Result<Url, NoTarget> {
        if text.len() > TARGET_BYTES {
            return Err(NoTarget::TooLong);
        }
        let url = Url::parse(text).map_err(|_| NoTarget::NotAUrl)?;
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(NoTarget::NotAUrl),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(NoTarget::Credentials);
        }
        if url.fragment().is_some() {
            return Err(NoTarget::Fragment);
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(NoTarget::NotAUrl);
        };
        let default = if plain { 80 } else { 443 };
        let listed = || self.0.iter().filter(|entry| entry.what.has(&host, port, default));
        if listed().any(|entry| entry.plain || !plain) {
            return Ok(url);
        }
        Err(if listed().next().is_some() { NoTarget::NotHttps } else { NoTarget::NotListed })
    }

    /// Whether a connection to this address may be made, for a URL that is admitted.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address)
            || self.0.iter().any(|entry| match &entry.what {
                What::Name { .. } => false,
                What::Range { range, .. } => range.contains(address),
            })
    }
}

impl fmt::Display for NoRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a range is an address, / and a number of bits, and the address has no bits behind them")
    }
}

/// The text is no range of addresses.
#[derive(Debug)]
struct NoRange;

impl Entry {
    fn parse(text: &str) -> Result<Self, String> {
        let (plain, rest) = match text.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err(format!("{text}: the scheme is neither https nor http")),
            None => (false, text),
        };
        let what = What::parse(rest).map_err(|why| format!("{text}: {why}"))?;
        Ok(Self { plain, what })
    }
}

impl What {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some((first, bits)) = text.split_once('/') {
            let range = Range::parse(first, bits).map_err(|error| error.to_string())?;
            return Ok(Self::Range { range, port: None });
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Range { range: Range::of(address), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            None => (text, None),
            Some((host, port)) => {
                let port =
                    port.parse::<u16>().map_err(|_| "not a host, or host:port, or a range".to_owned())?;
                (host, Some(port))
            }
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Range { range: Range::of(address), port });
        }
        let (below, name) = match host.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, host),
        };
        // As a URL would have it: in lower case, international names encoded.
        match Host::parse(name) {
            Ok(Host::Domain(name)) if !name.contains('*') && !name.is_empty() => {
                Ok(Self::Name { name: name.trim_end_matches('.').to_owned(), below, port })
            }
            Ok(_) | Err(_) => Err("not a host, or host:port, or a range".into()),
        }
    }

    fn has(&self, host: &Host<&str>, url_port: u16, default: u16) -> bool {
        match (self, host) {
            (Self::Name { name, below, port }, Host::Domain(host)) => {
                let host = host.strip_suffix('.').unwrap_or(host);
                let is_below = || host.strip_suffix(name.as_str()).is_some_and(|head| head.ends_with('.'));
                let is_named = if *below { is_below() } else { host == name };
                is_named && url_port == port.unwrap_or(default)
            }
            (Self::Range { range, port }, Host::Ipv4(address)) => {
                range.contains(IpAddr::V4(*address)) && port.is_none_or(|port| port == url_port)
            }
            (Self::Range { range, port }, Host::Ipv6(address)) => {
                range.contains(IpAddr::V6(*address).to_canonical())
                    && port.is_none_or(|port| port == url_port)
            }
            (Self::Name { .. }, Host::Ipv4(_) | Host::Ipv6(_)) | (Self::Range { .. }, Host::Domain(_)) => {
                false
            }
        }
    }
}

impl Range {
    fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { first: address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }

    fn parse(first: &str, bits: &str) -> Result<Self, NoRange> {
        let bare = first.strip_prefix('[').and_then(|first| first.strip_suffix(']')).unwrap_or(first);
        let first: IpAddr = bare.parse().map_err(|_| NoRange)?;
        let bits: u8 = bits.parse().map_err(|_| NoRange)?;
        let range = Self { first, bits };
        let is_whole = match first {
            IpAddr::V4(first) => bits <= 32 && u32::from(first) & !mask4(bits) == 0,
            IpAddr::V6(first) => bits <= 128 && u128::from(first) & !mask6(bits) == 0,
        };
        is_whole.then_some(range).ok_or(NoRange)
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                u32::from(address) & mask4(self.bits) == u32::from(first)
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                u128::from(address) & mask6(self.bits) == u128::from(first)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn mask4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0)
}

fn mask6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)
}

/// Whether an address is one of the public Internet: neither this machine, nor a
/// private network, nor one of the special purposes that IANA lists.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => !NOT_PUBLIC_4.iter().any(|(first, bits)| {
            let first = IpAddr::V4(Ipv4Addr::new(first[0], first[1], first[2], first[3]));
            Range { first, bits: *bits }.contains(IpAddr::V4(address))
        }),
        // Only 2000::/3 is assigned to hosts; in it, what leads elsewhere is left out.
        IpAddr::V6(address) => {
            let within = |first: [u16; 8], bits| {
                Range { first: IpAddr::V6(Ipv6Addr::from(first)), bits }.contains(IpAddr::V6(address))
            };
            within([0x2000, 0, 0, 0, 0, 0, 0, 0], 3)
                // Protocols (Teredo, ORCHID and others), documentation, 6to4, documentation.
                && !within([0x2001, 0, 0, 0, 0, 0, 0, 0], 23)
                && !within([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32)
                && !within([0x2002, 0, 0, 0, 0, 0, 0, 0], 16)
                && !within([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20)
        }
    }
}

const NOT_PUBLIC_4: [([u8; 4], u8); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, and what is reserved, with the broadcast address.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

#[cfg(test)]
mod tests;
