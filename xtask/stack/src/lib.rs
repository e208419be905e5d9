//! `cargo xtask stack`: the whole real JARVIS stack on loopback, with our coordinator
//! in the middle, for interactive use. The end-to-end tests in `tests/stack` start
//! their stacks with the same modules.
//!
//! ```text
//!  Blueprint   parts, addresses, environment   (nothing runs yet)
//!      ▼
//!  Stack       the processes: start, stop, start again
//!      ▼
//!  Process     one of them, with its log (in `xtask_support`)
//! ```

mod blueprint;
mod environment;
mod measure;
mod part;
mod running;

use std::{path::PathBuf, sync::mpsc, time::Duration};

use anyhow::{Context, Result};

pub use blueprint::{Blueprint, Coordinator};
pub use environment::TESTER;
pub use part::{Part, Profile, Var};
pub use running::Stack;
use xtask_support::{venv, workspace};

/// How often the parts are checked for having ended by themselves.
const LOOK: Duration = Duration::from_secs(1);

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Whether services demand tokens
    #[arg(long, value_enum, default_value_t = Profile::DevInsecure)]
    profile: Profile,
    /// Run the Python coordinator instead of ours
    #[arg(long, conflicts_with = "release")]
    python_coordinator: bool,
    /// Build ours with optimisations
    #[arg(long)]
    release: bool,
    /// Run ours from this wheel, installed in the place of the Python coordinator
    #[arg(long, value_name = "FILE", conflicts_with_all = ["release", "python_coordinator"])]
    wheel: Option<PathBuf>,
    /// Use Run Store, Event Stream and Artifact Store of 0.3.5
    #[arg(long)]
    old_stores: bool,
    /// Keep data and logs in this folder, and use the data that is there
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Measure ours beside the Python coordinator, on the same services, and end
    #[arg(long, conflicts_with = "python_coordinator")]
    measure: bool,
    /// How many runs of each are measured
    #[arg(long, requires = "measure", default_value_t = 200)]
    runs: usize,
}

pub fn run(args: &Args) -> Result<()> {
    let venv = match &args.wheel {
        Some(wheel) => venv::ensure_with_wheel(&workspace::root(), wheel)?,
        None => venv::ensure(&workspace::root())?,
    };
    let coordinator = if args.python_coordinator {
        Coordinator::Python
    } else if args.wheel.is_some() {
        Coordinator::Ours(venv.program("arp-jarvis-run-coordinator"))
    } else {
        Coordinator::Ours(workspace::build_program(args.release)?)
    };
    // Removed at the end.
    let temporary = tempfile::Builder::new().prefix("jarvis-stack-").tempdir().context("make a folder")?;
    let folder = match &args.data {
        Some(folder) => std::path::absolute(folder).context("where the data is")?,
        None => temporary.path().to_owned(),
    };
    let mut blueprint = Blueprint::new(venv, args.profile, coordinator, folder)?;
    if args.old_stores {
        blueprint = blueprint.with_stores(venv::ensure_old_stores(&workspace::root())?);
    }
    if args.measure {
        print!("{}", measure::measure(blueprint, args.runs)?);
        return Ok(());
    }
    // Ctrl-C is handled here before any child process is started.
    let (sender, interrupted) = mpsc::channel();
    // The second Ctrl-C finds no receiver and needs none.
    ctrlc::set_handler(move || _ = sender.send(())).context("listen for ctrl-C")?;

    let stack = Stack::start(blueprint)?;
    print!("{}", description(&stack)?);
    while interrupted.recv_timeout(LOOK).is_err() {
        stack.check()?;
    }
    println!("\nstopped");
    Ok(())
}

/// The description of the stack for its user.
fn description(stack: &Stack) -> Result<String> {
    let blueprint = &stack.blueprint;
    let who = match blueprint.coordinator {
        Coordinator::Ours(_) => "ours",
        Coordinator::Python => "the Python one",
    };
    let mut lines = vec![
        format!(
            "profile {}, coordinator: {who}, data and logs in {}",
            blueprint.profile.name(),
            blueprint.folder.display()
        ),
        String::new(),
    ];
    lines.extend(Part::ALL.iter().map(|part| format!("  {:<20}{}", part.name(), stack.url(*part))));
    lines.push(String::new());
    let mut vars = blueprint.client_variables();
    // Tokens for curl, for the gateway and for the endpoints that only the
    // coordinator has.
    for (name, part) in [("TOKEN", Part::Gateway), ("COORDINATOR_TOKEN", Part::Coordinator)] {
        if let Some(token) = stack.token("a-user", part)? {
            vars.push((name.to_owned(), token));
        }
    }
    lines.extend(vars.iter().map(|(name, value)| format!("export {name}={value}")));
    let cli = blueprint.cli();
    let cli = cli.get_program().display();
    let authorization = match blueprint.profile {
        Profile::DevInsecure => "",
        Profile::Jwt => " -H \"authorization: Bearer $TOKEN\"",
    };
    lines.extend([
        String::new(),
        "For example:".into(),
        format!("  {cli} runs start --goal 'echo hello; sleep 1'"),
        format!("  {cli} runs events <run_id>"),
        format!("  curl -s{authorization} $ARP_JARVIS_GATEWAY_URL/v1/runs/<run_id>"),
        String::new(),
        "Ctrl-C stops the stack.".into(),
    ]);
    Ok(lines.join("\n") + "\n")
}
