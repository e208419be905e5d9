//! Addresses to listen on.

use std::net::Ipv6Addr;

/// Parses a host and a port. An IPv6 address is in brackets, and returned without.
pub fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| is_port)?;
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|address| (address.to_string(), port));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!host.is_empty() && host.bytes().all(is_name)).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_split_into_host_and_port() {
        for (text, host, port) in [
            ("127.0.0.1:8089", "127.0.0.1", 8089),
            (" localhost:0 ", "localhost", 0),
            ("[::1]:8089", "::1", 8089),
            ("ops-1.example.com:65535", "ops-1.example.com", 65535),
        ] {
            assert_eq!(host_port(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in [
            "",
            ":8089",
            "8089",
            "localhost",
            "localhost:",
            "localhost:65536",
            "localhost:+1",
            "::1:8089",
            "[::1]",
            "[localhost]:1",
            "http://localhost:1",
            "a b:1",
        ] {
            assert_eq!(host_port(text), None, "{text}");
        }
    }
}
