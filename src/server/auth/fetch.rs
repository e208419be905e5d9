//! Asking the STS for its keys: discovery if need be, then the JWKS.

use std::{error::Error, time::Duration};

use http::header::ACCEPT;
use serde::Deserialize;
use url::Url;

use super::keys::KeySet;
use crate::config::KeySource;

/// For each of the two requests, headers and body together.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Real documents have a few kilobytes.
const LIMIT_BYTES: usize = 1024 * 1024;

pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// Where they were, so that the next fetch need not discover it again.
    pub(super) jwks_uri: Url,
}

/// One attempt. `known` is where the keys were last time.
pub(super) async fn fetch_keys(
    http: &reqwest::Client,
    source: &KeySource,
    known: Option<Url>,
) -> Result<Fetched, String> {
    let jwks_uri = match (source, known) {
        (KeySource::Jwks(uri), _) => uri.clone(),
        (KeySource::Discovery(_), Some(uri)) => uri,
        (KeySource::Discovery(url), None) => discover(http, url).await?,
    };
    let document = get(http, &jwks_uri).await?;
    let keys = KeySet::parse(&document).map_err(|error| format!("{}: {error}", shown(&jwks_uri)))?;
    Ok(Fetched { keys, jwks_uri })
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

/// An address as logs may have it: without user, password and query.
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

/// reqwest's own message leaves out what matters: "connection refused".
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
