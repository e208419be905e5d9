//! Authentication (§19).

use crate::{
    bench::Bench,
    check::{Check, Need},
    http::{Answer, As},
    values::text,
    verdict::{Verdict, ensure},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

const TOKEN: &[Need] = &[Need::Token];

pub(super) const CHECKS: &[Check] = &[
    Check::new("core/19/no-token", "Without a token everything but health and version is 401", none)
        .needs(TOKEN),
    Check::new(
        "core/19/malformed-header",
        "A header that is not two words, the first bearer, is 401",
        malformed,
    )
    .needs(TOKEN),
    Check::new("core/19/bearer-in-any-case", "The word bearer may be written in any case", any_case)
        .needs(TOKEN),
    Check::new("core/19/forged-token", "A token without a signature, or of another issuer, is 401", forged)
        .needs(TOKEN),
    Check::new("core/19/unknown-route", "Without a token an unknown route is 401 first", unknown_route)
        .needs(TOKEN),
    Check::new("core/19/open-endpoints", "Health and version ignore even a bad token", open).needs(TOKEN),
];

fn refused(answer: &Answer, error: &str, message: &str) -> Verdict {
    answer.says(401, "unauthorized", message)?;
    let wanted = format!("Bearer error=\"{error}\", error_description=\"{message}\"");
    let seen = answer.challenge.clone().unwrap_or_default();
    ensure(seen == wanted, || format!("WWW-Authenticate: {seen}, not {wanted}"))
}

fn none(b: &Bench) -> Verdict {
    for (method, path) in [
        ("POST", "/v1/runs"),
        ("GET", "/v1/runs/a"),
        ("POST", "/v1/runs/a:cancel"),
        ("GET", "/v1/runs/a/events"),
        ("POST", "/v1/node-runs"),
        ("GET", "/v1/node-runs/a"),
        ("POST", "/v1/node-runs/a:complete"),
        ("POST", "/v1/node-runs/a:evaluation"),
        ("GET", "/v1/node-runs/a/events"),
    ] {
        let answer = b.http.send(method, path, As::Anonymous, Some("application/json"), "{}")?;
        refused(&answer, "invalid_request", "Missing Authorization header")?;
    }
    Ok(())
}

fn malformed(b: &Bench) -> Verdict {
    for header in ["Bearer", "Basic dXNlcjpwYXNz", "Bearer a b", "token"] {
        let answer = b.http.send("GET", "/v1/runs/a", As::Header(header), None, "")?;
        refused(&answer, "invalid_request", "Invalid Authorization header")?;
    }
    Ok(())
}

fn any_case(b: &Bench) -> Verdict {
    let token = b.setup.token.clone().unwrap_or_default();
    let id = b.fresh("nowhere");
    for word in ["bearer", "BEARER"] {
        let header = format!("{word} {token}");
        let answer = b.http.send("GET", &format!("/v1/runs/{id}"), As::Header(&header), None, "")?;
        answer.refused(404, "run_not_found")?;
    }
    Ok(())
}

fn forged(b: &Bench) -> Verdict {
    let token = b.setup.token.clone().unwrap_or_default();
    let part = |index: usize| token.split('.').nth(index).unwrap_or_default().to_owned();
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let other_claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"root","exp":4102444800}"#);
    for forged in [
        "garbage".to_owned(),
        format!("{unsigned}.{}.", part(1)),
        format!("{}.{other_claims}.{}", part(0), part(2)),
        format!("{}.{}.{}", part(0), part(1), URL_SAFE_NO_PAD.encode([7; 256])),
    ] {
        let header = format!("Bearer {forged}");
        let answer = b.http.send("GET", "/v1/runs/a", As::Header(&header), None, "")?;
        let error = answer.refused(401, "unauthorized")?;
        // Both codes are right: it depends on what is verified first.
        let message = error["message"].as_str().unwrap_or_default();
        ensure(["Invalid token", "Unable to fetch JWKS"].contains(&message), || message.to_owned())?;
        refused(&answer, "invalid_token", message)?;
    }
    Ok(())
}

fn unknown_route(b: &Bench) -> Verdict {
    let answer = b.http.send("GET", "/v1/nothing", As::Anonymous, None, "")?;
    refused(&answer, "invalid_request", "Missing Authorization header")
}

fn open(b: &Bench) -> Verdict {
    for (path, member) in [("/v1/health", "status"), ("/v1/version", "service_name")] {
        for who in [As::Anonymous, As::Header("Bearer garbage")] {
            text(&b.http.send("GET", path, who, None, "")?.ok()?, member)?;
        }
    }
    Ok(())
}
