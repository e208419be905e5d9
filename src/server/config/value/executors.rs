//! The executors of one kind of nodes: a URL, or a list of members that do the same
//! work.
//!
//! ```text
//!   http://a:8082                                 one, without a name
//!   http://a:8082, http://b:8082                  members, known by their addresses
//!   left=http://a:8082, right=http://b:8082       members with names
//! ```

use std::collections::BTreeSet;

use super::{HttpUrl, masked_url};

/// Maximum number of members.
const MEMBERS: usize = 64;
/// Maximum length of a name.
const NAME: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorUrls {
    /// One, without a name.
    Single(HttpUrl),
    /// Members that are known by their addresses.
    Addresses(Vec<MemberUrl>),
    /// Members with names.
    Named(Vec<MemberUrl>),
}

/// A member, and by what it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberUrl {
    pub id: String,
    pub url: HttpUrl,
}

impl ExecutorUrls {
    /// Parses the URLs; the error names the item, without its password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let items = items(text).iter().map(|item| parsed(item)).collect::<Result<Vec<_>, _>>()?;
        if items.len() > MEMBERS {
            return Err(format!("it has more than {MEMBERS} members"));
        }
        if let [(None, url)] = &*items {
            return Ok(Self::Single(url.clone()));
        }
        let named = items.iter().filter(|(name, _)| name.is_some()).count();
        if named != 0 && named != items.len() {
            return Err("either all members have names, or none has".into());
        }
        let (mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        let mut members = Vec::new();
        for (name, url) in items {
            let address = url.address();
            let id = name.unwrap_or_else(|| address.clone());
            if !addresses.insert(address) || !ids.insert(id.clone()) {
                return Err(format!("{id} is there twice"));
            }
            members.push(MemberUrl { id, url });
        }
        match members.len() {
            0 => Err("it is empty".into()),
            _ if named == 0 => Ok(Self::Addresses(members)),
            _ => Ok(Self::Named(members)),
        }
    }

    /// The list for people: base URLs as they are used, without passwords.
    pub fn shown(text: &str) -> String {
        let shown = |item: &String| match parsed(item) {
            Ok((Some(name), url)) => format!("{name}={}", masked_url(url.as_str())),
            Ok((None, url)) => masked_url(url.as_str()),
            Err(_) => masked_item(item),
        };
        items(text).iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

/// The items of the list. A comma that does not begin another URL belongs to the
/// URL before it.
fn items(text: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for piece in text.split(',') {
        match items.last_mut() {
            Some(last) if !piece.trim().is_empty() && !piece.contains("://") => {
                last.push(',');
                last.push_str(piece);
            }
            Some(_) if piece.trim().is_empty() => {}
            Some(_) | None => items.push(piece.to_owned()),
        }
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

fn parsed(item: &str) -> Result<(Option<String>, HttpUrl), String> {
    let (name, url) = match item.split_once('=') {
        Some((name, url)) if is_name(name.trim()) => (Some(name.trim().to_owned()), url),
        Some(_) | None => (None, item),
    };
    // A host with a comma is a list that lacks an `http://`.
    let has_comma = |url: &HttpUrl| url.address().split('/').next().is_some_and(|host| host.contains(','));
    match HttpUrl::base(url) {
        Some(url) if !has_comma(&url) => Ok((name, url)),
        Some(_) | None => Err(format!("'{}' is none", masked_item(item))),
    }
}

fn masked_item(item: &str) -> String {
    match item.split_once('=') {
        Some((name, url)) if is_name(name.trim()) => format!("{}={}", name.trim(), masked_url(url.trim())),
        Some(_) | None => masked_url(item),
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=NAME).contains(&text.len()) && text.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(urls: &ExecutorUrls) -> Vec<(&str, &str)> {
        match urls {
            ExecutorUrls::Single(url) => vec![("", url.as_str())],
            ExecutorUrls::Addresses(members) | ExecutorUrls::Named(members) => {
                members.iter().map(|member| (&*member.id, member.url.as_str())).collect()
            }
        }
    }

    #[test]
    fn executor_urls_are_one_or_a_list() {
        for (text, expected) in [
            (" http://a:1/v1/ ", &[("", "http://a:1")][..]),
            ("http://a/x,y", &[("", "http://a/x,y")]),
            ("http://me:p,w@a", &[("", "http://me:p,w@a")]),
            ("http://a/,", &[("", "http://a")]),
            ("http://a,https://b/v1", &[("a:80", "http://a"), ("b:443", "https://b")]),
            (
                "http://me:pw@a:1/x/v1 , http://a:1/y",
                &[("a:1/x", "http://me:pw@a:1/x"), ("a:1/y", "http://a:1/y")],
            ),
            ("http://[::1]:1,http://A:2", &[("[::1]:1", "http://[::1]:1"), ("a:2", "http://A:2")]),
            ("main=http://a", &[("main", "http://a")]),
            ("x-1=http://a, y_2.z = http://b", &[("x-1", "http://a"), ("y_2.z", "http://b")]),
        ] {
            let urls = ExecutorUrls::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(ids(&urls), expected, "{text}");
        }
        assert!(matches!(ExecutorUrls::parse("main=http://a"), Ok(ExecutorUrls::Named(_))));
        assert!(matches!(ExecutorUrls::parse("http://a,http://b"), Ok(ExecutorUrls::Addresses(_))));
    }

    #[test]
    fn senseless_executor_urls_are_refused_with_the_item() {
        let many: String = (0..65).map(|number| format!("http://a:{},", number + 1)).collect();
        for (text, why) in [
            (",", "it is empty"),
            ("a:1", "'a:1' is none"),
            ("http://a:1,b:2", "'http://a:1,b:2' is none"),
            ("http://a,b", "'http://a,b' is none"),
            ("http://a,ws://me:hush@b", "'ws://***@b' is none"),
            ("x=http://a,y=ws://me:hush@b", "'y=ws://***@b' is none"),
            ("http://a?x=1,http://b", "'http://a?***' is none"),
            ("x=http://a,http://b", "either all members have names, or none has"),
            ("http://a,http://me:hush@a:80/", "a:80 is there twice"),
            ("http://a:1,https://a:1", "a:1 is there twice"),
            ("x=http://a,x=http://b", "x is there twice"),
            ("x=http://a,y=http://a/", "y is there twice"),
            (&many, "it has more than 64 members"),
        ] {
            assert_eq!(ExecutorUrls::parse(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn shown_executor_urls_have_no_passwords() {
        for (text, shown) in [
            ("http://a:1/v1/", "http://a:1"),
            ("x=http://me:hush@a/v1, y=https://b", "x=http://***@a,y=https://b"),
            ("http://a,ws://me:hush@b", "http://a,ws://***@b"),
        ] {
            assert_eq!(ExecutorUrls::shown(text), shown);
        }
    }
}
