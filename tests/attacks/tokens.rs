//! Forged, confused, huge and repeated credentials.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::{
    support::{FakeService, Signer, Sts, process::start_request, sts::claims},
    target::{AT_REST_MIB, Target},
};

const PEAK_MIB: u64 = AT_REST_MIB + 16;

/// A token with this header, valid claims, and a signature that is not one.
fn unsigned(header: &Value, signature: &str) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.{signature}", part(header), part(&claims(&json!({}))))
}

fn hmac(secret: &[u8]) -> String {
    let header = Header { kid: Some("known".into()), ..Header::new(Algorithm::HS256) };
    encode(&header, &claims(&json!({})), &EncodingKey::from_secret(secret)).expect("a token")
}

/// A request to start a run, with these header lines.
fn start(headers: &[u8]) -> Vec<u8> {
    let body = start_request("run", "atomic.echo").to_string();
    let head = format!(
        "POST /v1/runs HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    [head.as_bytes(), headers, b"\r\n", body.as_bytes()].concat()
}

#[tokio::test]
async fn forged_credentials_are_refused() {
    let (sts, hostile) = (Sts::start(), FakeService::start(|_, _| json!({"keys": [Signer::other().jwk()]})));
    let variables = sts.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    let target = Target::start(&variables).await;
    let good = Signer::known().sign(&claims(&json!({})));
    let (head, rest) = good.split_once('.').expect("a token");
    let (payload, signature) = rest.split_once('.').expect("a token");
    let jwk = Signer::known().jwk();
    let keys_at =
        |member: &str| json!({"alg": "RS256", "kid": "other", member: format!("{}/keys", hostile.url())});
    let mut attacks: Vec<(String, Vec<u8>)> = Vec::new();
    let mut bearer = |what: &str, token: &str| {
        attacks.push((what.into(), format!("authorization: Bearer {token}\r\n").into_bytes()));
    };
    for alg in ["none", "None", "nOnE", "", "RS256 ", "rs256", "HS256", "dir"] {
        for signature in ["", signature, "AAAA"] {
            bearer(alg, &unsigned(&json!({"alg": alg, "kid": "known"}), signature));
        }
    }
    for secret in [jwk["n"].as_str().expect("n"), &jwk.to_string(), "", "its secret"] {
        bearer("the public key as a secret", &hmac(secret.as_bytes()));
    }
    bearer("another's key", &Signer::other().sign(&claims(&json!({}))));
    for member in ["jku", "x5u"] {
        bearer(member, &unsigned(&keys_at(member), "AAAA"));
    }
    bearer("a key of its own", &unsigned(&json!({"alg": "RS256", "jwk": Signer::other().jwk()}), signature));
    for kid in
        ["../../../../etc/passwd", "http://127.0.0.1/", "known\u{0}", "' OR 1=1 --", &"k".repeat(10_000)]
    {
        bearer("a kid that is no name", &unsigned(&json!({"alg": "RS256", "kid": kid}), signature));
    }
    bearer(
        "a critical extension",
        &unsigned(&json!({"alg": "RS256", "kid": "known", "crit": ["exp"]}), signature),
    );
    bearer("no signature", &format!("{head}.{payload}."));
    bearer("two parts", &format!("{head}.{payload}"));
    bearer("five parts", &format!("{good}.{payload}.{signature}"));
    bearer("another alphabet", &good.replace(['-', '_'], "+"));
    bearer("with padding", &format!("{good}=="));
    bearer("deep claims", &format!("{head}.{}.{signature}", URL_SAFE_NO_PAD.encode("[".repeat(100_000))));
    bearer("of a mebibyte", &"a".repeat(300_000));
    bearer("of nothing", "");
    bearer("of dots", &".".repeat(10_000));
    for (what, lines) in [
        ("none", String::new()),
        ("two, of which one is good", format!("authorization: Bearer {good}\r\nauthorization: Bearer x\r\n")),
        ("two good ones", format!("authorization: Bearer {good}\r\n").repeat(2)),
        ("two in one line", format!("authorization: Bearer {good}, Bearer {good}\r\n")),
        ("another scheme", format!("authorization: Token {good}\r\n")),
        ("basic", format!("authorization: Basic {good}\r\n")),
        ("no scheme", format!("authorization: {good}\r\n")),
        ("no blank", format!("authorization: Bearer{good}\r\n")),
        (
            "another header",
            format!("proxy-authorization: Bearer {good}\r\nx-authorization: Bearer {good}\r\n"),
        ),
        ("a cookie", format!("cookie: authorization=Bearer {good}\r\n")),
    ] {
        attacks.push((what.into(), lines.into_bytes()));
    }
    for (what, headers) in &attacks {
        let reply = target.send(&start(headers)).await.only();
        // A head beyond the limit is refused before its token is read.
        match headers.len() > 250_000 {
            true => assert!([401, 431].contains(&reply.status), "{what}: {reply:?}"),
            false => _ = reply.refused(401, "unauthorized"),
        }
        assert!(!reply.body.contains(&good) && reply.body.len() < 1_000, "{what}: {reply:?}");
    }
    assert_eq!(hostile.requests(), Vec::<Value>::new(), "no key is fetched from a URL in a token");
    // The same request with the valid token is accepted: only the credentials were refused.
    let written = target.written();
    assert!(written.iter().all(|(_, rows)| *rows == 0), "{written:?}");
    assert!(target.executors.calls().is_empty());
    let reply = target.send(&start(format!("authorization: Bearer {good}\r\n").as_bytes())).await.only();
    assert_eq!(reply.status, 200, "{reply:?}");
    let log = target.alive(PEAK_MIB).await;
    assert!(!log.contains(&good) && !log.contains(signature), "{log}");
}
