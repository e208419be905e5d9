//! Tokens for calling other services (contract §20): client credentials, one
//! token an audience.
//!
//! ```text
//!             fetch                 at 80 % of its life            expired
//!   (none) ─────────▶ fresh ──────────────────────────▶ aging ─────────────▶ (none)
//!      ▲               │ ▲        fetched in the           │ │
//!      │               │ └─────── background ──────────────┘ │
//!      └───────────────┴─────── refused by the callee ───────┘
//! ```
//!
//! However many callers ask, one request for an audience is under way, and what
//! comes of it, good or bad, is the answer for all who wait. A caller waits only
//! if there is no token that is valid now.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::header::AUTHORIZATION;
use serde_json::{Map, Value};
use slog::{Logger, warn};
use tokio::sync::watch;

use super::{BEARER, bear, bounded};
use crate::{
    runtime::tasks::TaskSet,
    time::{Clock, Timestamp},
    types::JSON_LEVELS_MAX,
};

/// Where tokens come from and who asks for them.
#[derive(Clone)]
pub struct TokenSourceOptions {
    pub endpoint: String,
    pub client_id: String,
    pub client_secret: String,
    pub scope: Option<String>,
    /// The field of the request that names the audience.
    pub audience_field: &'static str,
    pub timeout: Duration,
}

/// Fetches and remembers tokens.
pub struct TokenSource {
    options: TokenSourceOptions,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    tasks: TaskSet,
    log: Logger,
    audiences: Mutex<HashMap<Arc<str>, Slot>>,
}

/// What there is for one audience.
#[derive(Default)]
struct Slot {
    token: Option<Token>,
    /// The request that is under way.
    in_flight: Option<Landing>,
    /// When a request last failed, unless one has succeeded since.
    failed_at: Option<Timestamp>,
    /// When a token was last dropped because the callee refused it.
    refused_at: Option<Timestamp>,
}

struct Token {
    value: Arc<str>,
    aging_at: Timestamp,
    expires_at: Timestamp,
}

/// A token, or why there is none.
type Outcome = Result<Arc<str>, String>;
/// Says what a request brought, once it has landed.
type Landing = watch::Receiver<Option<Outcome>>;

/// If the token endpoint does not say how long a token lives.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A token is asked for anew at least so often, whatever the endpoint says.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Real answers have a few kilobytes.
const ANSWER_BYTES: usize = 1 << 20;
/// The pause after a failure, as long as the old token is valid.
const RETRY: Duration = Duration::from_secs(5);
/// The pause between tokens that are dropped because they were refused. A
/// service that refuses every token must not cost a token request a call.
const RENEW: Duration = Duration::from_secs(5);

impl TokenSource {
    pub fn new(
        options: TokenSourceOptions,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: TaskSet,
        log: Logger,
    ) -> Arc<Self> {
        Arc::new(Self { options, http, clock, tasks, log, audiences: Mutex::default() })
    }

    /// A token for `audience`. If it had to be fetched it may be one that is
    /// hardly valid for long; it is still the best there is.
    pub(super) async fn token(self: &Arc<Self>, audience: &Arc<str>) -> Outcome {
        let landing = {
            let mut audiences = self.audiences();
            let slot = audiences.entry(Arc::clone(audience)).or_default();
            let now = self.clock.now();
            match slot.token.as_ref().filter(|token| now < token.expires_at) {
                Some(token) => {
                    let (value, aging) = (Arc::clone(&token.value), token.aging_at <= now);
                    if aging && slot.landing().is_none() && is_over(slot.failed_at, RETRY, now) {
                        self.fetch(slot, audience);
                    }
                    return Ok(value);
                }
                None => slot.landing().unwrap_or_else(|| self.fetch(slot, audience)),
            }
        };
        landed(landing).await
    }

    /// Sends a request that bears a token for `audience`. If the callee does not
    /// take that, once more with another: who answers 401 has not begun anything.
    pub(super) async fn execute<S>(
        self: &Arc<Self>,
        audience: &Arc<str>,
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
        let Some(other) = self.instead_of(borne(&again), audience).await else { return Ok(answer) };
        match bear(&mut again, &other) {
            Ok(()) => send(again).await,
            Err(_) => Ok(answer),
        }
    }

    /// Another token than `refused`, which the callee would not take: keys may
    /// have been replaced, or it was revoked. `None`: there is no other.
    async fn instead_of(self: &Arc<Self>, refused: &str, audience: &Arc<str>) -> Option<Arc<str>> {
        {
            let mut audiences = self.audiences();
            let slot = audiences.entry(Arc::clone(audience)).or_default();
            if slot.token.as_ref().is_some_and(|token| &*token.value == refused) {
                let now = self.clock.now();
                if !is_over(slot.refused_at, RENEW, now) {
                    return None;
                }
                slot.refused_at = Some(now);
                slot.token = None;
            }
        }
        self.token(audience).await.ok().filter(|other| &**other != refused)
    }

    /// Starts a request in a task of its own, so that a caller who gives up does
    /// not take it away from the others who wait.
    fn fetch(self: &Arc<Self>, slot: &mut Slot, audience: &Arc<str>) -> Landing {
        let (sender, landing) = watch::channel(None);
        slot.in_flight = Some(landing.clone());
        let (source, audience) = (Arc::clone(self), Arc::clone(audience));
        // On through a stop: work that is still to be finished needs tokens.
        self.tasks.spawn("token_fetch", async move {
            let fetched = source.ask(&audience).await;
            sender.send_replace(Some(source.land(audience, fetched)));
        });
        landing
    }

    fn land(&self, audience: Arc<str>, fetched: Result<Token, String>) -> Outcome {
        let mut audiences = self.audiences();
        let slot = audiences.entry(audience).or_default();
        slot.in_flight = None;
        match fetched {
            Ok(token) => {
                let value = Arc::clone(&token.value);
                slot.token = Some(token);
                slot.failed_at = None;
                Ok(value)
            }
            Err(failure) => {
                slot.failed_at = Some(self.clock.now());
                Err(failure)
            }
        }
    }

    async fn ask(&self, audience: &str) -> Result<Token, String> {
        let TokenSourceOptions { endpoint, client_id, client_secret, scope, audience_field, timeout } =
            &self.options;
        let failed = |reason: &str, why: &str| {
            warn!(self.log, "no token"; "audience" => audience, "reason" => reason, "why" => why);
            reason.to_owned()
        };
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", client_secret),
            (audience_field, audience),
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
            let reason = if error.is_timeout() {
                "the token endpoint did not answer in time"
            } else {
                "the token endpoint cannot be reached"
            };
            failed(reason, &root_cause(&error))
        })?;
        let answer = bounded::json(answer, ANSWER_BYTES, JSON_LEVELS_MAX);
        let status = answer.status();
        if !status.is_success() {
            let refusal = answer.json::<Map<String, Value>>().await.unwrap_or_default();
            let says = |member: &str| refusal.get(member).and_then(Value::as_str).unwrap_or_default();
            let colon = if says("error").is_empty() { "" } else { ": " };
            let reason = format!("the token endpoint answered {}{colon}{}", status.as_u16(), says("error"));
            return Err(failed(&reason, says("error_description")));
        }
        let grant = answer
            .bytes()
            .await
            .map_err(|error| failed("the token endpoint's answer cannot be read", &root_cause(&error)))?;
        // What is wrong with a text would be told by quoting it, and it may well
        // be a token.
        let grant: Map<String, Value> = serde_json::from_slice(&grant)
            .map_err(|_| failed("the token endpoint's answer cannot be read", "it is no JSON object"))?;
        let token = grant.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let Some(token) = token else {
            return Err(failed("the token endpoint answered without a token", ""));
        };
        let life = grant
            .get("expires_in")
            .and_then(seconds)
            .map_or(DEFAULT_LIFE, |seconds| Duration::from_secs(seconds).min(LONGEST_LIFE));
        Ok(Token { value: token.into(), aging_at: asked_at + life * 4 / 5, expires_at: asked_at + life })
    }

    /// Every change of a slot is a single assignment, so what a panic left
    /// behind is still sound.
    fn audiences(&self) -> MutexGuard<'_, HashMap<Arc<str>, Slot>> {
        self.audiences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The request under way. One whose task is gone is not.
    fn landing(&self) -> Option<Landing> {
        self.in_flight.clone().filter(|landing| landing.has_changed().is_ok())
    }
}

async fn landed(mut landing: Landing) -> Outcome {
    let gone = || "the token request was given up".to_owned();
    match landing.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().unwrap_or_else(|| Err(gone())),
        Err(_) => Err(gone()),
    }
}

/// The token that a request bears, or nothing.
fn borne(request: &reqwest::Request) -> &str {
    let value = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix(BEARER)).unwrap_or_default()
}

/// Whether the `pause` since `last` is over. So it is if the clock was set back.
fn is_over(last: Option<Timestamp>, pause: Duration, now: Timestamp) -> bool {
    last.is_none_or(|last| now < last || now.since(last) >= pause)
}

/// reqwest's own message leaves out what matters: "connection refused".
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not where it asks: that may be a URL with a password.
        f.debug_struct("TokenSource").field("client_id", &self.options.client_id).finish_non_exhaustive()
    }
}

/// A number, or digits in a string; anything else counts as not said. Numbers
/// that make no sense end up at zero or at the largest.
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
