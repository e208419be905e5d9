//! A security token service on loopback: it publishes its signing keys at `/keys`,
//! and issues tokens for the coordinator's own calls at `/token`.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use dropshot::{
    ApiDescription, ConfigDropshot, HttpError, HttpResponseOk, HttpServer, RequestContext, ServerBuilder,
    UntypedBody, endpoint,
};
use jarvis_run_coordinator::time::{Clock, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};

pub const ISSUER: &str = "https://sts.example/realm";
pub const AUDIENCE: &str = "arp-run-coordinator";

/// A key pair that signs tokens.
pub struct Signer {
    private: EncodingKey,
    public: Value,
}

/// The key that is published as `known`, and a key that is not published.
static KNOWN: LazyLock<Signer> = LazyLock::new(Signer::new);
static OTHER: LazyLock<Signer> = LazyLock::new(Signer::new);

impl Signer {
    fn new() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("DER");
        // jsonwebtoken expects the PKCS#1 key, which PKCS#8 wraps in a header of fixed
        // length.
        let private = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
        let public = Jwk::from_encoding_key(&private, Algorithm::RS256).expect("a public key");
        let mut public = serde_json::to_value(public).expect("JSON");
        public["kid"] = json!("known");
        Self { private, public }
    }

    pub fn known() -> &'static Self {
        &KNOWN
    }

    pub fn other() -> &'static Self {
        &OTHER
    }

    /// The public key, as published.
    pub fn jwk(&self) -> &Value {
        &self.public
    }

    /// A token whose header names the key `known`.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(Algorithm::RS256, Some("known"), claims)
    }

    pub fn sign_as(&self, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        encode(&header, claims, &self.private).expect("a token")
    }
}

/// Claims that are valid for five minutes, with changes. Null removes a claim.
pub fn claims(changes: &Value) -> Value {
    let now = now();
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300});
    let members = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        members.insert(name.clone(), value.clone());
        members.retain(|_, value| !value.is_null());
    }
    claims
}

/// The present time, in seconds.
pub fn now() -> i64 {
    SystemClock.now().as_micros() / 1_000_000
}

/// The running service.
pub struct Sts {
    url: String,
    _server: HttpServer<()>,
}

impl Sts {
    pub fn start() -> Self {
        let mut api = ApiDescription::new();
        api.register(keys).expect("a sound API");
        api.register(token).expect("a sound API");
        let config = ConfigDropshot {
            bind_address: "127.0.0.1:0".parse().expect("an address"),
            ..ConfigDropshot::default()
        };
        let server = ServerBuilder::new(api, (), Logger::root(Discard, o!()));
        let server = server.config(config).start().expect("the token service listens");
        Self { url: format!("http://{}", server.local_addr()), _server: server }
    }

    /// The variables that make a coordinator require tokens of this service, and
    /// request its own from it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ARP_AUTH_MODE", "required".into()),
            ("ARP_AUTH_ISSUER", ISSUER.into()),
            ("ARP_AUTH_AUDIENCE", AUDIENCE.into()),
            ("ARP_AUTH_JWKS_URI", format!("{}/keys", self.url)),
            ("ARP_AUTH_CLIENT_ID", "the-coordinator".into()),
            ("ARP_AUTH_CLIENT_SECRET", "its secret".into()),
            ("ARP_AUTH_TOKEN_ENDPOINT", format!("{}/token", self.url)),
        ]
    }
}

type Rq = RequestContext<()>;

#[endpoint { method = GET, path = "/keys" }]
async fn keys(_: Rq) -> Result<HttpResponseOk<Value>, HttpError> {
    Ok(HttpResponseOk(json!({"keys": [Signer::known().jwk()]})))
}

/// Issues a token that names its audience.
#[endpoint { method = POST, path = "/token" }]
async fn token(_: Rq, form: UntypedBody) -> Result<HttpResponseOk<Value>, HttpError> {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let field = |name: &str| form.iter().find(|(field, _)| field == name).map_or("-", |(_, value)| value);
    if field("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange" {
        return exchanged(&field);
    }
    let credentials = (field("grant_type"), field("client_id"), field("client_secret"));
    if credentials != ("client_credentials", "the-coordinator", "its secret") {
        return Err(HttpError::for_bad_request(None, format!("{credentials:?}")));
    }
    let token = format!("token-for-{}", field("audience"));
    Ok(HttpResponseOk(json!({"access_token": token, "expires_in": 300})))
}

/// Exchanges the token of a caller, if it has not expired: the new one names the
/// caller, the client that acts for it, and the audience.
fn exchanged<'f>(field: &dyn Fn(&str) -> &'f str) -> Result<HttpResponseOk<Value>, HttpError> {
    let refused = |reason: &str| Err(HttpError::for_bad_request(None, reason.to_owned()));
    let is_ours = field("client_id") == "the-coordinator" && field("client_secret") == "its secret";
    if !is_ours || field("subject_token_type") != "urn:ietf:params:oauth:token-type:access_token" {
        return refused("invalid_client");
    }
    let payload = field("subject_token").split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&payload).unwrap_or_default();
    if claims["exp"].as_i64().is_none_or(|expires| expires <= now()) {
        return refused("invalid_grant");
    }
    let (subject, audience) = (claims["sub"].as_str().unwrap_or_default(), field("audience"));
    let issued = format!("exchanged-for-{subject}-by-{}-at-{audience}", field("client_id"));
    Ok(HttpResponseOk(json!({"access_token": issued, "expires_in": 300})))
}
