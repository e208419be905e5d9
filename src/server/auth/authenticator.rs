//! The authenticator: the order of the checks (contract §19).

use std::sync::Arc;

use http::HeaderMap;
use slog::{Logger, debug};

use super::{
    assignment::AssignmentTokens,
    bearer::bearer_token,
    jwks::{JwksCache, KeyStatus},
    principal::Principal,
    refusal::{AuthError, Refusal},
    token_cache::{CachedToken, TokenCache, TokenHash},
    verifier::Verifier,
};
use crate::{
    config::{AuthSettings, Mode},
    runtime::tasks::TaskSet,
    time::Clock,
};

/// A few megabytes, at about 500 bytes each.
const CACHED_TOKENS: usize = 10_000;

/// The clocks that times are compared with.
pub struct Clocks {
    /// For our own times: of assignment tokens, and the age of keys.
    pub steady: Arc<dyn Clock>,
    /// For times in tokens of the STS.
    pub wall: Arc<dyn Clock>,
}

/// What an authenticator is made of.
pub struct Parts {
    pub settings: AuthSettings,
    /// Whether callers are known with their tokens, for calls on their behalf.
    pub keeps_tokens: bool,
    /// `None` where no assignment tokens are issued.
    pub assignments: Option<Arc<AssignmentTokens>>,
    pub http: reqwest::Client,
    pub clocks: Clocks,
    pub tasks: TaskSet,
    pub log: Logger,
}

/// How a request is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The path is exempt, and the caller has not been identified. Where the caller
    /// matters, [`Authenticator::caller_of_exempt_path`] identifies it.
    Exempt,
    Caller(Principal),
}

/// Identifies callers. One per server.
pub struct Authenticator {
    exempt_paths: Vec<String>,
    /// The caller of an exempt path without a valid token.
    unidentified: Principal,
    gate: Gate,
    /// Whether callers are known with their tokens.
    keeps_tokens: bool,
    log: Logger,
}

enum Gate {
    /// Mode disabled: every caller is this subject.
    Open(Principal),
    Tokens {
        /// The caller without a token, if that is allowed.
        anonymous: Option<Principal>,
        checker: Checker,
    },
}

struct Checker {
    /// Assignment tokens, if they are issued.
    assignments: Option<Arc<AssignmentTokens>>,
    verifier: Verifier,
    /// Never `None` with valid settings; without, every token is refused.
    keys: Option<JwksCache>,
    cache: TokenCache,
    clocks: Clocks,
}

impl Authenticator {
    /// Does not fetch keys: see [`Authenticator::warm_up`].
    pub fn new(parts: Parts) -> Self {
        let Parts { settings, keeps_tokens, assignments, http, clocks, tasks, log } = parts;
        let unidentified = Principal::anonymous(&settings.anonymous_subject);
        let anonymous = match settings.mode {
            Mode::Required => None,
            Mode::Optional => Some(unidentified.clone()),
            Mode::Disabled => {
                let unidentified = Principal::configured(&settings.dev_subject);
                let gate = Gate::Open(unidentified.clone());
                return Self { exempt_paths: settings.exempt_paths, unidentified, gate, keeps_tokens, log };
            }
        };
        let verifier = Verifier::new(&settings);
        let keys = settings
            .keys
            .map(|source| JwksCache::new(source, http, Arc::clone(&clocks.steady), tasks, log.clone()));
        let cache = TokenCache::new(CACHED_TOKENS);
        let gate =
            Gate::Tokens { anonymous, checker: Checker { assignments, verifier, keys, cache, clocks } };
        Self { exempt_paths: settings.exempt_paths, unidentified, gate, keeps_tokens, log }
    }

    /// Identifies the sender of a request for `path` with these headers.
    pub async fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Admission, AuthError> {
        if self.exempt_paths.iter().any(|exempt| exempt == path) {
            return Ok(Admission::Exempt);
        }
        match self.caller(headers).await {
            Ok(principal) => Ok(Admission::Caller(principal)),
            Err(refusal) => {
                debug!(self.log, "caller refused"; "path" => path, "reason" => refusal.reason());
                Err(refusal.into())
            }
        }
    }

    /// Identifies the sender of a request for an exempt path: the bearer of a valid
    /// token, or else the configured subject. Never refuses.
    pub async fn caller_of_exempt_path(&self, headers: &HeaderMap) -> Principal {
        match self.caller(headers).await {
            Ok(principal) => principal,
            Err(refusal) => {
                debug!(self.log, "no valid token on an exempt path"; "reason" => refusal.reason());
                self.unidentified.clone()
            }
        }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Principal, Refusal> {
        match &self.gate {
            Gate::Open(principal) => Ok(principal.clone()),
            Gate::Tokens { anonymous, checker } => match bearer_token(headers)? {
                Some(token) if self.keeps_tokens => Ok(checker.principal(token).await?.bearing(token)),
                Some(token) => checker.principal(token).await,
                None => anonymous.clone().ok_or(Refusal::MissingHeader),
            },
        }
    }

    /// Fetches the signing keys in the background if they are missing or stale.
    /// Called at start, so that the first caller need not wait, and by the health
    /// check: a server that gets no requests until it is ready would otherwise
    /// never become ready. Cool-downs limit the fetches, however often it is
    /// called.
    pub fn warm_up(&self) {
        if let Some(keys) = self.keys() {
            keys.revalidate();
        }
    }

    /// The state of the signing keys.
    pub fn status(&self) -> KeyStatus {
        self.keys().map_or(KeyStatus::NotNeeded, |keys| keys.status())
    }

    fn keys(&self) -> Option<&JwksCache> {
        match &self.gate {
            Gate::Open(_) => None,
            Gate::Tokens { checker, .. } => checker.keys.as_ref(),
        }
    }

    /// Waits until no fetch of keys is under way.
    #[cfg(test)]
    pub(super) async fn landed(&self) {
        if let Some(keys) = self.keys() {
            keys.landed().await;
        }
    }
}

impl Checker {
    async fn principal(&self, token: &str) -> Result<Principal, Refusal> {
        if let Some(assignments) = self.assignments.as_ref().filter(|_| AssignmentTokens::are_like(token)) {
            // Valid or not, the STS cannot say more about it.
            return assignments.verify(token, self.clocks.steady.now()).await;
        }
        let Some(keys) = &self.keys else { return Err(Refusal::NoKey("no source of signing keys")) };
        let hash = TokenHash::of(token);
        if let Some(principal) = self.cache.get(&hash, self.clocks.wall.now()) {
            // Otherwise a withdrawn key would go unnoticed.
            keys.revalidate();
            return Ok(principal);
        }
        let head = self.verifier.head(token)?;
        let key = keys.key(&head.kid).await?;
        let verified = self.verifier.verify(token, &head, &key, self.clocks.wall.now())?;
        let principal = verified.principal.clone();
        self.cache
            .insert(hash, CachedToken { principal: verified.principal, key, expires: verified.expires });
        Ok(principal)
    }
}
