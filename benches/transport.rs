//! The transport bench: what HTTPS costs a request and a connection, as a ratio
//! within one run, and what redaction costs an error.
//!
//! ```text
//!   cargo bench --bench transport            three rounds of 4 seconds
//!   cargo bench --bench transport -- 2       of 2 seconds
//! ```
//!
//! One coordinator with HTTP and one with HTTPS take turns. The bench asserts no
//! figure.

mod process;

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use jarvis_run_coordinator::{
    redact::Redactor,
    types::{Error, JsonObject},
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;

use self::process::Coordinator;

const CLIENTS: usize = 16;
const ROUNDS: usize = 3;

/// What is measured.
#[derive(Clone, Copy)]
enum Work {
    /// A request on an open connection.
    Request,
    /// A connection with one request.
    Connection,
}

struct Measured {
    name: &'static str,
    coordinator: Coordinator,
    url: String,
    cpu: [Duration; 2],
    done: [u64; 2],
}

fn main() {
    let seconds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(4);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(requests(Duration::from_secs(seconds)));
    redaction();
}

async fn requests(each: Duration) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on the disk");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("names");
    let certificate = params.self_signed(&key).expect("a certificate").pem();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("crt"), &certificate).expect("written");
    std::fs::write(path("key"), key.serialize_pem()).expect("written");
    let (cert_path, key_path) = (path("crt"), path("key"));
    let https = [
        ("JARVIS_RUN_COORDINATOR_TLS_CERT", cert_path.as_str()),
        ("JARVIS_RUN_COORDINATOR_TLS_KEY", key_path.as_str()),
    ];
    let mut all = Vec::new();
    for (name, vars) in [("http", &[][..]), ("https", &https)] {
        let place = folder.path().join(name);
        std::fs::create_dir(&place).expect("a folder");
        let coordinator = Coordinator::start(&place, vars);
        let url = coordinator.url.replace("http:", &format!("{name}:"));
        all.push(Measured { name, coordinator, url, cpu: [Duration::ZERO; 2], done: [0; 2] });
    }
    let root = reqwest::Certificate::from_pem(certificate.as_bytes()).expect("a root");
    let client = || reqwest::Client::builder().tls_certs_only([root.clone()]);
    let kept = client().build().expect("a client");
    let fresh = client().pool_max_idle_per_host(0).build().expect("a client");
    for _ in 0..ROUNDS {
        for (work, http) in [(Work::Request, &kept), (Work::Connection, &fresh)] {
            for measured in &mut all {
                measured.round(http, work, each).await;
            }
        }
    }
    println!("{:8} {:>16} {:>8} {:>18} {:>8}", "", "CPU us/request", "ratio", "CPU us/connection", "ratio");
    let first = all[0].each();
    for measured in &all {
        let [request, connection] = measured.each();
        let ratios = [request / first[0], connection / first[1]];
        println!(
            "{:8} {request:>16.1} {:>8.3} {connection:>18.1} {:>8.3}",
            measured.name, ratios[0], ratios[1]
        );
    }
}

impl Measured {
    async fn round(&mut self, http: &reqwest::Client, work: Work, each: Duration) {
        let (done, until) = (AtomicU64::new(0), Instant::now() + each);
        let before = self.coordinator.cpu();
        let url = format!("{}/v1/version", self.url);
        let client = async || {
            while Instant::now() < until {
                let answer = http.get(&url).send().await.expect("an answer");
                assert!(answer.status().is_success());
                drop(answer.bytes().await.expect("a body"));
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        futures::future::join_all((0..CLIENTS).map(|_| client())).await;
        self.cpu[work as usize] += self.coordinator.cpu() - before;
        self.done[work as usize] += done.into_inner();
    }

    fn each(&self) -> [f64; 2] {
        [Work::Request, Work::Connection].map(|work| {
            let work = work as usize;
            self.cpu[work].as_secs_f64() * 1e6 / self.done[work] as f64
        })
    }
}

fn redaction() {
    let redactor = Redactor::default();
    let error = |message: &str, details: serde_json::Value| Error {
        details: Some(JsonObject::of(&details)),
        ..Error::new("handler_error", message.to_owned())
    };
    let clean = error(
        "the handler could not reach its database after three tries: connection refused",
        json!({"tries": 3, "host": "db.internal", "trace": ["handler.py:17", "pool.py:204", "socket.py:833"]}),
    );
    let secret = error(
        "401 with Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl",
        json!({"api_key": "k-1", "url": "https://me:pass@db.internal/x", "tries": 3}),
    );
    println!();
    for (name, error) in [("error without secrets", &clean), ("error with secrets", &secret)] {
        each(name, || {
            black_box(redactor.error(black_box(error.clone())));
        });
    }
    for (name, text) in [
        ("log value of 40 bytes", "the connection to the executor broke off".to_owned()),
        ("text of 4 KiB", "a line about nothing in particular; ".repeat(114)),
    ] {
        each(name, || {
            black_box(redactor.text(black_box(&text)));
        });
    }
}

fn each(name: &str, work: impl Fn()) {
    const TIMES: u32 = 100_000;
    let began = Instant::now();
    (0..TIMES).for_each(|_| work());
    println!("{name:24} {:>8.2} us", began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES));
}
