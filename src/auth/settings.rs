//! Inbound authentication settings (contract §19).
//!
//! Placeholder: the branch `auth` brings the real one. It asks for every
//! variable of §19, so that `config`'s tests see them all.

use crate::config::Vars;

/// What happens to a request without a valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMode {
    Required,
    Optional,
    Disabled,
}

/// How callers prove who they are.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    pub mode: AuthMode,
    pub issuer: Option<String>,
    pub audience: Option<String>,
    pub jwks_uri: Option<String>,
    pub discovery_url: Option<String>,
    pub algorithms: Vec<String>,
    pub clock_skew: std::time::Duration,
    pub exempt_paths: Vec<String>,
    pub dev_subject: String,
    pub anonymous_subject: String,
    pub warnings: Vec<String>,
}

impl AuthSettings {
    pub fn from_vars(vars: &dyn Vars) -> Result<Self, String> {
        let or = |name: &str, default: &str| vars.trimmed(name).unwrap_or_else(|| default.to_owned());
        let list = |name: &str, default: &str| -> Vec<String> {
            or(name, default).split(',').map(|item| item.trim().to_owned()).collect()
        };
        let profile = vars.trimmed("ARP_AUTH_PROFILE").map(|name| name.to_lowercase().replace('_', "-"));
        let by_profile = match profile.as_deref() {
            Some("dev" | "dev-insecure") => "disabled",
            Some("enterprise" | "prod" | "production") | None => "required",
            Some(other) => return Err(format!("Invalid ARP_AUTH_PROFILE: '{other}'")),
        };
        let mode = match or("ARP_AUTH_MODE", by_profile).to_lowercase().as_str() {
            "required" => AuthMode::Required,
            "optional" => AuthMode::Optional,
            "disabled" => AuthMode::Disabled,
            other => return Err(format!("Invalid ARP_AUTH_MODE: '{other}'")),
        };
        let issuer = vars.trimmed("ARP_AUTH_ISSUER");
        let jwks_uri = vars.trimmed("ARP_AUTH_JWKS_URI");
        let discovery_url = vars.trimmed("ARP_AUTH_OIDC_DISCOVERY_URL");
        let skew = or("ARP_AUTH_CLOCK_SKEW_SECONDS", "60");
        let settings = Self {
            mode,
            audience: vars.first(&["ARP_AUTH_AUDIENCE", "ARP_AUTH_SERVICE_ID"]),
            algorithms: list("ARP_AUTH_ALGORITHMS", "RS256"),
            clock_skew: std::time::Duration::from_secs(
                skew.parse().map_err(|_| format!("Invalid ARP_AUTH_CLOCK_SKEW_SECONDS: '{skew}'"))?,
            ),
            exempt_paths: list("ARP_AUTH_EXEMPT_PATHS", "/v1/health,/v1/version"),
            dev_subject: or("ARP_AUTH_DEV_SUBJECT", "dev"),
            anonymous_subject: or("ARP_AUTH_ANONYMOUS_SUBJECT", "anonymous"),
            warnings: Vec::new(),
            issuer,
            jwks_uri,
            discovery_url,
        };
        if mode != AuthMode::Disabled
            && settings.issuer.is_none()
            && settings.jwks_uri.is_none()
            && settings.discovery_url.is_none()
        {
            return Err(
                "JWT auth requires ARP_AUTH_JWKS_URI or ARP_AUTH_ISSUER/ARP_AUTH_OIDC_DISCOVERY_URL \
                        when ARP_AUTH_MODE is not 'disabled'"
                    .to_owned(),
            );
        }
        Ok(settings)
    }
}
