//! The inbound variables, one by one and together.

use std::{collections::BTreeMap, time::Duration};

use jsonwebtoken::Algorithm;
use url::Url;

use super::{AuthSettings, Authorization, Belongs, KEYCLOAK_ISSUER, KeySource, Mode};

fn read(vars: &[(&str, &str)]) -> Result<AuthSettings, String> {
    let vars: BTreeMap<String, String> =
        vars.iter().map(|(name, value)| (format!("ARP_AUTH_{name}"), (*value).to_owned())).collect();
    AuthSettings::from_vars(&vars).map_err(|error| error.to_string())
}

const ISSUER: (&str, &str) = ("ISSUER", "https://sts.example/realm");
const AUDIENCE: (&str, &str) = ("AUDIENCE", "arp-run-coordinator");

#[test]
fn unset_variables_have_defaults() {
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
        tenant_claim: "tenant_id".into(),
        roles_claim: "roles".into(),
        authorization: Authorization { by_token: true, ..Authorization::default() },
        warnings: vec![],
    };
    assert_eq!(settings, expected);
}

#[test]
fn every_variable_is_read() {
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
    assert_eq!(settings.issuer.as_deref(), Some("https://sts.example/"), "the trailing slash is significant");
    assert_eq!(settings.audience.as_deref(), Some("me"));
    assert_eq!(settings.keys, Some(KeySource::Jwks(Url::parse("https://sts.example/keys").expect("a URL"))));
    assert_eq!(settings.algorithms, [Algorithm::ES256, Algorithm::RS512, Algorithm::EdDSA]);
    assert_eq!(settings.clock_skew, Duration::ZERO);
    assert_eq!(settings.exempt_paths, ["/a", "/b"]);
    assert_eq!((settings.dev_subject.as_str(), settings.anonymous_subject.as_str()), ("d", "a"));

    let slash = read(&[("ISSUER", "https://sts.example/")]).expect("settings").keys.expect("keys");
    assert_eq!(slash.url().as_str(), "https://sts.example/.well-known/openid-configuration");
}

#[test]
fn profiles_set_mode_and_issuer() {
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
    assert_eq!(read(&[("PROFILE", "dev"), ISSUER, ("MODE", "required")]).map(|s| s.mode), Ok(Mode::Required));
}

#[test]
fn errors_come_in_the_order_of_the_reference() {
    let all_wrong = [
        ("PROFILE", "strict", "Invalid ARP_AUTH_PROFILE: 'strict'"),
        ("MODE", "maybe", "Invalid ARP_AUTH_MODE: 'maybe'"),
        (
            "REQUIRE_AUDIENCE",
            "true",
            "ARP_AUTH_REQUIRE_AUDIENCE requires ARP_AUTH_AUDIENCE or ARP_AUTH_SERVICE_ID",
        ),
        ("ALGORITHMS", " , ", "ARP_AUTH_ALGORITHMS must include at least one algorithm (for example: RS256)"),
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
fn enterprise_profile_warns_about_missing_checks() {
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

#[test]
fn authorization_is_open_unless_asked_for_or_enterprise() {
    let own = |name: &str| format!("JARVIS_RUN_COORDINATOR_{name}");
    let read = |vars: &[(&str, &str)], authorization: &[(&str, &str)]| {
        let inbound = vars.iter().map(|(name, value)| (format!("ARP_AUTH_{name}"), (*value).to_owned()));
        let ours = authorization.iter().map(|(name, value)| (own(name), (*value).to_owned()));
        let vars: BTreeMap<String, String> = inbound.chain(ours).collect();
        AuthSettings::from_vars(&vars).map_err(|error| error.to_string())
    };
    let belongs = |vars: &[(&str, &str)], given: &[(&str, &str)]| {
        read(vars, given).map(|settings| settings.authorization.belongs)
    };
    let enterprise = ("PROFILE", "enterprise");
    assert_eq!(belongs(&[ISSUER], &[]), Ok(Belongs::Open));
    assert_eq!(belongs(&[ISSUER, enterprise], &[]), Ok(Belongs::Tenant));
    assert_eq!(belongs(&[ISSUER, enterprise], &[("AUTHORIZATION", "open")]), Ok(Belongs::Open));
    assert_eq!(belongs(&[ISSUER], &[("AUTHORIZATION", "Owner")]), Ok(Belongs::Owner));
    assert_eq!(belongs(&[enterprise, ("MODE", "disabled")], &[]), Ok(Belongs::Open));
    let refused = belongs(&[("PROFILE", "dev")], &[("AUTHORIZATION", "tenant")]).expect_err("an error");
    assert!(refused.contains("requires ARP_AUTH_MODE"), "{refused}");
    assert!(belongs(&[ISSUER], &[("AUTHORIZATION", "all")]).is_err());
    let claims =
        [("TENANT_CLAIM", "org"), ("ROLES_CLAIM", "realm_access.roles"), ("TRUSTED_CLIENTS", "a, b,")];
    let settings = read(&[ISSUER], &claims).expect("settings");
    assert_eq!(
        (settings.tenant_claim.as_str(), settings.roles_claim.as_str()),
        ("org", "realm_access.roles")
    );
    assert_eq!(settings.authorization.trusted_clients, ["a", "b"]);
}
