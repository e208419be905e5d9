//! DBOS: a library in a Python process, on a private PostgreSQL (`peers/dbos_worker.py`).
//!
//! ```text
//!   bench ──"1 16 5"──▶ worker: 16 tasks, 5 seconds ─▶ workflow ─▶ step ──▶ executor
//!         ◀──times───── worker                            └─ PostgreSQL (fsync) ─┘
//! ```

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use xtask_support::{venv, workspace};

use super::Work;
use crate::{
    bed::{Bed, LOOK_AT_DISK},
    child::Owned,
    database::Database,
    limits,
    load::{Call, Load},
    plan::Peer,
    report::Results,
    subject::Subject,
};

const SCRIPT: &str = "xtask/bench/peers/dbos_worker.py";

struct Worker {
    process: Owned,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
struct Times {
    elapsed: f64,
    times: Vec<f64>,
}

pub(super) async fn measure(
    bed: &Bed<'_>,
    workload: &'static str,
    work: Work,
    results: &mut Results,
) -> Result<()> {
    let database = Database::start().await?;
    results.note(&format!(
        "DBOS 3.4.0 (PyPI, Python) runs on PostgreSQL {} with `fsync = on`. It is a library, so its clients are tasks \
         of its own process and no HTTP comes before a workflow; a workflow is one durable step, or ten. Its CPU \
         is that of PostgreSQL, with its worker that of the Python process as well, in which the steps run.",
        database.version().await?
    ));
    let (url, executor) = (database.url().replace("postgres://", "postgresql://"), bed.executors.address);
    let mut worker = tokio::task::spawn_blocking(move || Worker::start(&url, executor)).await??;
    let subject = Subject {
        label: Peer::Dbos.label().into(),
        servers: Vec::new(),
        call: Call::Get("".into()),
        processes: vec![database.process()?],
        others: vec![worker.process.id()],
        database: None,
    };
    for count in &bed.settings.clients {
        let fdatasyncs = limits::fdatasyncs(bed.path(), LOOK_AT_DISK).await?;
        worker = worker.ask(format!("{} {count} {}", work.steps(), bed.settings.each.as_secs())).await?.0;
        let before = subject.spent().await?;
        let (back, answer) = worker.ask("go".into()).await?;
        worker = back;
        let Times { elapsed, times } = serde_json::from_str(&answer)?;
        let times = times.into_iter().map(Duration::from_secs_f64).collect();
        let load = Load::of(times, Duration::from_secs_f64(elapsed));
        let figures = subject.spent().await?.figures(&before, &load);
        bed.report(workload, &subject.label, *count, figures, fdatasyncs, results);
    }
    Ok(())
}

impl Worker {
    fn start(url: &str, executor: std::net::SocketAddr) -> Result<Self> {
        let venv = venv::ensure_dbos(&workspace::root())?;
        let mut command = Command::new(venv.python());
        command
            .arg(workspace::root().join(SCRIPT))
            .args([url.to_owned(), executor.ip().to_string(), executor.port().to_string()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Owned::spawn(&mut command)?;
        let input = process.child().stdin.take().context("its input")?;
        let output = BufReader::new(process.child().stdout.take().context("its output")?).lines();
        let mut worker = Self { process, input, output };
        let said = worker.line()?;
        ensure!(said == "launched", "{said}");
        Ok(worker)
    }

    /// Writes a line and reads the answer, away from the threads of the executors.
    async fn ask(mut self, line: String) -> Result<(Self, String)> {
        tokio::task::spawn_blocking(move || {
            writeln!(self.input, "{line}")?;
            self.input.flush()?;
            let answer = self.line()?;
            Ok((self, answer))
        })
        .await?
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.output.next().context("the worker has ended")??)
    }
}
