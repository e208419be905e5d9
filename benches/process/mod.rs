//! The coordinator in a process of its own, and its processor time, memory and output
//! as the system counts them.

#![allow(dead_code, reason = "no bench uses all of it")]

pub(crate) mod executor;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The measured process. It is killed when dropped.
pub(crate) struct Coordinator {
    process: Child,
    pub(crate) url: String,
}

impl Coordinator {
    /// Starts it with its journal in this folder. The variable `COORDINATOR` may name
    /// another binary to compare with.
    pub(crate) fn start(folder: &Path, vars: &[(&str, &str)]) -> Self {
        let binary = std::env::var("COORDINATOR");
        let mut process =
            Command::new(binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_jarvis-run-coordinator")))
                .args(["--port", "0", "--journal"])
                .arg(folder.join("journal.db"))
                .current_dir(folder)
                .env("ARP_AUTH_PROFILE", "dev-insecure")
                .env("JARVIS_POLICY_PROFILE", "dev-allow")
                .envs(vars.iter().copied())
                .stdout(Stdio::piped())
                .spawn()
                .expect("the coordinator starts");
        let mut lines = BufReader::new(process.stdout.take().expect("its output"));
        let url = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).expect("its log") > 0, "the coordinator ended");
            if let Some(at) = line.find("address: ").filter(|_| line.contains("listening")) {
                let address = line[at + 9..].split([',', '\n']).next().unwrap_or_default();
                break format!("http://{address}");
            }
        };
        // The rest of the log is read, so that the process never blocks on it.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { process, url }
    }

    /// The processor time so far of all threads.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.procfs("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 =
            fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(ticks * 10)
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        self.number("status", "VmRSS:") / 1024.0
    }

    /// The peak of resident memory.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.number("status", "VmHWM:") / 1024.0
    }

    /// The amount that was written to files and sockets so far.
    pub(crate) fn written_mib(&self) -> f64 {
        self.number("io", "wchar:") / 1_048_576.0
    }

    fn number(&self, file: &str, name: &str) -> f64 {
        let lines = self.procfs(file);
        let line = lines.lines().find(|line| line.starts_with(name)).expect("its line");
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
    }

    fn procfs(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("procfs")
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
