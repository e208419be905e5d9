//! Tokens from an endpoint on loopback, with a clock that the test moves, and a
//! service (a PDP) that accepts or refuses them.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::{Value, json};
use slog::{Discard, Drain, o};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;
use crate::{
    clients::{CallError, Failure, Peer, Service, pdp},
    time::Timestamp,
};

struct ManualClock(AtomicI64);

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _: Duration) {
        std::future::pending().await // Time limits do not pass here.
    }
}

/// A request that was received.
#[derive(Clone)]
struct Asked {
    path: String,
    token: String,
    body: String,
}

type Answers = dyn FnMut(&Asked) -> (u16, Value) + Send;

/// All on one address: the token endpoint at `/token`, the service at every other
/// path.
struct World {
    url: String,
    tokens: Arc<TokenSource>,
    clock: Arc<ManualClock>,
    tasks: TaskSet,
    asked: Arc<watch::Sender<Vec<Asked>>>,
    open: Arc<watch::Sender<bool>>,
}

impl World {
    async fn new(answers: impl FnMut(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        Self::with_log(Logger::root(Discard, o!()), answers).await
    }

    async fn with_log(log: Logger, answers: impl FnMut(&Asked) -> (u16, Value) + Send + 'static) -> Self {
        let tasks = TaskSet::new(log.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let clock = Arc::new(ManualClock(AtomicI64::new(0)));
        let options = TokenSourceOptions {
            endpoint: format!("{url}/token"),
            client_id: "me".into(),
            client_secret: Arc::new(|| Ok("hush".to_owned())),
            scope: Some("a b".into()),
            audience_field: "resource",
            timeout: Duration::from_secs(30),
            watch: Arc::new(ServiceWatch::new("token_service", "sts", 1, log.clone())),
            asked: Arc::new(|_| ()),
        };
        let tokens =
            TokenSource::new(options, reqwest::Client::new(), Arc::clone(&clock) as _, tasks.clone(), log);
        let world = Self {
            url,
            tokens,
            clock,
            tasks: tasks.clone(),
            asked: Arc::default(),
            open: Arc::new(watch::Sender::new(true)),
        };
        let answers: Arc<Mutex<Box<Answers>>> = Arc::new(Mutex::new(Box::new(answers)));
        let (asked, open) = (Arc::clone(&world.asked), Arc::clone(&world.open));
        world.tasks.spawn("loopback", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, asked, open) = (Arc::clone(&answers), Arc::clone(&asked), Arc::clone(&open));
                tasks.spawn("connection", async move { serve(stream, &answers, &asked, &open).await });
            }
        });
        world
    }

    /// Every token is a new one, with this `expires_in`.
    async fn with_lives(expires_in: Value) -> Self {
        let mut count = 0;
        Self::new(move |_| {
            count += 1;
            (200, json!({"access_token": format!("token-{count}"), "expires_in": expires_in}))
        })
        .await
    }

    async fn token(&self) -> Result<Arc<str>, String> {
        self.tokens.audience("urn:the:service").get().await
    }

    fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    fn requests(&self) -> usize {
        self.asked.borrow().iter().filter(|asked| asked.path == "/token").count()
    }

    async fn requested(&self, count: usize) {
        let mut asked = self.asked.subscribe();
        let enough =
            |asked: &Vec<Asked>| asked.iter().filter(|asked| asked.path == "/token").count() >= count;
        asked.wait_for(enough).await.unwrap();
    }

    /// Waits for this token.
    async fn becomes(&self, token: &str) {
        while self.token().await.as_deref() != Ok(token) {
            tokio::task::yield_now().await;
        }
    }

    /// Asks the service for a decision.
    async fn call(&self) -> Result<(), CallError> {
        let peer = Peer::with_audience(Service::Pdp, &self.tokens, "pdp");
        let client = pdp::Client::new_with_client(&self.url, reqwest::Client::new(), peer);
        let request = serde_json::from_value(json!({"action": "run.start"})).unwrap();
        client.call(client.decide_policy(&request)).await.map(drop)
    }

    /// The tokens that the service has received.
    fn borne(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        asked.iter().filter(|asked| asked.path != "/token").map(|asked| asked.token.clone()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

async fn serve(
    stream: TcpStream,
    answers: &Mutex<Box<Answers>>,
    asked: &watch::Sender<Vec<Asked>>,
    open: &watch::Sender<bool>,
) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap() == 0 {
            return;
        }
    }
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let mut body = vec![0; header("content-length:").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let this = Asked {
        path: head.split(' ').nth(1).unwrap().to_owned(),
        token: header("authorization:").trim_start_matches("Bearer ").to_owned(),
        body: String::from_utf8(body).unwrap(),
    };
    asked.send_modify(|asked| asked.push(this.clone()));
    open.subscribe().wait_for(|open| *open).await.unwrap();
    let (status, body) = (answers.lock().unwrap())(&this);
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    // The client may have gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

#[tokio::test]
async fn token_is_shared_refreshed_early_and_dropped_when_expired() {
    let world = World::with_lives(json!(100)).await;
    assert_eq!(world.token().await.as_deref(), Ok("token-1"));
    let form = "grant_type=client_credentials&client_id=me&client_secret=hush&resource=urn%3Athe%3Aservice\
                &scope=a+b";
    assert_eq!(world.asked.borrow()[0].body, form);
    world.advance(79);
    assert_eq!(world.token().await.as_deref(), Ok("token-1"));
    assert_eq!(world.requests(), 1);

    // Callers do not wait for a slow endpoint.
    world.open.send_replace(false);
    world.advance(1);
    for _ in 0..3 {
        assert_eq!(world.token().await.as_deref(), Ok("token-1"));
    }
    world.requested(2).await;
    world.open.send_replace(true);
    world.becomes("token-2").await;
    assert_eq!(world.requests(), 2);

    world.advance(100);
    assert_eq!(world.token().await.as_deref(), Ok("token-3"));
}

#[tokio::test]
async fn waiting_callers_share_the_outcome_of_one_request() {
    for (status, expires_in) in [(200, json!(0)), (200, json!(-5)), (200, json!(60)), (500, json!(null))] {
        let world =
            World::new(move |_| (status, json!({"access_token": "t", "expires_in": expires_in}))).await;
        world.open.send_replace(false);
        let open = async {
            world.requested(1).await;
            world.open.send_replace(true);
        };
        let (outcomes, ()) = futures::join!(join_all((0..16).map(|_| world.token())), open);
        for outcome in outcomes {
            assert_eq!(outcome.is_ok(), status == 200, "{outcome:?}");
        }
        assert_eq!(world.requests(), 1);
    }
}

#[tokio::test]
async fn unusual_lifetimes_are_bounded() {
    // `expires_in`, and the seconds after which the token is fetched again.
    for (expires_in, asked_again_at) in [
        (json!(u64::MAX), 86_400),
        (json!(1e300), 86_400),
        (json!("18446744073709551616"), 86_400),
        (json!("90"), 90),
        (json!(90.5), 90),
        (json!(null), 60),
        (json!("soon"), 60),
        (json!("1e3"), 60),
        (json!({"seconds": 5}), 60),
        (json!(0), 0),
        (json!(-1), 0),
    ] {
        let world = World::with_lives(expires_in.clone()).await;
        world.token().await.unwrap();
        if asked_again_at > 0 {
            world.advance(asked_again_at - 1);
            assert_eq!(world.token().await.as_deref(), Ok("token-1"), "{expires_in}");
            world.advance(1);
        }
        // It may have been refreshed before, in the background.
        assert_ne!(world.token().await.as_deref(), Ok("token-1"), "{expires_in}");
    }
}

#[tokio::test]
async fn old_token_is_used_while_the_endpoint_fails() {
    let mut count = 0;
    let world = World::new(move |_| {
        count += 1;
        let status = if count == 2 { 503 } else { 200 };
        (status, json!({"access_token": format!("token-{count}"), "expires_in": 100}))
    })
    .await;
    world.token().await.unwrap();
    world.advance(80);
    assert_eq!(world.token().await.as_deref(), Ok("token-1"));
    world.requested(2).await;
    // The request has failed: the endpoint is left alone for a while.
    world.tokens.audience("urn:the:service").0.landed().await;
    assert_eq!(world.token().await.as_deref(), Ok("token-1"));
    assert_eq!(world.requests(), 2);
    world.advance(5);
    world.becomes("token-3").await;
}

#[tokio::test]
async fn call_without_a_token_says_why() {
    let oauth = json!({"error": "invalid_client", "error_description": "client authentication failed"});
    for (status, body, reason) in [
        (401, oauth, "the token endpoint answered 401: invalid_client"),
        (404, json!({"detail": "Not Found"}), "the token endpoint answered 404"),
        (429, json!("slow down"), "the token endpoint answered 429"),
        (503, json!({"error": 7}), "the token endpoint answered 503"),
        (200, json!(["no object"]), "the token endpoint's answer cannot be read"),
        (200, json!({"access_token": 7}), "the token endpoint answered without a token"),
        (200, json!({"access_token": ""}), "the token endpoint answered without a token"),
        (200, json!({"access_token": "a\nb"}), "the token has characters that no header may have"),
    ] {
        let world = World::new(move |_| (status, body.clone())).await;
        let error = world.call().await.expect_err("a call without a token");
        assert_eq!(error.code(), "token_request_failed");
        assert_eq!(error.message(), "PDP token request failed");
        assert_eq!(Value::from(error.details()), json!({"error": reason}));
        assert_eq!((error.status(), error.retryable()), (None, true));
        assert!(matches!(error.failure, Failure::NotSent(_)), "{error:?}");
        assert!(world.borne().is_empty());
    }
}

/// The log that was written.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        std::io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn answer_with_a_token_is_not_logged() {
    for answer in [json!("token-x"), json!(["token-x"]), json!({"access_token": ["token-x"]})] {
        let written = Written::default();
        let drain = Mutex::new(slog_json::Json::default(written.clone())).fuse();
        let world = World::with_log(Logger::root(drain, o!()), move |_| (200, answer.clone())).await;
        world.call().await.expect_err("a call without a token");
        let log = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("the token endpoint") && !log.contains("token-x"), "{log}");
    }
}

/// A service that accepts only this token.
async fn accepting(good: &'static str) -> World {
    let mut count = 0;
    World::new(move |asked| {
        if asked.path == "/token" {
            count += 1;
            return (200, json!({"access_token": format!("token-{count}"), "expires_in": 300}));
        }
        match asked.token == good {
            true => (200, json!({"decision": "allow"})),
            false => (401, json!({"error": {"code": "unauthorized", "message": "Invalid token"}})),
        }
    })
    .await
}

#[tokio::test]
async fn refused_token_is_replaced_and_the_call_repeated_once() {
    let world = accepting("token-2").await;
    world.call().await.expect("a decision");
    world.call().await.expect("a decision");
    assert_eq!(world.borne(), ["token-1", "token-2", "token-2"]);
    let bodies: Vec<_> = world.asked.borrow().iter().map(|asked| asked.body.clone()).collect();
    assert_eq!(bodies[1], bodies[3], "the same request again");
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn service_that_refuses_all_tokens_costs_few_requests() {
    let world = accepting("none").await;
    for _ in 0..4 {
        let error = world.call().await.expect_err("refused");
        assert_eq!((&*error.code(), error.status()), ("unauthorized", Some(401)));
    }
    assert_eq!(world.borne(), ["token-1", "token-2", "token-2", "token-2", "token-2"]);
    assert_eq!(world.requests(), 2);
    world.advance(5);
    world.call().await.expect_err("refused");
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn calls_refused_together_share_the_next_token() {
    let world = accepting("token-2").await;
    world.tokens.audience("pdp").get().await.expect("token-1");
    for outcome in join_all((0..8).map(|_| world.call())).await {
        outcome.expect("a decision");
    }
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn refusal_stands_without_another_token() {
    // The endpoint gives the same token again, or none.
    for again in [200, 500] {
        let mut count = 0;
        let world = World::new(move |asked| {
            if asked.path != "/token" {
                return (401, json!({"error": {"code": "unauthorized", "message": "Invalid token"}}));
            }
            count += 1;
            let status = if count == 1 { 200 } else { again };
            (status, json!({"access_token": "the only one", "expires_in": 300}))
        })
        .await;
        let error = world.call().await.expect_err("refused");
        assert_eq!((&*error.code(), error.status()), ("unauthorized", Some(401)));
        assert_eq!((world.borne().len(), world.requests()), (1, 2));
    }
}
