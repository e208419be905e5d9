//! The bearer token of a request.

use reqwest::header::{AUTHORIZATION, HeaderValue};

const SCHEME: &str = "Bearer ";

/// Makes a request bear this token.
pub(super) fn set(request: &mut reqwest::Request, token: &str) -> Result<(), String> {
    let mut value = HeaderValue::try_from(format!("{SCHEME}{token}"))
        .map_err(|_| "the token has characters that no header may have".to_owned())?;
    value.set_sensitive(true);
    request.headers_mut().insert(AUTHORIZATION, value);
    Ok(())
}

/// The token that a request bears; empty without one.
#[cfg(feature = "server")]
pub(super) fn token_of(request: &reqwest::Request) -> &str {
    let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix(SCHEME)).unwrap_or_default()
}
