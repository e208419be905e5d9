//! The inbound `ARP_AUTH_*` variables (contract §19), as a pure function.

use std::{fmt, time::Duration};

use jsonwebtoken::Algorithm;
use url::Url;

use crate::config::vars::{SWITCH_WORDS, Vars, switch};

const KEYCLOAK_ISSUER: &str = "http://localhost:8080/realms/arp-dev";

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

/// A bundle of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    DevInsecure,
    DevSecureKeycloak,
    Enterprise,
}

/// Who needs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everyone.
    Required,
    /// Nobody; but a token that is sent must be good.
    Optional,
    /// Nobody, and tokens are not looked at.
    Disabled,
}

/// Where the signing keys come from.
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
    /// None: `iss` is not checked.
    pub issuer: Option<String>,
    /// None: `aud` is not checked.
    pub audience: Option<String>,
    /// None exactly if the mode is disabled.
    pub keys: Option<KeySource>,
    pub algorithms: Vec<Algorithm>,
    pub clock_skew: Duration,
    pub exempt_paths: Vec<String>,
    pub dev_subject: String,
    pub anonymous_subject: String,
    /// What an operator should know and nobody has to be stopped for.
    pub warnings: Vec<String>,
}

impl AuthSettings {
    /// Reads the settings. The error is the start-up message; of several the
    /// first in the order of the contract's table.
    pub fn from_vars(vars: &dyn Vars) -> Result<Self, String> {
        let profile = vars.trimmed("ARP_AUTH_PROFILE").map(|name| Profile::parse(&name)).transpose()?;
        let mode = match vars.trimmed("ARP_AUTH_MODE") {
            Some(name) => Mode::parse(&name)?,
            None => profile.map_or(Mode::Required, Profile::mode),
        };
        let issuer =
            vars.trimmed("ARP_AUTH_ISSUER").or_else(|| profile.and_then(Profile::issuer).map(str::to_owned));
        let audience = vars.first(&["ARP_AUTH_AUDIENCE", "ARP_AUTH_SERVICE_ID"]);
        let demanded = is_on(vars, "ARP_AUTH_REQUIRE_AUDIENCE")?;
        if audience.is_none() {
            audience_may_be_missing(profile, mode, demanded)?;
        }
        let algorithms = algorithms(vars.trimmed("ARP_AUTH_ALGORITHMS"))?;
        let clock_skew = clock_skew(vars.trimmed("ARP_AUTH_CLOCK_SKEW_SECONDS"))?;
        let keys = match mode {
            Mode::Required | Mode::Optional => Some(key_source(vars, issuer.as_deref())?),
            Mode::Disabled => None,
        };
        let exempt_paths = match vars.trimmed("ARP_AUTH_EXEMPT_PATHS") {
            Some(list) => words(&list).map(str::to_owned).collect(),
            None => vec!["/v1/health".to_owned(), "/v1/version".to_owned()],
        };
        let subject = |name, default: &str| vars.trimmed(name).unwrap_or_else(|| default.to_owned());
        let mut settings = Self {
            profile,
            mode,
            issuer,
            audience,
            keys,
            algorithms,
            clock_skew,
            exempt_paths,
            dev_subject: subject("ARP_AUTH_DEV_SUBJECT", "dev"),
            anonymous_subject: subject("ARP_AUTH_ANONYMOUS_SUBJECT", "anonymous"),
            warnings: Vec::new(),
        };
        settings.warnings = settings.doubts().into_iter().map(str::to_owned).collect();
        Ok(settings)
    }

    /// The reference accepts all of these silently (FIX G18).
    fn doubts(&self) -> Vec<&'static str> {
        let mut doubts = Vec::new();
        if self.profile != Some(Profile::Enterprise) {
            return doubts;
        }
        match self.mode {
            Mode::Disabled => {
                doubts.push("ARP_AUTH_MODE is 'disabled' in the enterprise profile: anyone may call");
                return doubts;
            }
            Mode::Optional => {
                doubts.push("ARP_AUTH_MODE is 'optional' in the enterprise profile: anyone may call");
            }
            Mode::Required => {}
        }
        if self.audience.is_none() {
            doubts.push(
                "ARP_AUTH_AUDIENCE is not set: tokens meant for any other service are accepted \
                 (ARP_AUTH_REQUIRE_AUDIENCE=true makes this an error)",
            );
        }
        if self.issuer.is_none() {
            doubts.push("ARP_AUTH_ISSUER is not set: the issuer of tokens is not checked");
        }
        if self.keys.as_ref().is_some_and(KeySource::is_plain_http) {
            doubts.push("signing keys are fetched over plain HTTP: whoever can alter them can forge tokens");
        }
        doubts
    }
}

impl Profile {
    fn parse(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().replace('_', "-").as_str() {
            "dev-insecure" | "dev" => Ok(Self::DevInsecure),
            "dev-secure-keycloak" | "dev-secure" | "keycloak" => Ok(Self::DevSecureKeycloak),
            "enterprise" | "prod" | "production" => Ok(Self::Enterprise),
            _ => Err(format!("Invalid ARP_AUTH_PROFILE: '{name}'")),
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
    fn parse(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            "disabled" => Ok(Self::Disabled),
            _ => Err(format!("Invalid ARP_AUTH_MODE: '{name}'")),
        }
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

fn audience_may_be_missing(profile: Option<Profile>, mode: Mode, demanded: bool) -> Result<(), String> {
    if profile == Some(Profile::DevSecureKeycloak) {
        return Err(
            "Dev-Secure-Keycloak profile requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID".to_owned()
        );
    }
    if demanded && mode != Mode::Disabled {
        return Err("ARP_AUTH_REQUIRE_AUDIENCE requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID".to_owned());
    }
    Ok(())
}

fn algorithms(list: Option<String>) -> Result<Vec<Algorithm>, String> {
    let list = list.unwrap_or_else(|| "RS256".to_owned());
    let mut algorithms = Vec::new();
    for word in words(&list) {
        match ALGORITHMS.iter().find(|(name, _)| *name == word) {
            Some((_, algorithm)) if !algorithms.contains(algorithm) => algorithms.push(*algorithm),
            Some(_) => {}
            None => return Err(format!("ARP_AUTH_ALGORITHMS: '{word}' is not supported")),
        }
    }
    if algorithms.is_empty() {
        return Err("ARP_AUTH_ALGORITHMS must include at least one algorithm (for example: RS256)".to_owned());
    }
    Ok(algorithms)
}

/// Clocks that are a day apart are not worth comparing: with more than that,
/// tokens that have expired would be as good as others.
const SKEW_MAX: u32 = 24 * 3600;

fn clock_skew(value: Option<String>) -> Result<Duration, String> {
    let Some(value) = value else { return Ok(Duration::from_secs(60)) };
    match value.parse::<u32>() {
        Ok(seconds) if seconds <= SKEW_MAX => Ok(Duration::from_secs(seconds.into())),
        Ok(_) | Err(_) => Err(format!("Invalid ARP_AUTH_CLOCK_SKEW_SECONDS: '{value}'")),
    }
}

fn key_source(vars: &dyn Vars, issuer: Option<&str>) -> Result<KeySource, String> {
    if let Some(uri) = vars.trimmed("ARP_AUTH_JWKS_URI") {
        return web_url("ARP_AUTH_JWKS_URI", &uri).map(KeySource::Jwks);
    }
    if let Some(url) = vars.trimmed("ARP_AUTH_OIDC_DISCOVERY_URL") {
        return web_url("ARP_AUTH_OIDC_DISCOVERY_URL", &url).map(KeySource::Discovery);
    }
    let Some(issuer) = issuer else {
        return Err("JWT auth requires ARP_AUTH_JWKS_URI or ARP_AUTH_ISSUER/ARP_AUTH_OIDC_DISCOVERY_URL \
                    when ARP_AUTH_MODE is not 'disabled'"
            .to_owned());
    };
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    // The message shows what the operator wrote, not what we made of it.
    web_url("ARP_AUTH_ISSUER", &url).map(KeySource::Discovery).map_err(|_| invalid("ARP_AUTH_ISSUER", issuer))
}

fn web_url(name: &str, text: &str) -> Result<Url, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| invalid(name, text))
}

fn invalid(name: &str, value: &str) -> String {
    format!("Invalid {name}: '{value}'")
}

/// A switch that is off unless set.
fn is_on(vars: &dyn Vars, name: &str) -> Result<bool, String> {
    let Some(value) = vars.trimmed(name) else { return Ok(false) };
    switch(&value).ok_or_else(|| format!("{name} must be {SWITCH_WORDS}, not '{value}'"))
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<AuthSettings, String> {
        let vars: BTreeMap<String, String> =
            vars.iter().map(|(name, value)| (format!("ARP_AUTH_{name}"), (*value).to_owned())).collect();
        AuthSettings::from_vars(&vars)
    }

    const ISSUER: (&str, &str) = ("ISSUER", "https://sts.example/realm");
    const AUDIENCE: (&str, &str) = ("AUDIENCE", "arp-run-coordinator");

    #[test]
    fn defaults() {
        let settings = read(&[ISSUER, ("AUDIENCE", "  ")]).expect("settings");
        let discovery = "https://sts.example/realm/.well-known/openid-configuration";
        let expected = AuthSettings {
            profile: None,
            mode: Mode::Required,
            issuer: Some("https://sts.example/realm".to_owned()),
            audience: None,
            keys: Some(KeySource::Discovery(Url::parse(discovery).expect("a URL"))),
            algorithms: vec![Algorithm::RS256],
            clock_skew: Duration::from_secs(60),
            exempt_paths: vec!["/v1/health".to_owned(), "/v1/version".to_owned()],
            dev_subject: "dev".to_owned(),
            anonymous_subject: "anonymous".to_owned(),
            warnings: vec![],
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn every_setting_is_read() {
        let settings = read(&[
            ("PROFILE", "Enterprise"),
            ("MODE", " Optional "),
            ("ISSUER", "https://sts.example/"),
            ("SERVICE_ID", "me"),
            ("JWKS_URI", "https://sts.example/keys"),
            ("OIDC_DISCOVERY_URL", "https://other.example/doc"),
            ("ALGORITHMS", "ES256, RS512,,EdDSA,ES256"),
            ("CLOCK_SKEW_SECONDS", "0"),
            ("EXEMPT_PATHS", "/a, /b,"),
            ("DEV_SUBJECT", "d"),
            ("ANONYMOUS_SUBJECT", "a"),
        ])
        .expect("settings");
        assert_eq!(settings.mode, Mode::Optional);
        assert_eq!(settings.issuer.as_deref(), Some("https://sts.example/"), "the slash counts");
        assert_eq!(settings.audience.as_deref(), Some("me"));
        assert_eq!(
            settings.keys,
            Some(KeySource::Jwks(Url::parse("https://sts.example/keys").expect("a URL")))
        );
        assert_eq!(settings.algorithms, [Algorithm::ES256, Algorithm::RS512, Algorithm::EdDSA]);
        assert_eq!(settings.clock_skew, Duration::ZERO);
        assert_eq!(settings.exempt_paths, ["/a", "/b"]);
        assert_eq!((settings.dev_subject.as_str(), settings.anonymous_subject.as_str()), ("d", "a"));

        let slash = read(&[("ISSUER", "https://sts.example/")]).expect("settings").keys.expect("keys");
        assert_eq!(slash.url().as_str(), "https://sts.example/.well-known/openid-configuration");
    }

    #[test]
    fn profiles_bring_their_mode_and_issuer() {
        for (names, mode, issuer) in [
            (&["dev-insecure", "DEV_insecure", "dev"][..], Mode::Disabled, None),
            (&["dev-secure-keycloak", "dev_secure", "Keycloak"], Mode::Required, Some(KEYCLOAK_ISSUER)),
        ] {
            for name in names {
                let settings = read(&[("PROFILE", name), AUDIENCE]).expect("settings");
                assert_eq!((settings.mode, settings.issuer.as_deref()), (mode, issuer), "{name}");
                assert_eq!(settings.keys.is_none(), mode == Mode::Disabled);
            }
        }
        for name in ["enterprise", "PROD", "production"] {
            assert_eq!(read(&[("PROFILE", name), AUDIENCE, ISSUER]).expect("settings").mode, Mode::Required);
        }
        let own = read(&[("PROFILE", "keycloak"), AUDIENCE, ISSUER]).expect("settings");
        assert_eq!(own.issuer.as_deref(), Some(ISSUER.1));
        assert_eq!(
            read(&[("PROFILE", "dev"), ISSUER, ("MODE", "required")]).map(|s| s.mode),
            Ok(Mode::Required)
        );
    }

    #[test]
    fn start_up_errors_in_their_order() {
        let all_wrong = [
            ("PROFILE", "strict", "Invalid ARP_AUTH_PROFILE: 'strict'"),
            ("MODE", "maybe", "Invalid ARP_AUTH_MODE: 'maybe'"),
            (
                "REQUIRE_AUDIENCE",
                "true",
                "ARP_AUTH_REQUIRE_AUDIENCE requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID",
            ),
            (
                "ALGORITHMS",
                " , ",
                "ARP_AUTH_ALGORITHMS must include at least one algorithm (for example: RS256)",
            ),
            ("CLOCK_SKEW_SECONDS", "1m", "Invalid ARP_AUTH_CLOCK_SKEW_SECONDS: '1m'"),
        ];
        // Repairing the first of all mistakes shows the next.
        for first in 0..all_wrong.len() {
            let vars: Vec<_> = all_wrong[first..].iter().map(|(name, value, _)| (*name, *value)).collect();
            assert_eq!(read(&vars), Err(all_wrong[first].2.to_owned()));
        }
        let no_source = "JWT auth requires ARP_AUTH_JWKS_URI or ARP_AUTH_ISSUER/ARP_AUTH_OIDC_DISCOVERY_URL \
                         when ARP_AUTH_MODE is not 'disabled'";
        let keycloak = "Dev-Secure-Keycloak profile requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID";
        for (vars, message) in [
            (&[][..], no_source),
            (&[("PROFILE", "enterprise")], no_source),
            (&[("PROFILE", "dev"), ("MODE", "optional")], no_source),
            (&[("PROFILE", "keycloak")], keycloak),
            (&[("PROFILE", "keycloak"), ("ALGORITHMS", ",")], keycloak),
            (&[ISSUER, ("ALGORITHMS", "RS256,HS256")], "ARP_AUTH_ALGORITHMS: 'HS256' is not supported"),
            (&[ISSUER, ("ALGORITHMS", "none")], "ARP_AUTH_ALGORITHMS: 'none' is not supported"),
            (&[ISSUER, ("ALGORITHMS", "rs256")], "ARP_AUTH_ALGORITHMS: 'rs256' is not supported"),
            (&[ISSUER, ("CLOCK_SKEW_SECONDS", "-1")], "Invalid ARP_AUTH_CLOCK_SKEW_SECONDS: '-1'"),
            (&[("ISSUER", "my realm")], "Invalid ARP_AUTH_ISSUER: 'my realm'"),
            (&[("JWKS_URI", "file:///keys")], "Invalid ARP_AUTH_JWKS_URI: 'file:///keys'"),
            (&[("OIDC_DISCOVERY_URL", "/x")], "Invalid ARP_AUTH_OIDC_DISCOVERY_URL: '/x'"),
        ] {
            assert_eq!(read(vars), Err(message.to_owned()), "{vars:?}");
        }
    }

    #[test]
    fn an_enterprise_is_warned_of_what_is_not_checked() {
        let warnings = |vars: &[(&str, &str)]| {
            let all: Vec<_> = [("PROFILE", "enterprise")].iter().chain(vars).copied().collect();
            read(&all).expect("settings").warnings
        };
        assert!(warnings(&[ISSUER, AUDIENCE, ("REQUIRE_AUDIENCE", "true")]).is_empty());
        let audience = warnings(&[ISSUER, ("REQUIRE_AUDIENCE", "No")]);
        assert!(matches!(&audience[..], [one] if one.contains("ARP_AUTH_AUDIENCE is not set")));
        assert_eq!(warnings(&[("JWKS_URI", "http://sts/keys")]).len(), 3);
        assert_eq!(warnings(&[("MODE", "disabled"), ("REQUIRE_AUDIENCE", "true")]).len(), 1);
        assert_eq!(warnings(&[("MODE", "optional"), ISSUER, AUDIENCE]).len(), 1);
    }
}
