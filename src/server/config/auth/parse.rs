//! Parses the inbound variables. The messages are the reference's, in its order.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use url::Url;

use super::{AuthSettings, Authorization, Belongs, KEYCLOAK_ISSUER, KeySource, Mode, Profile};
use crate::config::{
    error::ConfigError,
    value::{items, switch},
    variable::Variable,
    variables as v,
    vars::Vars,
};

/// Symmetric algorithms and `none` are missing on purpose: with public signing
/// keys either of them lets anyone forge tokens.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The maximum clock skew: with more, expired tokens would be as good as others.
const SKEW_MAX_SECONDS: u32 = 24 * 3600;

impl AuthSettings {
    /// Reads the settings. Of several errors, returns the first in the order of
    /// the contract's table.
    pub fn from_vars(vars: &dyn Vars) -> Result<Self, ConfigError> {
        let profile = v::AUTH_PROFILE.text(vars).map(|name| Profile::parse(&name)).transpose()?;
        let mode = match v::AUTH_MODE.text(vars) {
            Some(name) => Mode::parse(&name)?,
            None => profile.map_or(Mode::Required, Profile::mode),
        };
        let issuer =
            v::AUTH_ISSUER.text(vars).or_else(|| profile.and_then(Profile::issuer).map(str::to_owned));
        let audience = v::AUTH_AUDIENCE.text(vars);
        let demanded = v::AUTH_REQUIRE_AUDIENCE.read_required(vars, switch)?;
        if audience.is_none() {
            audience_may_be_missing(profile, mode, demanded)?;
        }
        let list = |variable: &Variable| variable.text(vars).unwrap_or_default();
        let algorithms = algorithms(&list(&v::AUTH_ALGORITHMS))?;
        let clock_skew = clock_skew(&v::AUTH_CLOCK_SKEW.text(vars).unwrap_or_default())?;
        let keys = match mode {
            Mode::Required | Mode::Optional => Some(key_source(vars, issuer.as_deref())?),
            Mode::Disabled => None,
        };
        let subject = |variable: &Variable| variable.read_required(vars, |text| Some(text.to_owned()));
        let mut settings = Self {
            profile,
            mode,
            issuer,
            audience,
            keys,
            algorithms,
            clock_skew,
            exempt_paths: items(&list(&v::AUTH_EXEMPT_PATHS)).map(str::to_owned).collect(),
            dev_subject: subject(&v::AUTH_DEV_SUBJECT)?,
            anonymous_subject: subject(&v::AUTH_ANONYMOUS_SUBJECT)?,
            tenant_claim: subject(&v::TENANT_CLAIM)?,
            roles_claim: subject(&v::ROLES_CLAIM)?,
            authorization: authorization(vars, profile, mode)?,
            warnings: Vec::new(),
        };
        settings.warnings = settings.warnings().into_iter().map(str::to_owned).collect();
        Ok(settings)
    }
}

/// Without authentication all callers are the same, so there is nothing to decide
/// by.
fn authorization(
    vars: &dyn Vars,
    profile: Option<Profile>,
    mode: Mode,
) -> Result<Authorization, ConfigError> {
    let identifies = match mode {
        Mode::Required | Mode::Optional => true,
        Mode::Disabled => false,
    };
    let belongs = match v::AUTHORIZATION.read(vars, Belongs::parse)? {
        Some(Belongs::Owner | Belongs::Tenant) if !identifies => {
            return Err(ConfigError::inbound(
                v::AUTHORIZATION.name,
                "JARVIS_RUN_COORDINATOR_AUTHORIZATION requires ARP_AUTH_MODE 'required' or 'optional', \
                 because without tokens all callers are the same",
                format!("Set {} to open, or remove it.", v::AUTHORIZATION.name),
            ));
        }
        Some(belongs) => belongs,
        None if profile == Some(Profile::Enterprise) && identifies => Belongs::Tenant,
        None => Belongs::Open,
    };
    let trusted = v::TRUSTED_CLIENTS.text(vars).unwrap_or_default();
    Ok(Authorization {
        belongs,
        trusted_clients: items(&trusted).map(str::to_owned).collect(),
        by_token: identifies,
        approval_by_starter: v::APPROVAL_BY_STARTER.read_required(vars, switch)?,
    })
}

impl Belongs {
    fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "open" => Some(Self::Open),
            "owner" => Some(Self::Owner),
            "tenant" => Some(Self::Tenant),
            _ => None,
        }
    }
}

impl Profile {
    fn parse(name: &str) -> Result<Self, ConfigError> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "dev-insecure" | "dev" => Ok(Self::DevInsecure),
            "dev-secure-keycloak" | "dev-secure" | "keycloak" => Ok(Self::DevSecureKeycloak),
            "enterprise" | "prod" | "production" => Ok(Self::Enterprise),
            _ => Err(invalid(
                &v::AUTH_PROFILE,
                name,
                "dev-insecure (no tokens), dev-secure-keycloak or enterprise",
            )),
        }
    }

    fn mode(self) -> Mode {
        match self {
            Self::DevInsecure => Mode::Disabled,
            Self::DevSecureKeycloak | Self::Enterprise => Mode::Required,
        }
    }

    fn issuer(self) -> Option<&'static str> {
        match self {
            Self::DevSecureKeycloak => Some(KEYCLOAK_ISSUER),
            Self::DevInsecure | Self::Enterprise => None,
        }
    }
}

impl Mode {
    fn parse(name: &str) -> Result<Self, ConfigError> {
        match name.to_ascii_lowercase().as_str() {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            "disabled" => Ok(Self::Disabled),
            _ => Err(invalid(&v::AUTH_MODE, name, "required, optional or disabled")),
        }
    }
}

fn audience_may_be_missing(profile: Option<Profile>, mode: Mode, demanded: bool) -> Result<(), ConfigError> {
    let missing = |message| {
        let remedy =
            "Set the audience of tokens for this server, such as ARP_AUTH_AUDIENCE=arp-run-coordinator.";
        Err(ConfigError::inbound(v::AUTH_AUDIENCE.name, message, remedy))
    };
    if profile == Some(Profile::DevSecureKeycloak) {
        return missing("Dev-Secure-Keycloak profile requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID");
    }
    if demanded && mode != Mode::Disabled {
        return missing("ARP_AUTH_REQUIRE_AUDIENCE requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID");
    }
    Ok(())
}

fn algorithms(list: &str) -> Result<Vec<Algorithm>, ConfigError> {
    let wrong = |message: &str| {
        let names = ALGORITHMS.map(|(name, _)| name).join(", ");
        let remedy = format!("Set one of {names}, or several separated by commas.");
        ConfigError::inbound(v::AUTH_ALGORITHMS.name, message, remedy)
    };
    let mut algorithms = Vec::new();
    for item in items(list) {
        match ALGORITHMS.iter().find(|(name, _)| *name == item) {
            Some((_, algorithm)) if !algorithms.contains(algorithm) => algorithms.push(*algorithm),
            Some(_) => {}
            None => {
                return Err(wrong(&format!("ARP_AUTH_ALGORITHMS: '{item}' is not supported")));
            }
        }
    }
    if algorithms.is_empty() {
        return Err(wrong("ARP_AUTH_ALGORITHMS must include at least one algorithm (for example: RS256)"));
    }
    Ok(algorithms)
}

fn clock_skew(value: &str) -> Result<Duration, ConfigError> {
    match value.parse::<u32>() {
        Ok(seconds) if seconds <= SKEW_MAX_SECONDS => Ok(Duration::from_secs(seconds.into())),
        Ok(_) | Err(_) => {
            let right = format!("a number of seconds from 0 to {SKEW_MAX_SECONDS}");
            Err(invalid(&v::AUTH_CLOCK_SKEW, value, &right))
        }
    }
}

/// Where nothing says how callers are authenticated, this is mostly a first start: the
/// profile for development is the shortest way to a server.
const NO_KEYS: &str = "To try it out, without tokens: ARP_AUTH_PROFILE=dev-insecure, and JARVIS_POLICY_PROFILE=dev-allow, \
                       which allows everything; `jarvis-run-coordinator init` writes both to .env.local. Otherwise: \
                       the ARP_AUTH_ISSUER of your tokens.";

fn key_source(vars: &dyn Vars, issuer: Option<&str>) -> Result<KeySource, ConfigError> {
    if let Some(url) = v::AUTH_JWKS_URI.text(vars) {
        return web_url(&v::AUTH_JWKS_URI, &url).map(KeySource::Jwks);
    }
    if let Some(url) = v::AUTH_DISCOVERY_URL.text(vars) {
        return web_url(&v::AUTH_DISCOVERY_URL, &url).map(KeySource::Discovery);
    }
    let Some(issuer) = issuer else {
        return Err(ConfigError::inbound(
            v::AUTH_JWKS_URI.name,
            "JWT auth requires ARP_AUTH_JWKS_URI or ARP_AUTH_ISSUER/ARP_AUTH_OIDC_DISCOVERY_URL \
             when ARP_AUTH_MODE is not 'disabled'",
            NO_KEYS,
        ));
    };
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    // The message quotes the variable, not the URL derived from it.
    let url = web_url(&v::AUTH_ISSUER, &url).map_err(|_| invalid(&v::AUTH_ISSUER, issuer, WEB_URL))?;
    Ok(KeySource::Discovery(url))
}

fn web_url(variable: &Variable, text: &str) -> Result<Url, ConfigError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| invalid(variable, text, WEB_URL))
}

const WEB_URL: &str = "an http:// or https:// URL";

fn invalid(variable: &Variable, value: &str, right: &str) -> ConfigError {
    let name = variable.name;
    ConfigError::inbound(name, &format!("Invalid {name}: '{value}'"), format!("Set {name} to {right}."))
}
