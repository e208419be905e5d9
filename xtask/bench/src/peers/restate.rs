//! Restate: its server from npm, and a worker in Rust by its SDK (`peers/restate-worker`).
//!
//! ```text
//!   client ──POST /Steps/one──▶ ingress ─▶ log (fsync) ─▶ worker ──step──▶ executor
//!                                              └◀── the step's result, the answer ──┘
//! ```

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use xtask_support::{npm::Packages, pinned_folder::silently, workspace};

use super::Work;
use crate::{
    bed::Bed,
    child::Owned,
    http::{Connection, PATIENCE},
    load::Call,
    plan::Peer,
    report::Results,
    subject::Subject,
};

const SERVER: Packages = Packages {
    sources: "xtask/bench/peers/restate",
    folder: "target/bench-restate",
    files: &["package.json", "package-lock.json"],
    result: "node_modules/@restatedev/restate-server-linux-x64/bin/restate-server",
};
const WORKER: &str = "xtask/bench/peers/restate-worker/Cargo.toml";
const WORKER_FOLDER: &str = "target/bench-restate-worker";

/// The setting that has each append to the log wait for the disk.
const FSYNC: &str = "rocksdb-disable-wal-fsync = false";

const NOTE: &str = "Restate 1.7.12 (npm) keeps its log in RocksDB with `fsync`: `[log-server] \
    rocksdb-disable-wal-fsync = false`, as `--dump-config` of the same file confirms; telemetry off. Its client gets \
    the result as the answer of one request; there is no policy, no list of events to follow, no second store. Its \
    worker is in Rust (restate-sdk 0.13.0) and journals each step; CPU without it is the server's alone.";

/// Server and worker, running.
struct Restate {
    server: Owned,
    worker: Owned,
    ingress: SocketAddr,
}

pub(super) async fn measure(
    bed: &Bed<'_>,
    workload: &'static str,
    work: Work,
    results: &mut Results,
) -> Result<()> {
    results.note(NOTE);
    let folder = bed.folder()?;
    let restate = Restate::start(folder.path(), bed.executors.address).await?;
    let handler = match work {
        Work::One => "one",
        Work::Ten => "ten",
    };
    let subject = Subject {
        label: Peer::Restate.label().into(),
        servers: vec![restate.ingress],
        call: Call::Post { path: Arc::from(format!("/Steps/{handler}")), body: Arc::from(r#""go""#) },
        processes: vec![restate.server.id()],
        others: vec![restate.worker.id()],
        database: None,
    };
    for count in &bed.settings.clients {
        bed.measure(workload, &subject, *count, results).await?;
    }
    Ok(())
}

impl Restate {
    async fn start(folder: &Path, executor: SocketAddr) -> Result<Self> {
        let made = || anyhow::Ok((SERVER.ensure(&workspace::root())?.1, worker()?));
        let (program, worker) = tokio::task::spawn_blocking(made).await??;
        let [fabric, ingress, admin, at] = addresses()?;
        let config = folder.join("restate.toml");
        fs::write(&config, configuration(folder, fabric, ingress, admin))?;
        let command = || {
            let mut command = Command::new(&program);
            command.args(["--no-logo", "--listen-mode", "tcp", "--config-file"]).arg(&config);
            command.current_dir(folder).stdin(Stdio::null());
            command
        };
        let known = command().arg("--dump-config").output().context("ask Restate for its configuration")?;
        let known = String::from_utf8_lossy(&known.stdout).into_owned();
        let (_, log_server) = known.split_once("[log-server]").context("its log server")?;
        ensure!(log_server.contains(FSYNC), "Restate would not wait for the disk:\n{log_server}");
        let log = fs::File::create(folder.join("restate.log"))?;
        let server = Owned::spawn(command().stdout(log.try_clone()?).stderr(log.try_clone()?))?;
        let execute = format!("http://{executor}/v1/atomic-node-runs:execute");
        let mut worker = Command::new(worker);
        worker.args([at.to_string(), execute]).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let worker = Owned::spawn(&mut worker)?;
        let restate = Self { server, worker, ingress };
        let ready = restate.register(admin, at).await;
        ready.with_context(|| fs::read_to_string(folder.join("restate.log")).unwrap_or_default())?;
        Ok(restate)
    }

    /// Has the server learn what the worker can do, when both are up; and does it once.
    async fn register(&self, admin: SocketAddr, worker: SocketAddr) -> Result<()> {
        let body = json!({"uri": format!("http://{worker}")}).to_string();
        until("the worker is registered", || async {
            Connection::to(admin).post("/deployments", body.clone()).await
        })
        .await?;
        until("a first step", || async { Connection::to(self.ingress).post("/Steps/one", r#""go""#).await })
            .await
    }
}

/// Tries until it works.
async fn until<T, F: Future<Output = Result<T>>>(what: &str, attempt: impl Fn() -> F) -> Result<()> {
    let began = Instant::now();
    while let Err(error) = attempt().await {
        ensure!(began.elapsed() < PATIENCE, "{what}: {error:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn configuration(folder: &Path, fabric: SocketAddr, ingress: SocketAddr, admin: SocketAddr) -> String {
    format!(
        "base-dir = '{}'\n\
         disable-telemetry = true\n\
         log-filter = 'warn'\n\
         bind-address = '{fabric}'\n\
         advertised-address = 'http://{fabric}/'\n\
         [ingress]\n\
         bind-address = '{ingress}'\n\
         [admin]\n\
         bind-address = '{admin}'\n\
         disable-web-ui = true\n\
         [log-server]\n\
         {FSYNC}\n",
        folder.join("data").display()
    )
}

fn addresses() -> Result<[SocketAddr; 4]> {
    // All are held until each has its own.
    let listeners: Vec<_> =
        (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let addresses: Vec<SocketAddr> =
        listeners.iter().map(std::net::TcpListener::local_addr).collect::<Result<_, _>>()?;
    addresses.try_into().ok().context("four addresses")
}

/// The worker, built if it is not there.
fn worker() -> Result<PathBuf> {
    let folder = workspace::root().join(WORKER_FOLDER);
    eprintln!("building {WORKER_FOLDER} (minutes, once)");
    let mut build =
        workspace::cargo(["build", "--quiet", "--release", "--locked", "--manifest-path", WORKER]);
    silently(build.arg("--target-dir").arg(&folder)).context("build the worker of Restate")?;
    Ok(folder.join("release/restate-worker"))
}
