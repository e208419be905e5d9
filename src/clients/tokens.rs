//! Tokens for calling other services (contract §20): OAuth 2 client credentials,
//! one token per audience; and tokens that act for a caller, exchanged for the
//! caller's own (RFC 8693), one per audience and caller.
//!
//! ```text
//!             fetched              at 80 % of its life             expired
//!   (none) ─────────▶ fresh ──────────────────────────▶ stale ─────────────▶ (none)
//!      ▲               │ ▲         refreshed in the        │ │
//!      │               │ └──────── background ─────────────┘ │
//!      └───────────────┴─────── the service answers 401 ─────┘
//! ```
//!
//! [`Refreshed`] ensures that at most one request per audience is under way, and
//! that all waiting callers share its outcome. A caller waits only while no valid
//! token is at hand.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use slog::{Logger, debug, info};

use super::{SubjectToken, bearer, bounded, causes::with_causes};
use crate::{
    resilience::{Fetched, Pauses, RefreshOptions, Refreshed, ServiceWatch, Source},
    runtime::tasks::TaskSet,
    time::Clock,
    types::JSON_LEVELS_MAX,
};

/// The token endpoint and the client that asks it.
#[derive(Clone)]
pub struct TokenSourceOptions {
    pub endpoint: String,
    pub client_id: String,
    /// Read for each request: it may be in a file that is replaced.
    pub client_secret: ClientSecret,
    pub scope: Option<String>,
    /// The field of the request that names the audience.
    pub audience_field: &'static str,
    /// How long a request for a token may take.
    pub timeout: Duration,
    /// Notes whether it answers.
    pub watch: Arc<ServiceWatch>,
    /// Hears of each request whether it brought a token.
    pub asked: Arc<dyn Fn(bool) + Send + Sync>,
}

/// Reads the client secret, or says why there is none. May block for a moment.
pub type ClientSecret = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Gives out tokens, one per audience.
pub struct TokenSource {
    endpoint: Arc<Endpoint>,
    tasks: TaskSet,
    audiences: Mutex<HashMap<Arc<str>, AudienceToken>>,
    /// By audience and caller's token.
    exchanged: Cache<[u8; 32], AudienceToken>,
}

/// The token for one audience. Clones share it.
#[derive(Clone)]
pub(super) struct AudienceToken(Arc<Refreshed<Arc<str>>>);

/// The token endpoint, asked for one audience.
struct Audience {
    endpoint: Arc<Endpoint>,
    name: Arc<str>,
    /// The caller whose token is exchanged. `None`: the coordinator's own token.
    subject: Option<SubjectToken>,
}

/// Why there is no token.
struct NoToken {
    /// For records, which others read.
    error: String,
    /// For the log. May be empty.
    cause: String,
}

struct Endpoint {
    options: TokenSourceOptions,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    log: Logger,
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The number of exchanged tokens in memory: a few kilobytes each.
const EXCHANGED: usize = 10_000;
/// If the token endpoint does not say how long a token lives.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A longer life is not believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Real answers have a few kilobytes.
const ANSWER_BYTES: usize = 1 << 20;
const PAUSES: Pauses = Pauses {
    // Without a token the call fails: each call tries.
    empty: Duration::ZERO,
    stale: Duration::from_secs(5),
    // A service that refuses every token must not cost a token request a call.
    unfit: Duration::from_secs(5),
};

impl TokenSource {
    pub fn new(
        options: TokenSourceOptions,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: TaskSet,
        log: Logger,
    ) -> Arc<Self> {
        let endpoint = Arc::new(Endpoint { options, http, clock, log });
        let exchanged = Cache::new(EXCHANGED);
        Arc::new(Self { endpoint, tasks, audiences: Mutex::default(), exchanged })
    }

    /// The token for `audience`, shared by all of its peers.
    pub(super) fn audience(&self, audience: &str) -> AudienceToken {
        let name: Arc<str> = audience.into();
        let mut audiences = self.audiences.lock();
        audiences.entry(Arc::clone(&name)).or_insert_with(|| self.token(name, None)).clone()
    }

    /// The token for `audience` that acts for a caller.
    pub(super) fn exchanged(&self, audience: &Arc<str>, subject: &SubjectToken) -> AudienceToken {
        let mut hash = Sha256::new();
        hash.update((audience.len() as u64).to_le_bytes());
        hash.update(audience.as_bytes());
        hash.update(subject.expose().as_bytes());
        let key: [u8; 32] = hash.finalize().into();
        let made: Result<_, std::convert::Infallible> = self
            .exchanged
            .get_or_insert_with(&key, || Ok(self.token(Arc::clone(audience), Some(subject.clone()))));
        made.unwrap_or_else(|never| match never {})
    }

    /// Asks for a token for `audience`, whatever is at hand. The reason of a failure has
    /// its cause, and is for people who look after this server.
    pub async fn ask(&self, audience: &str) -> Result<Arc<str>, String> {
        let fetched = self.endpoint.ask(audience, None).await;
        fetched.map(|fetched| fetched.value).map_err(|NoToken { error, cause }| match cause.as_str() {
            "" => error,
            cause => format!("{error}: {cause}"),
        })
    }

    fn token(&self, name: Arc<str>, subject: Option<SubjectToken>) -> AudienceToken {
        let endpoint = Arc::clone(&self.endpoint);
        // A little more, so that the error names the request that took too long.
        let limit = endpoint.options.timeout + Duration::from_secs(1);
        let clock = Arc::clone(&endpoint.clock);
        let options = RefreshOptions { task: "token_fetch", limit, pauses: PAUSES };
        AudienceToken(Refreshed::new(
            options,
            Audience { endpoint, name, subject },
            clock,
            self.tasks.clone(),
        ))
    }
}

impl AudienceToken {
    /// The token, or why there is none. A token that had to be fetched may be
    /// about to expire; it is still the best there is.
    pub(super) async fn get(&self) -> Result<Arc<str>, String> {
        let found = self.0.find(|token| Some(Arc::clone(token))).await?;
        found.ok_or_else(|| "the token endpoint gives no other token".to_owned())
    }

    /// Sends a request that bears this token. If the service answers 401, sends
    /// it once more with another token: a service that answers 401 has not
    /// started anything.
    pub(super) async fn execute<S>(
        &self,
        request: reqwest::Request,
        send: impl Fn(reqwest::Request) -> S,
    ) -> reqwest::Result<reqwest::Response>
    where
        S: Future<Output = reqwest::Result<reqwest::Response>>,
    {
        // None for a body that can be read only once.
        let again = request.try_clone();
        let answer = send(request).await?;
        if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let Some(mut again) = again else { return Ok(answer) };
        let Some(other) = self.instead_of(bearer::token_of(&again)).await else { return Ok(answer) };
        match bearer::set(&mut again, &other) {
            Ok(()) => send(again).await,
            Err(_) => Ok(answer),
        }
    }

    /// Another token than `refused`, if there is one: the STS may have replaced
    /// its keys, or revoked the token.
    async fn instead_of(&self, refused: &str) -> Option<Arc<str>> {
        if !self.0.discard(|token| **token == *refused) {
            return None;
        }
        self.get().await.ok().filter(|other| **other != *refused)
    }
}

#[async_trait]
impl Source<Arc<str>> for Audience {
    // Goes on while the server stops: work that is finished then needs tokens.
    async fn fetch(&self, _: Option<Arc<str>>) -> Result<Fetched<Arc<str>>, String> {
        let fetched = self.endpoint.ask(&self.name, self.subject.as_ref()).await;
        (self.endpoint.options.asked)(fetched.is_ok());
        fetched.map_err(|failed| failed.error)
    }
}

impl Endpoint {
    async fn ask(
        &self,
        audience: &str,
        subject: Option<&SubjectToken>,
    ) -> Result<Fetched<Arc<str>>, NoToken> {
        let TokenSourceOptions {
            endpoint,
            client_id,
            client_secret,
            scope,
            audience_field,
            timeout,
            watch,
            asked: _,
        } = &self.options;
        let failed = |error: &str, cause: &str| {
            debug!(self.log, "could not fetch a token"; "audience" => audience, "error" => error, "cause" => cause);
            let colon = if cause.is_empty() { "" } else { ": " };
            let about = format_args!("{error}{colon}{cause} (for {audience})").to_string();
            watch.failed(&about, self.clock.now());
            NoToken { error: error.to_owned(), cause: cause.to_owned() }
        };
        let read = Arc::clone(client_secret);
        let secret = tokio::task::spawn_blocking(move || read()).await;
        let secret = secret.unwrap_or_else(|error| Err(error.to_string()));
        let secret = secret.map_err(|cause| failed("the client secret cannot be read", &cause))?;
        let mut form = vec![
            ("grant_type", if subject.is_some() { EXCHANGE } else { "client_credentials" }),
            ("client_id", client_id),
            ("client_secret", &secret),
            (audience_field, audience),
        ];
        if let Some(scope) = scope {
            form.push(("scope", scope));
        }
        if let Some(subject) = subject {
            // The actor is the client that asks.
            form.push(("subject_token", subject.expose()));
            form.push(("subject_token_type", ACCESS_TOKEN));
            form.push(("requested_token_type", ACCESS_TOKEN));
        }
        let asked_at = self.clock.now();
        let request = self
            .http
            .post(endpoint)
            .header(reqwest::header::ACCEPT, "application/json")
            .timeout(*timeout)
            .form(&form);
        let answer = request.send().await.map_err(|error| {
            let message = if error.is_timeout() {
                "the token endpoint did not answer in time"
            } else {
                "the token endpoint cannot be reached"
            };
            failed(message, &with_causes(&error.without_url()))
        })?;
        let answer = bounded::json(answer, ANSWER_BYTES, JSON_LEVELS_MAX);
        let status = answer.status();
        if !status.is_success() {
            let refusal = answer.json::<Map<String, Value>>().await.unwrap_or_default();
            let says = |member: &str| refusal.get(member).and_then(Value::as_str).unwrap_or_default();
            let colon = if says("error").is_empty() { "" } else { ": " };
            let error = format!("the token endpoint answered {}{colon}{}", status.as_u16(), says("error"));
            // A caller's token that is not exchanged says nothing about the service.
            if subject.is_some() && status.is_client_error() {
                info!(self.log, "the token service does not exchange a caller's token";
                    "audience" => audience, "error" => &error, "cause" => says("error_description"));
                watch.answered(self.clock.now());
                return Err(NoToken { error, cause: says("error_description").to_owned() });
            }
            return Err(failed(&error, says("error_description")));
        }
        let grant =
            answer.bytes().await.map_err(|error| failed(UNREADABLE, &with_causes(&error.without_url())))?;
        // The parser's error would quote the text, which may be a token.
        let grant: Map<String, Value> =
            serde_json::from_slice(&grant).map_err(|_| failed(UNREADABLE, "not a JSON object"))?;
        let token = grant.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let Some(token) = token else {
            return Err(failed("the token endpoint answered without a token", ""));
        };
        let life = grant
            .get("expires_in")
            .and_then(seconds)
            .map_or(DEFAULT_LIFE, |seconds| Duration::from_secs(seconds).min(LONGEST_LIFE));
        watch.answered(self.clock.now());
        let (stale_at, expires_at) = (asked_at + life * 4 / 5, Some(asked_at + life));
        Ok(Fetched { value: token.into(), stale_at, expires_at })
    }
}

const UNREADABLE: &str = "the token endpoint's answer cannot be read";

impl fmt::Debug for AudienceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AudienceToken").finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the endpoint: its URL may have a password.
        let client_id = &self.endpoint.options.client_id;
        f.debug_struct("TokenSource").field("client_id", client_id).finish_non_exhaustive()
    }
}

/// A number, or digits in a string; anything else counts as absent. Numbers
/// out of range become zero or the largest.
fn seconds(value: &Value) -> Option<u64> {
    let seconds = match value.as_str() {
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<f64>().ok()?,
        Some(_) => return None,
        None => value.as_f64()?,
    };
    // The cast saturates.
    Some(seconds as u64)
}

#[cfg(test)]
mod tests;
