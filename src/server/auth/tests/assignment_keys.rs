//! Assignment tokens while their keys rotate.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    auth::{
        AssignmentTokens, KeySource, Keyring, OldKeys, Subtree,
        test_support::{ASSIGNMENT_KEY, Keys},
    },
    record::NodePath,
    time::Timestamp,
    types::RandomIds,
};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Tokens whose keys the test changes, as `journal rotate-key` does.
struct Rotating {
    tokens: AssignmentTokens,
    source: Arc<Keys>,
}

impl Rotating {
    /// With the key of an older program.
    fn start() -> Self {
        let keyring = Keyring::decode(&ASSIGNMENT_KEY).expect("a key");
        let source = Arc::new(Keys(Mutex::new(Some(keyring.clone()))));
        Self { tokens: AssignmentTokens::new(keyring, Arc::clone(&source) as _, SECOND), source }
    }

    fn rotate(&self, old_keys: OldKeys) {
        let mut keyring = self.source.0.lock();
        let keyring = keyring.as_mut().expect("readable");
        keyring.rotate(&RandomIds, NOW, Some(NOW + HOUR), old_keys).expect("room");
    }

    async fn issue(&self) -> String {
        let subtree =
            Subtree { node: "n".into(), run: "r".into(), path: NodePath::root(), created_at: Some(NOW) };
        self.tokens.issue(subtree, 1, NOW + HOUR, NOW).await
    }

    async fn admits(&self, token: &str, now: Timestamp) -> bool {
        self.tokens.verify(token, now).await.is_ok()
    }
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().expect("three parts")
}

#[tokio::test]
async fn new_key_signs_the_next_token_and_old_ones_verify() {
    let rotating = Rotating::start();
    let mut issued = vec![rotating.issue().await];
    for _ in 0..3 {
        rotating.rotate(OldKeys::Keep);
        issued.push(rotating.issue().await);
        let heads: Vec<&str> = issued.iter().map(|token| parts(token)[0]).collect();
        let [.., before, last] = heads[..] else { panic!("two tokens") };
        assert_ne!(before, last, "another key signs");
        for token in &issued {
            assert!(rotating.admits(token, NOW).await, "{token}");
        }
    }
    // A token is valid only with the key that it names.
    let [old, new] = [parts(&issued[0]), parts(&issued[3])];
    for forged in [[old[0], new[1], new[2]], [new[0], old[1], old[2]]] {
        assert!(!rotating.admits(&forged.join("."), NOW).await, "{forged:?}");
    }
    let unknown = BASE64_URL_SAFE_NO_PAD.encode(r#"{"typ":"assignment+jwt","alg":"HS256","kid":"unknown"}"#);
    assert!(!rotating.admits(&[&unknown, new[1], new[2]].join("."), NOW + SECOND).await);
}

#[tokio::test]
async fn revoked_key_verifies_for_a_second_at_most() {
    let rotating = Rotating::start();
    let old = rotating.issue().await;
    assert!(rotating.admits(&old, NOW).await);
    rotating.rotate(OldKeys::Revoke);
    assert!(!rotating.admits(&old, NOW + SECOND).await);
    // At once, where a token was signed meanwhile.
    let newer = rotating.issue().await;
    rotating.rotate(OldKeys::Revoke);
    rotating.issue().await;
    assert!(!rotating.admits(&newer, NOW).await);
}

#[tokio::test]
async fn known_keys_serve_while_they_cannot_be_read() {
    let rotating = Rotating::start();
    let before = rotating.issue().await;
    let keyring = rotating.source.0.lock().take();
    let meanwhile = rotating.issue().await;
    for token in [&before, &meanwhile] {
        assert!(rotating.admits(token, NOW + HOUR).await, "{token}");
    }
    *rotating.source.0.lock() = keyring;
    rotating.rotate(OldKeys::Keep);
    assert_ne!(parts(&rotating.issue().await)[0], parts(&before)[0]);
}

/// Keys of which the first reader gets what it has read late.
struct SlowOnce {
    keyring: Mutex<Keyring>,
    has_read: Notify,
    go_on: Mutex<Option<Arc<Notify>>>,
}

#[async_trait]
impl KeySource for SlowOnce {
    async fn read(&self) -> Option<Keyring> {
        let read = self.keyring.lock().clone();
        let go_on = self.go_on.lock().take();
        if let Some(go_on) = go_on {
            self.has_read.notify_one();
            go_on.notified().await;
        }
        Some(read)
    }
}

#[tokio::test]
async fn slow_reader_does_not_bring_old_keys_back() {
    let (keyring, go_on) = (Keyring::decode(&ASSIGNMENT_KEY).expect("a key"), Arc::new(Notify::new()));
    let source = Arc::new(SlowOnce {
        keyring: Mutex::new(keyring.clone()),
        has_read: Notify::new(),
        go_on: Mutex::new(Some(Arc::clone(&go_on))),
    });
    let tokens = AssignmentTokens::new(keyring, Arc::clone(&source) as _, SECOND);
    let subtree = Subtree { node: "n".into(), run: "r".into(), path: NodePath::root(), created_at: None };
    let issue = async {
        source.has_read.notified().await;
        source.keyring.lock().rotate(&RandomIds, NOW, None, OldKeys::Keep).expect("room");
        let issue = tokens.issue(subtree, 1, NOW + HOUR, NOW);
        tokio::join!(biased; issue, async { go_on.notify_one() }).0
    };
    let (slow, token) = tokio::join!(tokens.verify("a.b.c", NOW), issue);
    assert!(slow.is_err(), "not a token");
    assert!(tokens.verify(&token, NOW).await.is_ok(), "the new key is known");
}
