//! Where webhooks may go: what lists of targets mean, and whatever is in them.

use proptest::prelude::*;

use super::*;

fn targets(list: &str) -> WebhookTargets {
    WebhookTargets::parse(list).unwrap_or_else(|why| panic!("{list}: {why}"))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn url_must_be_in_the_list_of_targets() {
    let list = "hooks.example.com, *.Acme.test:8443,http://plain.example.com,10.1.0.0/16, \
                http://127.0.0.1:9000, [2001:db8::1]:443,xn--bcher-kva.example";
    let list = targets(list);
    for url in [
        "https://hooks.example.com",
        "https://HOOKS.example.com:443/a?b=c",
        "https://hooks.example.com./a",
        "https://a.acme.test:8443/",
        "https://a.b.acme.test:8443/",
        "http://plain.example.com/",
        "https://plain.example.com/",
        "https://10.1.2.3:1234/",
        "http://127.0.0.1:9000/x",
        "https://127.0.0.1:9000/x",
        "https://2130706433:9000/x",
        "https://[2001:db8::1]/",
        "https://[::ffff:10.1.2.3]/",
        "https://bücher.example/",
    ] {
        assert!(list.admits(url).is_ok(), "{url}: {:?}", list.admits(url));
    }
    for (url, why) in [
        ("", NoTarget::NotAUrl),
        ("hooks.example.com", NoTarget::NotAUrl),
        ("ftp://hooks.example.com", NoTarget::NotAUrl),
        ("file:///etc/passwd", NoTarget::NotAUrl),
        ("https://", NoTarget::NotAUrl),
        ("http://hooks.example.com", NoTarget::NotHttps),
        ("https://hooks.example.com:8443", NoTarget::NotListed),
        ("https://evil-hooks.example.com", NoTarget::NotListed),
        ("https://hooks.example.com.evil.test", NoTarget::NotListed),
        ("https://hooks.example.com@evil.test/", NoTarget::Credentials),
        ("https://user:pw@hooks.example.com/", NoTarget::Credentials),
        ("https://evil.test\\@hooks.example.com/", NoTarget::NotListed),
        ("https://evil.test#@hooks.example.com/", NoTarget::Fragment),
        ("https://acme.test:8443/", NoTarget::NotListed),
        ("https://evilacme.test:8443/", NoTarget::NotListed),
        ("http://a.acme.test:8443/", NoTarget::NotHttps),
        ("http://10.1.2.3/", NoTarget::NotHttps),
        ("https://10.2.0.1/", NoTarget::NotListed),
        ("http://127.0.0.1:9001/", NoTarget::NotListed),
        ("https://localhost:9000/", NoTarget::NotListed),
        ("https://[::1]:9000/", NoTarget::NotListed),
    ] {
        assert_eq!(list.admits(url), Err(why), "{url}");
    }
    let long = format!("https://hooks.example.com/{}", "x".repeat(TARGET_BYTES));
    assert_eq!(list.admits(&long), Err(NoTarget::TooLong));
    assert_eq!(WebhookTargets::default().admits("https://a.test"), Err(NoTarget::NotListed));
}

#[test]
fn malformed_entry_of_targets_is_refused() {
    for bad in [
        "ftp://a.test",
        "a.test:x",
        "a.test:65536",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "a/8",
        "*",
        "a.*.test",
        "a b",
    ] {
        assert!(WebhookTargets::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(WebhookTargets::parse(" , "), Ok(WebhookTargets::default()));
}

#[test]
fn only_public_addresses_are_permitted_by_default() {
    let list = targets("hooks.example.com");
    for public in ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
    {
        assert!(list.permits(address(public)), "{public}");
    }
    for special in [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2001::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
    ] {
        assert!(!list.permits(address(special)), "{special}");
    }
}

#[test]
fn listed_ranges_and_addresses_are_permitted() {
    let list = targets("10.0.0.0/8,http://127.0.0.1:9000,fd00::/8");
    for (tried, permitted) in [
        ("10.255.0.1", true),
        ("11.0.0.1", true),
        ("192.168.0.1", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
        ("::ffff:127.0.0.1", true),
        ("fd12::1", true),
        ("fe80::1", false),
    ] {
        assert_eq!(list.permits(address(tried)), permitted, "{tried}");
    }
    assert!(targets("0.0.0.0/0,::/0").permits(address("169.254.169.254")), "what is listed is permitted");
}

proptest! {
    /// No spelling of a URL leads to a host that is not in the list, whatever it
    /// contains: the URL that is admitted is the one that is called.
    #[test]
    fn admitted_target_has_a_listed_host(
        head in "[a-z0-9@:/\\\\#?%.\\[\\]-]{0,12}",
        tail in "[a-z0-9@:/\\\\#?%.\\[\\]-]{0,12}",
    ) {
        let list = targets("hooks.example.com");
        for text in [format!("https://{head}hooks.example.com{tail}"), format!("https://{head}{tail}")] {
            if let Ok(url) = list.admits(&text) {
                prop_assert_eq!(url.host_str().map(|host| host.trim_end_matches('.')), Some("hooks.example.com"));
                prop_assert_eq!((url.scheme(), url.port_or_known_default()), ("https", Some(443)));
                prop_assert_eq!((url.username(), url.password()), ("", None));
            }
        }
    }

    #[test]
    fn private_addresses_are_not_public_in_any_form(a: u8, b: u8, c: u8, d: u8) {
        let plain = Ipv4Addr::new(a, b, c, d);
        let is_known = plain.is_private() || plain.is_loopback() || plain.is_link_local()
            || plain.is_multicast() || plain.is_broadcast() || plain.is_documentation() || a == 0;
        for address in [IpAddr::V4(plain), IpAddr::V6(plain.to_ipv6_mapped())] {
            prop_assert!(!(is_known && is_public(address)), "{}", address);
        }
    }

    #[test]
    fn nothing_panics_on_any_list_of_targets(list in ".{0,40}", url in ".{0,40}") {
        if let Ok(list) = WebhookTargets::parse(&list) {
            let _any = list.admits(&url);
        }
    }
}
