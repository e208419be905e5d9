//! The order of the checks (contract §19).

use std::sync::Arc;

use http::HeaderMap;
use slog::{Logger, debug};

use super::{
    assignment::AssignmentTokens,
    bearer::bearer_token,
    jwks::{JwksCache, KeyStatus},
    principal::Principal,
    refusal::{AuthError, Refusal},
    token_cache::{Remembered, RememberedTokens, TokenHash},
    verifier::Verifier,
};
use crate::{
    config::{AuthSettings, Mode},
    runtime::tasks::TaskSet,
    time::Clock,
};

/// At some 500 bytes each, a few megabytes.
const REMEMBERED_TOKENS: usize = 10_000;

/// What times are compared with.
pub struct Clocks {
    /// For times of our own: of our tokens, and how old keys are.
    pub steady: Arc<dyn Clock>,
    /// For times that other machines wrote into tokens.
    pub wall: Arc<dyn Clock>,
}

/// The way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Anybody may ask for this path; nobody was identified yet. Where it has
    /// to be known who calls, [`Authenticator::visitor`] says.
    Exempt,
    Caller(Principal),
}

/// Tells who is calling. One per server.
pub struct Authenticator {
    exempt_paths: Vec<String>,
    /// Who comes to an exempt path without a good token.
    stranger: Principal,
    gate: Gate,
    log: Logger,
}

enum Gate {
    /// Mode disabled: everyone is this subject.
    Open(Principal),
    Tokens {
        /// Who comes without a token, if one may.
        anonymous: Option<Principal>,
        checker: Checker,
    },
}

struct Checker {
    /// Tokens of our own, if any are issued.
    assignments: Option<Arc<AssignmentTokens>>,
    verifier: Verifier,
    /// Never none with settings that were read; without, no token is good.
    keys: Option<Arc<JwksCache>>,
    remembered: RememberedTokens,
    clocks: Clocks,
}

impl Authenticator {
    /// Fetches nothing yet: see [`Authenticator::warm_up`].
    pub fn new(
        settings: AuthSettings,
        assignments: Option<Arc<AssignmentTokens>>,
        http: reqwest::Client,
        clocks: Clocks,
        tasks: TaskSet,
        log: Logger,
    ) -> Self {
        let stranger = Principal::configured(&settings.anonymous_subject);
        let anonymous = match settings.mode {
            Mode::Required => None,
            Mode::Optional => Some(stranger.clone()),
            Mode::Disabled => {
                let stranger = Principal::configured(&settings.dev_subject);
                let gate = Gate::Open(stranger.clone());
                return Self { exempt_paths: settings.exempt_paths, stranger, gate, log };
            }
        };
        let verifier = Verifier::new(&settings);
        let keys = settings
            .keys
            .map(|source| JwksCache::new(source, http, Arc::clone(&clocks.steady), tasks, log.clone()));
        let remembered = RememberedTokens::new(REMEMBERED_TOKENS);
        let gate =
            Gate::Tokens { anonymous, checker: Checker { assignments, verifier, keys, remembered, clocks } };
        Self { exempt_paths: settings.exempt_paths, stranger, gate, log }
    }

    /// Who sent the request for `path` with these headers.
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

    /// Who sent a request for an exempt path: the bearer of a good token, or
    /// whoever strangers are by configuration. Nobody is turned away.
    pub async fn visitor(&self, headers: &HeaderMap) -> Principal {
        match self.caller(headers).await {
            Ok(principal) => principal,
            Err(refusal) => {
                debug!(self.log, "caller taken for a stranger"; "reason" => refusal.reason());
                self.stranger.clone()
            }
        }
    }

    async fn caller(&self, headers: &HeaderMap) -> Result<Principal, Refusal> {
        match &self.gate {
            Gate::Open(everyone) => Ok(everyone.clone()),
            Gate::Tokens { anonymous, checker } => match bearer_token(headers)? {
                Some(token) => checker.principal(token).await,
                None => anonymous.clone().ok_or(Refusal::MissingHeader),
            },
        }
    }

    /// Fetches the signing keys in the background if they are missing or old.
    /// Call it at start, so that the first caller need not wait, and from the
    /// health check, because one who gets no requests as long as he is not
    /// ready would otherwise never become so. Does not hammer the STS, however
    /// often it is called.
    pub fn warm_up(&self) {
        if let Some(keys) = self.keys() {
            keys.revalidate();
        }
    }

    /// How the signing keys are doing.
    pub fn status(&self) -> KeyStatus {
        self.keys().map_or(KeyStatus::NotNeeded, |keys| keys.status())
    }

    fn keys(&self) -> Option<&Arc<JwksCache>> {
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
            // Whatever becomes of it, the STS has nothing to say about it.
            return assignments.verify(token, self.clocks.steady.now());
        }
        let Some(keys) = &self.keys else { return Err(Refusal::NoKey("no source of signing keys")) };
        let hash = TokenHash::of(token);
        if let Some(principal) = self.remembered.get(&hash, self.clocks.wall.now()) {
            // Or a key that was withdrawn would never be missed.
            keys.revalidate();
            return Ok(principal);
        }
        let head = self.verifier.head(token)?;
        let key = keys.key(&head.kid).await?;
        let verified = self.verifier.verify(token, &head, &key, self.clocks.wall.now())?;
        let principal = verified.principal.clone();
        self.remembered
            .insert(hash, Remembered { principal: verified.principal, key, expires: verified.expires });
        Ok(principal)
    }
}
