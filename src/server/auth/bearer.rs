//! The `Authorization` header.

use http::{HeaderMap, header::AUTHORIZATION};

use super::refusal::Refusal;

/// The bearer token of a request; `None` if the header is absent or empty.
pub(super) fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // A proxy before us may have checked the other one.
        return Err(Refusal::MalformedHeader);
    }
    let text = value.to_str().map_err(|_| Refusal::MalformedHeader)?;
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (None, _, _) => Ok(None),
        (Some(scheme), Some(token), None) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token)),
        (Some(_), _, _) => Err(Refusal::MalformedHeader),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn bearer_header_is_a_scheme_and_a_token() {
        let malformed = Err(Refusal::MalformedHeader);
        for (header, expected) in [
            ("", Ok(None)),
            ("  ", Ok(None)),
            ("Bearer abc", Ok(Some("abc"))),
            ("bEARER \t abc ", Ok(Some("abc"))),
            ("Bearer", malformed),
            ("abc", malformed),
            ("Basic abc", malformed),
            ("Bearer a b", malformed),
            ("Bearer,abc", malformed),
            ("Bearer ä", malformed),
        ] {
            let value = HeaderValue::from_bytes(header.as_bytes()).expect("a header");
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
            assert_eq!(bearer_token(&headers), expected, "{header:?}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), Ok(None));

        let mut twice = HeaderMap::new();
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(bearer_token(&twice), malformed);
    }
}
