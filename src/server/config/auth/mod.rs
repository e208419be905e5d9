//! How callers are authenticated: the inbound `ARP_AUTH_*` variables (contract
//! §19).

mod parse;
#[cfg(test)]
mod tests;

use std::{fmt, time::Duration};

use jsonwebtoken::Algorithm;
use url::Url;

/// The issuer of the development Keycloak.
const KEYCLOAK_ISSUER: &str = "http://localhost:8080/realms/arp-dev";

/// A bundle of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    DevInsecure,
    DevSecureKeycloak,
    Enterprise,
}

/// Whether callers need a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every caller needs a valid token.
    Required,
    /// A caller may send no token; a token that is sent must be valid.
    Optional,
    /// Tokens are ignored.
    Disabled,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Disabled => "disabled",
        }
    }
}

/// Which callers may act on which runs (contract §19).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorization {
    pub belongs: Belongs,
    /// Clients that act for others: their tokens reach every run.
    pub trusted_clients: Vec<String>,
    /// Callers have tokens. Otherwise they are all the same.
    pub by_token: bool,
    /// Whether the starter of a run may decide about its approvals.
    pub approval_by_starter: bool,
}

/// Whom a run belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Belongs {
    /// Every caller that is admitted may act on every run.
    #[default]
    Open,
    /// To the principal that started it.
    Owner,
    /// To the tenant of the principal that started it.
    Tenant,
}

/// The source of the signing keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    Jwks(Url),
    /// An OIDC discovery document, which names the JWKS.
    Discovery(Url),
}

/// How callers are authenticated. Valid by construction: use
/// [`AuthSettings::from_vars`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthSettings {
    pub profile: Option<Profile>,
    pub mode: Mode,
    /// `None`: `iss` is not checked.
    pub issuer: Option<String>,
    /// `None`: `aud` is not checked.
    pub audience: Option<String>,
    /// `None` exactly if the mode is disabled.
    pub keys: Option<KeySource>,
    pub algorithms: Vec<Algorithm>,
    pub clock_skew: Duration,
    pub exempt_paths: Vec<String>,
    pub dev_subject: String,
    pub anonymous_subject: String,
    /// The claim that names the tenant of a subject.
    pub tenant_claim: String,
    /// The claim that has the roles of a subject.
    pub roles_claim: String,
    pub authorization: Authorization,
    /// Settings that work but are probably unintended.
    pub warnings: Vec<String>,
}

impl AuthSettings {
    /// The reference coordinator accepts all of these silently (FIX G18).
    fn warnings(&self) -> Vec<&'static str> {
        let mut warnings = Vec::new();
        if self.profile != Some(Profile::Enterprise) {
            return warnings;
        }
        match self.mode {
            Mode::Disabled => {
                warnings.push("ARP_AUTH_MODE is 'disabled' in the enterprise profile: anyone may call");
                return warnings;
            }
            Mode::Optional => {
                warnings.push("ARP_AUTH_MODE is 'optional' in the enterprise profile: anyone may call");
            }
            Mode::Required => {}
        }
        if self.audience.is_none() {
            warnings.push(
                "ARP_AUTH_AUDIENCE is not set: tokens for any other service are accepted \
                 (ARP_AUTH_REQUIRE_AUDIENCE=true makes this an error)",
            );
        }
        if self.issuer.is_none() {
            warnings.push("ARP_AUTH_ISSUER is not set: the issuer of tokens is not checked");
        }
        if self.keys.as_ref().is_some_and(KeySource::is_plain_http) {
            warnings.push("signing keys are fetched over plain HTTP: a man in the middle can forge tokens");
        }
        warnings
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DevInsecure => "dev-insecure",
            Self::DevSecureKeycloak => "dev-secure-keycloak",
            Self::Enterprise => "enterprise",
        })
    }
}

impl fmt::Display for Belongs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Owner => "owner",
            Self::Tenant => "tenant",
        })
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Disabled => "disabled",
        })
    }
}

impl KeySource {
    pub fn url(&self) -> &Url {
        match self {
            Self::Jwks(url) | Self::Discovery(url) => url,
        }
    }

    fn is_plain_http(&self) -> bool {
        self.url().scheme() == "http"
    }
}
