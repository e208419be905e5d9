//! Fixtures for the tests of authentication: signing keys, a clock that the test
//! moves, and a token service on loopback that can fail in the usual ways.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::{Value, json};
use slog::{Discard, Logger, o};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{
    Admission, AssignmentTokens, AuthError, Authenticator, Clocks, KeySource, Keyring, Parts, Principal,
    keyring::KEY_BYTES,
};
use crate::config::AuthSettings;
use crate::{
    runtime::tasks::TaskSet,
    time::{Clock, Timestamp},
};

pub(super) struct Signer {
    algorithm: Algorithm,
    private: EncodingKey,
    public: Jwk,
}

impl Signer {
    fn new(algorithm: Algorithm, private: EncodingKey) -> Self {
        let public = Jwk::from_encoding_key(&private, algorithm).expect("a public key");
        Self { algorithm, private, public }
    }

    fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("DER");
        // jsonwebtoken needs the PKCS#1 key, which PKCS#8 wraps in a header of
        // fixed length.
        Self::new(Algorithm::RS256, EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]))
    }

    fn ec() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::new(Algorithm::ES256, EncodingKey::from_ec_der(pkcs8.expect("a key").as_ref()))
    }

    fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("a key");
        Self::new(Algorithm::EdDSA, EncodingKey::from_ed_der(pkcs8.as_ref()))
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let mut jwk = serde_json::to_value(&self.public).expect("JSON");
        jwk["kid"] = json!(kid);
        jwk["use"] = json!("sig");
        jwk
    }

    pub(super) fn sign(&self, kid: &str, claims: &Value) -> String {
        self.sign_as(self.algorithm, Some(kid), claims)
    }

    pub(super) fn sign_as(&self, algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
        self.sign_with(&header, claims)
    }

    pub(super) fn sign_with(&self, header: &Header, claims: &Value) -> String {
        encode(header, claims, &self.private).expect("a token")
    }
}

pub(super) static RSA: LazyLock<Signer> = LazyLock::new(Signer::rsa);
pub(super) static OTHER_RSA: LazyLock<Signer> = LazyLock::new(Signer::rsa);
pub(super) static EC: LazyLock<Signer> = LazyLock::new(Signer::ec);
pub(super) static ED: LazyLock<Signer> = LazyLock::new(Signer::ed);

/// A clock that moves when the test moves it.
pub(super) struct ManualClock(AtomicI64);

impl ManualClock {
    pub(super) fn advance(&self, time: Duration) {
        self.0.fetch_add(i64::try_from(time.as_micros()).expect("a time"), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending().await // Time limits do not pass here.
    }
}

/// The wall clock: [`ManualClock`], until the test sets it.
pub(super) struct Wall {
    clock: Arc<ManualClock>,
    ahead_micros: AtomicI64,
}

impl Wall {
    pub(super) fn set_ahead(&self, seconds: i64) {
        self.ahead_micros.store(seconds * 1_000_000, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.clock.now().as_micros() + self.ahead_micros.load(Ordering::SeqCst))
    }
    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
    }
}

/// How the STS answers.
#[derive(Clone)]
pub(super) enum Answer {
    Json(Value),
    Text(String),
    Status(u16),
    HangUp,
}

/// A token service on loopback.
#[derive(Clone)]
pub(super) struct Sts {
    pub(super) address: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    requests: Arc<watch::Sender<BTreeMap<String, usize>>>,
    open: Arc<watch::Sender<bool>>,
}

impl Sts {
    async fn start(tasks: &TaskSet) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let sts = Self {
            address: format!("http://{}", listener.local_addr().expect("an address")),
            answers: Arc::default(),
            requests: Arc::new(watch::Sender::new(BTreeMap::new())),
            open: Arc::new(watch::Sender::new(true)),
        };
        let (server, spawner) = (sts.clone(), tasks.clone());
        tasks.spawn("sts", async move {
            loop {
                tokio::select! {
                    () = spawner.stopping().cancelled() => return,
                    accepted = listener.accept() => {
                        let (stream, _) = accepted.expect("a connection");
                        let server = server.clone();
                        spawner.spawn("sts connection", async move { server.serve(stream).await });
                    }
                }
            }
        });
        sts
    }

    pub(super) fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub(super) fn publish(&self, keys: &[Value]) {
        self.answer("/keys", Answer::Json(json!({ "keys": keys })));
    }

    /// Delays answers until [`Sts::release`].
    pub(super) fn hold(&self) {
        self.open.send_replace(false);
    }

    pub(super) fn release(&self) {
        self.open.send_replace(true);
    }

    pub(super) fn requests(&self, path: &str) -> usize {
        self.requests.borrow().get(path).copied().unwrap_or(0)
    }

    /// Waits for this number of requests for `path`.
    pub(super) async fn requested(&self, path: &str, times: usize) {
        let mut requests = self.requests.subscribe();
        requests.wait_for(|requests| requests.get(path) >= Some(&times)).await.expect("open");
    }

    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.expect("a request") == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).expect("a path").to_owned();
        self.requests.send_modify(|requests| *requests.entry(path.clone()).or_default() += 1);
        self.open.subscribe().wait_for(|open| *open).await.expect("open");
        let answer = self.answers.lock().unwrap().get(&path).cloned().unwrap_or(Answer::Status(404));
        let (status, body) = match answer {
            Answer::Json(body) => (200, body.to_string()),
            Answer::Text(body) => (200, body),
            Answer::Status(status) => (status, String::new()),
            Answer::HangUp => return,
        };
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        // The client hangs up if the answer is too long.
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        drop(stream.shutdown().await);
    }
}

/// An authenticator, its STS and its clocks.
pub(super) struct Harness {
    pub(super) auth: Authenticator,
    pub(super) sts: Sts,
    pub(super) clock: Arc<ManualClock>,
    pub(super) wall: Arc<Wall>,
    pub(super) tasks: TaskSet,
}

pub(super) const ISSUER: &str = "https://sts.example/realm/";
pub(super) const AUDIENCE: &str = "arp-run-coordinator";

/// The key of assignment tokens.
pub(super) const ASSIGNMENT_KEY: [u8; KEY_BYTES] = [7; KEY_BYTES];

/// Keys that are kept in memory. A test may rotate them; `None`: they cannot be
/// read.
pub(super) struct Keys(pub(super) parking_lot::Mutex<Option<Keyring>>);

#[async_trait]
impl KeySource for Keys {
    async fn read(&self) -> Option<Keyring> {
        self.0.lock().clone()
    }
}

/// Assignment tokens of one key.
pub(super) fn assignment_tokens(key: &[u8; KEY_BYTES], skew: Duration) -> AssignmentTokens {
    let keyring = Keyring::decode(key).expect("a key");
    let source = Arc::new(Keys(parking_lot::Mutex::new(Some(keyring.clone()))));
    AssignmentTokens::new(keyring, source, skew)
}

/// In seconds.
pub(super) const NOW: i64 = 1_800_000_000;

impl Harness {
    /// Starts with keys at `/keys` and the algorithms RS256, ES256 and EdDSA; `vars`
    /// are added.
    pub(super) async fn start(vars: &[(&str, &str)]) -> Self {
        let log = Logger::root(Discard, o!());
        let tasks = TaskSet::new(log.clone());
        let sts = Sts::start(&tasks).await;
        sts.publish(&[RSA.jwk("rsa")]);
        let keys = format!("{}/keys", sts.address);
        let defaults = [
            ("JWKS_URI", keys.as_str()),
            ("ISSUER", ISSUER),
            ("AUDIENCE", AUDIENCE),
            ("ALGORITHMS", "RS256,ES256,EdDSA"),
        ];
        let vars: BTreeMap<String, String> = defaults
            .iter()
            .chain(vars)
            .map(|(name, value)| {
                let known = name.starts_with("JARVIS_");
                let name = if known { (*name).to_owned() } else { format!("ARP_AUTH_{name}") };
                (name, value.replace("{sts}", &sts.address))
            })
            .collect();
        let settings = AuthSettings::from_vars(&vars).expect("settings");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let clock = Arc::new(ManualClock(AtomicI64::new(NOW * 1_000_000)));
        let wall = Arc::new(Wall { clock: Arc::clone(&clock), ahead_micros: AtomicI64::new(0) });
        let clocks = Clocks { steady: Arc::clone(&clock) as _, wall: Arc::clone(&wall) as _ };
        let assignments = Some(Arc::new(assignment_tokens(&ASSIGNMENT_KEY, settings.clock_skew)));
        let auth = Authenticator::new(Parts {
            settings,
            keeps_tokens: false,
            assignments,
            http,
            clocks,
            tasks: tasks.clone(),
            log,
        });
        Self { auth, sts, clock, wall, tasks }
    }

    /// Claims that are valid for five minutes.
    pub(super) fn claims(&self) -> Value {
        let now = self.clock.now().as_micros() / 1_000_000;
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300})
    }

    /// A token with changed claims; null removes one.
    pub(super) fn token(&self, changes: Value) -> String {
        RSA.sign("rsa", &self.changed(changes))
    }

    pub(super) fn changed(&self, changes: Value) -> Value {
        let mut claims = self.claims();
        let members = claims.as_object_mut().expect("an object");
        let Value::Object(changes) = changes else { panic!("an object") };
        for (name, value) in changes {
            if value.is_null() {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
        }
        claims
    }

    pub(super) async fn call(&self, token: &str) -> Result<Principal, AuthError> {
        let headers = authorization(&format!("Bearer {token}"));
        match self.auth.authenticate("/v1/runs", &headers).await? {
            Admission::Caller(principal) => Ok(principal),
            Admission::Exempt => panic!("not exempt"),
        }
    }

    pub(super) async fn refusal(&self, token: &str) -> &'static str {
        match self.call(token).await {
            Ok(_) => "welcome",
            Err(AuthError { error: "invalid_token", message }) => message,
            Err(other) => panic!("{other:?}"),
        }
    }
}

pub(super) fn authorization(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"))])
}
