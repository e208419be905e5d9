//! Tokens for calling other services (contract §20): client credentials, one
//! token an audience.
//!
//! ```text
//!             fetch                 at 80 % of its life            expired
//!   (none) ─────────▶ fresh ──────────────────────────▶ aging ─────────────▶ (none)
//!                       ▲      one caller fetches,        │
//!                       └──── the others use the old ─────┘
//! ```
//!
//! However many callers ask, one request for an audience is under way.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Deserializer};

use crate::time::{Clock, Timestamp};

/// Where tokens come from and who asks for them.
#[derive(Clone)]
pub struct TokenSourceOptions {
    pub endpoint: String,
    pub client_id: String,
    pub client_secret: String,
    pub scope: Option<String>,
    pub timeout: Duration,
}

/// Fetches and remembers tokens.
pub struct TokenSource {
    options: TokenSourceOptions,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    audiences: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
}

/// The token of one audience, and the right to fetch the next.
#[derive(Default)]
struct Slot {
    current: Mutex<Option<Token>>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Token {
    value: Arc<str>,
    aging_at: Timestamp,
    expires_at: Timestamp,
}

/// If the token endpoint does not say how long a token lives.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);

impl TokenSource {
    pub fn new(options: TokenSourceOptions, http: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self { options, http, clock, audiences: Mutex::default() }
    }

    /// A token for `audience` that is valid now.
    pub async fn token(&self, audience: &Arc<str>) -> Result<Arc<str>, String> {
        let slot = {
            let mut audiences = self.audiences.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(audiences.entry(Arc::clone(audience)).or_default())
        };
        let usable = match self.cached(&slot) {
            Some(token) if self.clock.now() < token.aging_at => return Ok(token.value),
            aging_or_none => aging_or_none,
        };
        let _turn = match usable {
            Some(old) => match slot.fetching.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(old.value),
            },
            None => slot.fetching.lock().await,
        };
        // Whoever had the turn before may have fetched it.
        if let Some(token) = self.cached(&slot).filter(|token| self.clock.now() < token.aging_at) {
            return Ok(token.value);
        }
        match (self.fetch(audience).await, self.cached(&slot)) {
            (Ok(token), _) => {
                let value = Arc::clone(&token.value);
                *slot.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
                Ok(value)
            }
            (Err(_), Some(old)) => Ok(old.value),
            (Err(reason), None) => Err(reason),
        }
    }

    /// The slot's token, unless it has expired.
    fn cached(&self, slot: &Slot) -> Option<Token> {
        let current = slot.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone().filter(|token| self.clock.now() < token.expires_at)
    }

    async fn fetch(&self, audience: &str) -> Result<Token, String> {
        let TokenSourceOptions { endpoint, client_id, client_secret, scope, timeout } = &self.options;
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", client_secret),
            ("audience", audience),
        ];
        if let Some(scope) = scope {
            form.push(("scope", scope));
        }
        let asked_at = self.clock.now();
        let request = self
            .http
            .post(endpoint)
            .header(reqwest::header::ACCEPT, "application/json")
            .timeout(*timeout)
            .form(&form);
        let answer = request.send().await.map_err(|error| {
            if error.is_timeout() {
                "the token endpoint did not answer in time"
            } else {
                "the token endpoint cannot be reached"
            }
            .to_owned()
        })?;
        let status = answer.status();
        if !status.is_success() {
            let refusal = answer.json::<Refusal>().await.ok();
            let why = refusal.map(|refusal| format!(": {}", refusal.error)).unwrap_or_default();
            return Err(format!("the token endpoint answered {}{why}", status.as_u16()));
        }
        let grant: Grant =
            answer.json().await.map_err(|_| "the token endpoint's answer cannot be read".to_owned())?;
        if grant.access_token.is_empty() {
            return Err("the token endpoint answered without a token".into());
        }
        let life = grant.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        Ok(Token {
            value: grant.access_token.into(),
            aging_at: asked_at + life * 4 / 5,
            expires_at: asked_at + life,
        })
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").field("endpoint", &self.options.endpoint).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Grant {
    access_token: String,
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A number, or digits in a string.
fn seconds<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(d)?;
    Ok(value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())))
}
