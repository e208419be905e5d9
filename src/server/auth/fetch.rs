//! One fetch of signing keys from the STS: OIDC discovery if needed, then the
//! JWKS.

use std::time::Duration;

use http::header::ACCEPT;
use serde::Deserialize;
use url::Url;

use super::keys::KeySet;
use crate::{clients::with_causes, config::KeySource};

/// For each of the two requests, headers and body together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// For a whole fetch. A little more than two requests may take, so that the
/// error names the request that took too long.
pub(super) const FETCH_LIMIT: Duration = Duration::from_secs(11);

/// Real documents have a few kilobytes.
const LIMIT_BYTES: usize = 1024 * 1024;

pub(super) struct FoundKeys {
    pub(super) keys: KeySet,
    /// Where they were found: the next fetch needs no discovery.
    pub(super) jwks_uri: Url,
}

/// Fetches the keys once. `known` is where they were found last time.
pub(super) async fn fetch_keys(
    http: &reqwest::Client,
    source: &KeySource,
    known: Option<Url>,
) -> Result<FoundKeys, String> {
    let jwks_uri = match (source, known) {
        (KeySource::Jwks(uri), _) => uri.clone(),
        (KeySource::Discovery(_), Some(uri)) => uri,
        (KeySource::Discovery(url), None) => discover(http, url).await?,
    };
    let document = get(http, &jwks_uri).await?;
    let keys = KeySet::parse(&document).map_err(|error| format!("{}: {error}", shown(&jwks_uri)))?;
    Ok(FoundKeys { keys, jwks_uri })
}

/// Fetches the keys once, and returns how many there are.
pub async fn count_keys(http: &reqwest::Client, source: &KeySource) -> Result<usize, String> {
    fetch_keys(http, source, None).await.map(|found| found.keys.len())
}

async fn discover(http: &reqwest::Client, url: &Url) -> Result<Url, String> {
    #[derive(Deserialize)]
    struct Document {
        jwks_uri: Option<String>,
    }
    let document = get(http, url).await?;
    let url = shown(url);
    let document: Document = serde_json::from_slice(&document)
        .map_err(|error| format!("{url}: not an OIDC discovery document: {error}"))?;
    let uri = document
        .jwks_uri
        .filter(|uri| !uri.is_empty())
        .ok_or_else(|| format!("OIDC discovery document missing jwks_uri: {url}"))?;
    Url::parse(&uri).map_err(|error| format!("{url}: its jwks_uri is no URL: {error}"))
}

/// A URL as it may appear in logs: without user, password and query.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both can fail only for URLs without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.into()
}

async fn get(http: &reqwest::Client, url: &Url) -> Result<Vec<u8>, String> {
    let address = shown(url);
    let failed = |error: reqwest::Error| format!("{address}: {}", with_causes(&error.without_url()));
    let request = http.get(url.clone()).header(ACCEPT, "application/json").timeout(TIMEOUT);
    let mut response = request.send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!("{address}: status {}", response.status().as_u16()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > LIMIT_BYTES {
            return Err(format!("{address}: more than {LIMIT_BYTES} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
