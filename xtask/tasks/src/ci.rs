//! `cargo xtask ci`: all checks that a change must pass, in one command for people and
//! for CI (`.ci/run`). The first step that fails ends it.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

use crate::{check_client, check_spec, deny, other_crates, postgres, schemathesis, tidy, ui};

/// The steps in order: those that are quick or fail often come first.
const STEPS: [Step; 12] = [
    Step { name: "format", action: Action::Cargo(&["fmt", "--all", "--check"]) },
    Step { name: "tidy", action: Action::Own("tidy", || tidy::run(&tidy::Args::default())) },
    Step {
        name: "clippy",
        action: Action::Cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    },
    Step { name: "deny", action: Action::Own("deny", || deny::run(&deny::Args::default())) },
    Step { name: "client", action: Action::Own("check-client", check_client::run) },
    Step { name: "test", action: Action::Cargo(&["test", "--workspace", "--all-features", "--locked"]) },
    Step { name: "postgres", action: Action::Own("postgres", || postgres::run(&postgres::Args::default())) },
    Step { name: "ui", action: Action::Own("ui", || ui::run(&ui::Args::default())) },
    Step {
        name: "check-spec",
        action: Action::Own("check-spec", || check_spec::run(&check_spec::Args::default())),
    },
    Step {
        name: "schemathesis",
        action: Action::Own("schemathesis", || schemathesis::run(&schemathesis::Args::default())),
    },
    Step { name: "chaos", action: Action::Own("chaos", || other_crates::CHAOS.run(&[])) },
    Step {
        name: "doc",
        action: Action::Cargo(&["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"]),
    },
];

#[derive(clap::Args, Debug, Default)]
pub struct Args {}

struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    /// Cargo with these arguments.
    Cargo(&'static [&'static str]),
    /// A command of xtask.
    Own(&'static str, fn() -> Result<()>),
}

/// The command that repeats a step by itself.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cargo(args) => write!(f, "cargo {}", args.join(" ")),
            Self::Own(command, _) => write!(f, "cargo xtask {command}"),
        }
    }
}

impl Action {
    fn run(&self) -> Result<()> {
        match self {
            Self::Cargo(args) => {
                let status = workspace::cargo(*args)
                    .env("RUSTDOCFLAGS", "-D warnings")
                    .status()
                    .with_context(|| format!("start {self}"))?;
                ensure!(status.success(), "{self}: {status}");
                Ok(())
            }
            Self::Own(_, run) => run(),
        }
    }
}

pub fn run(_: &Args) -> Result<()> {
    run_steps(&STEPS)
}

fn run_steps(steps: &[Step]) -> Result<()> {
    let (start, mut times) = (Instant::now(), Vec::new());
    for (index, Step { name, action }) in steps.iter().enumerate() {
        let step = format!("[{}/{}] {name}", index + 1, steps.len());
        println!("\n=== {step}: {action}");
        let begin = Instant::now();
        let result = action.run();
        let time = seconds(begin.elapsed());
        result.with_context(|| format!("{step} failed after {time}; to repeat it: {action}"))?;
        println!("--- {step}: ok, {time}");
        times.push(format!("{name} {time}"));
    }
    println!("\nci: ok in {} ({})", seconds(start.elapsed()), times.join(", "));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;

    use super::*;

    #[test]
    fn first_failing_step_is_named_and_ends_the_run() {
        static RUN: AtomicUsize = AtomicUsize::new(0);
        fn pass() -> Result<()> {
            RUN.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        fn fail() -> Result<()> {
            bail!("as intended")
        }
        let steps = [("one", pass as fn() -> Result<()>), ("two", fail), ("three", pass)]
            .map(|(name, run)| Step { name, action: Action::Own(name, run) });
        let error = format!("{:#}", run_steps(&steps).unwrap_err());
        assert!(error.contains("[2/3] two failed") && error.contains("cargo xtask two"), "{error}");
        assert!(error.ends_with("as intended"), "{error}");
        assert_eq!(RUN.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn failing_cargo_is_a_failing_step() {
        let step = Step { name: "nonsense", action: Action::Cargo(&["--no-such-flag"]) };
        assert!(run_steps(&[step]).is_err());
    }
}
