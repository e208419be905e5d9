//! Tokens for the services, asked for as the server does; and the token of the commands.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use futures::future::join_all;
use serde_json::Value;
use slog::{Discard, Logger, o};

use super::{super::peers::token_source_options, ask::Asker, finding::Finding};
use crate::{
    clients::TokenSource,
    config::{Settings, Vars, settings::client_token, variables as v},
    redact::Redactor,
    resilience::ServiceWatch,
    runtime::tasks::TaskSet,
    time::{SystemClock, Timestamp},
};

const CHECK: &str = "token";

/// Tokens by their audience.
#[derive(Default)]
pub(super) struct Tokens(BTreeMap<String, Arc<str>>);

impl Tokens {
    /// The token for an audience, if there is one.
    pub(super) fn get(&self, audience: &str) -> Option<&str> {
        self.0.get(audience).map(|token| &**token)
    }
}

/// Asks for a token for each audience, if the server calls with tokens.
pub(super) async fn fetch(
    settings: &Settings,
    audiences: &BTreeMap<String, &'static str>,
    asker: &Asker<'_>,
) -> (Tokens, Vec<Finding>) {
    let Some(outbound) = &settings.outbound else { return (Tokens::default(), Vec::new()) };
    let log = Logger::root(Discard, o!());
    let watch =
        Arc::new(ServiceWatch::new("token_service", outbound.token_endpoint.address(), 1, log.clone()));
    let options = token_source_options(outbound, watch, Arc::new(|_| {}));
    let tasks = TaskSet::new(log.clone());
    let source = TokenSource::new(options, asker.http.clone(), Arc::new(SystemClock), tasks, log);
    let (source, redactor) = (&source, Redactor::new(&settings.redact));
    let asked = audiences
        .iter()
        .map(|(audience, set_by)| async move { (audience, *set_by, source.ask(audience).await) });
    let (mut tokens, mut findings) = (Tokens::default(), Vec::new());
    for (audience, set_by, answer) in join_all(asked).await {
        findings.push(match answer {
            Ok(token) => {
                let finding = judged(audience, set_by, &token, asker.clock.now());
                tokens.0.insert(audience.clone(), token);
                finding
            }
            Err(error) => Finding::failed(
                CHECK,
                format!(
                    "{} gives no token for {audience}: {}",
                    outbound.token_endpoint.address(),
                    redactor.message(&error)
                ),
                format!(
                    "{} or {} says where tokens come from, {} and {} as whom they are asked for; {set_by} is the \
                     audience.",
                    v::AUTH_TOKEN_ENDPOINT.name,
                    v::AUTH_ISSUER.name,
                    v::AUTH_CLIENT_ID.name,
                    v::AUTH_CLIENT_SECRET.name
                ),
            ),
        });
    }
    (tokens, findings)
}

/// Whether a token can be what the service expects. One that is not a JWT says nothing.
fn judged(audience: &str, set_by: &str, token: &str, now: Timestamp) -> Finding {
    let Some(claims) = claims(token) else {
        return Finding::ok(CHECK, format!("a token for {audience}, not a JWT"));
    };
    let of = match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    if !of.contains(&audience) {
        let of = if of.is_empty() { "none".to_owned() } else { of.join(", ") };
        return Finding::warning(
            CHECK,
            format!("the token for {audience} has another audience: {of}"),
            format!(
                "If the service checks it, it refuses the token: correct {set_by}, or set {}, or {}, for a token \
                 service that goes by these.",
                v::AUTH_SCOPE.name,
                v::TOKEN_AUDIENCE_FIELD.name
            ),
        );
    }
    let left = expires(&claims).map(|expires| format!(", good for {} s", expires.since(now).as_secs()));
    Finding::ok(CHECK, format!("a token for {audience}{}", left.unwrap_or_default()))
}

/// The token that commands send, if there is one.
pub fn token_of_commands(vars: &dyn Vars, now: Timestamp) -> Option<Finding> {
    const OF_COMMANDS: &str = "token_of_commands";
    let (name, file) = (v::TOKEN.name, v::TOKEN_FILE.name);
    let remedy = format!("Set another one with {name} or {file}.");
    let source = match client_token(vars) {
        Ok(source) => source?,
        Err(error) => {
            let remedy = error.remedy().unwrap_or(remedy);
            return Some(Finding::failed(OF_COMMANDS, error.to_string(), remedy));
        }
    };
    let token = match source.read() {
        Ok(token) => token,
        Err(error) => return Some(Finding::failed(OF_COMMANDS, error.to_string(), remedy)),
    };
    let expires = claims(token.expose()).as_ref().and_then(expires);
    Some(match expires {
        Some(expires) if expires <= now => {
            Finding::failed(OF_COMMANDS, format!("it has expired at {expires}"), remedy)
        }
        Some(expires) => Finding::ok(OF_COMMANDS, format!("good until {expires}")),
        None => Finding::ok(OF_COMMANDS, "there is one; it does not say how long it is good"),
    })
}

/// The claims of a JWT, which are not verified.
fn claims(token: &str) -> Option<Value> {
    let [_, claims, _] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

fn expires(claims: &Value) -> Option<Timestamp> {
    let seconds = claims["exp"].as_f64()?;
    // The cast saturates.
    Some(Timestamp::from_micros((seconds * 1e6) as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::finding::Verdict, *};

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn token(claims: &Value) -> String {
        format!("e30.{}.hush", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[test]
    fn token_of_another_audience_is_a_warning() {
        for (claims, verdict, says) in [
            (json!({"aud": "pdp", "exp": 1_800_000_300}), Verdict::Ok, "a token for pdp, good for 300 s"),
            (json!({"aud": ["x", "pdp"]}), Verdict::Ok, "a token for pdp"),
            (json!({"aud": ["x", "y"]}), Verdict::Warning, "another audience: x, y"),
            (json!({}), Verdict::Warning, "another audience: none"),
        ] {
            let finding = judged("pdp", "JARVIS_PDP_AUDIENCE", &token(&claims), NOW);
            assert_eq!(finding.status, verdict, "{claims}");
            assert!(finding.message.ends_with(says) && !finding.message.contains("hush"), "{finding:?}");
        }
        assert_eq!(judged("pdp", "X", "opaque", NOW).message, "a token for pdp, not a JWT");
    }

    #[test]
    fn expired_token_of_the_commands_is_found() {
        let found = |value: &str| {
            let vars = BTreeMap::from([("JARVIS_RUN_COORDINATOR_TOKEN".to_owned(), value.to_owned())]);
            token_of_commands(&vars, NOW)
        };
        assert_eq!(found(""), None);
        let verdict = |claims: &Value| found(&token(claims)).expect("a token").status;
        assert_eq!(verdict(&json!({"exp": 1_800_000_000})), Verdict::Failed);
        assert_eq!(verdict(&json!({"exp": 1_800_000_001})), Verdict::Ok);
        assert_eq!(verdict(&json!({})), Verdict::Ok);
        assert_eq!(found("opaque").expect("a token").status, Verdict::Ok);
    }
}
