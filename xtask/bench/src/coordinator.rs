//! The coordinator in a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{child::Owned, procfs};

/// The measured process. It is killed when dropped.
pub(crate) struct Coordinator {
    process: Owned,
    pub(crate) address: SocketAddr,
    /// Of the operator API.
    pub(crate) operator: Option<SocketAddr>,
}

/// A variable of its environment.
pub(crate) type Var = (&'static str, String);

/// The operator API has no port that the system chooses: it is asked for one.
fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Coordinator {
    /// Starts it and waits until it listens. `journal`: a path, or the URL of a database.
    pub(crate) fn start(binary: &Path, journal: &str, folder: &Path, vars: &[Var]) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command
            .args(["--port", &address.port().to_string(), "--journal", journal])
            .current_dir(folder)
            .env("ARP_AUTH_PROFILE", "dev-insecure")
            .env("JARVIS_POLICY_PROFILE", "dev-allow")
            .env("JARVIS_RUN_COORDINATOR_PUBLIC_URL", format!("http://{address}"))
            .envs(vars.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Owned::spawn(&mut command)?;
        let mut lines = BufReader::new(process.child().stdout.take().context("its output")?);
        let mut log = String::new();
        loop {
            let before = log.len();
            ensure!(lines.read_line(&mut log)? > 0, "the coordinator ended:\n{log}");
            // The operator API listens before the first line about the other.
            if log[before..].contains("listening") && log[before..].contains(&address.to_string()) {
                break;
            }
        }
        // The rest of the log is read, so that the process never blocks on it.
        thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let operator = vars.iter().find(|(name, _)| *name == OPERATOR);
        let operator = operator.and_then(|(_, value)| value.parse().ok());
        Ok(Self { process, address, operator })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn cpu(&self) -> Duration {
        procfs::cpu(self.id())
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        procfs::resident_mib(self.id())
    }
}

/// The variable with the address of the operator API.
const OPERATOR: &str = "JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN";

/// Has the operator API served, at an address of its own.
pub(crate) fn with_operator() -> Result<Var> {
    Ok((OPERATOR, free_address()?.to_string()))
}
