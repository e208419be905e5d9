//! `jarvis-run-coordinator demo`: shows a complete run without any other service.
//!
//! ```text
//!   story ──▶ executors ◀──HTTP──▶ a regular coordinator ──HTTP──▶ watch ──▶ screen
//!             (atomic, composite)   (journal in a temporary folder)
//!                                        ▲
//!             approval ──────HTTP────────┘  lets the run go on that waits for it
//! ```
//!
//! All parts are in this process, but talk over HTTP on loopback, so the demo
//! shows the behaviour of a real deployment. It ignores the environment, so the
//! configuration of a development machine and the demo do not affect each
//! other.
//!
//! Built with the cargo feature `demo`, which is on by default.

mod approval;
mod composite;
mod error;
mod executors;
mod story;
mod text;
mod watch;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use slog::{Discard, Logger, o};

use self::{error::DemoError, executors::Executors};
use super::{
    exit::{Exit, Failure},
    live::OutputStyle,
    signals::Signals,
};
use crate::{
    app::{Server, Surroundings},
    clients::{self, Peer, Service, operator, run_coordinator::Client},
    config::{
        Flags, Settings,
        settings::{DEFAULT_HOST, DEFAULT_OPERATOR_PORT, DEFAULT_PORT},
        value::loopback_url,
    },
    time::{Clock, SystemClock},
    types::{
        BudgetConstraints, ConstraintEnvelope, IdSource, RandomIds, RunId, RunStartRequest, RunState,
        StructuralConstraints,
    },
};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The command: runs the demo until it ends or a signal arrives.
pub(super) fn command(keep: bool, flags: &Flags) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| Failure::new(Exit::Demo, error))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::catch().map_err(|error| Failure::new(Exit::Demo, error))?;
        run(keep, flags, signals.received()).await.map_err(Failure::from)
    });
    runtime.shutdown_background();
    ended.map(|()| Exit::Ok)
}

/// Runs the demo. With `keep`, its server runs until `stop` is ready.
async fn run(keep: bool, flags: &Flags, stop: impl Future<Output = ()>) -> Result<(), DemoError> {
    // Short, because people type it.
    let id: String = RandomIds.fresh().chars().take(6).collect();
    let run = RunId::new(format!("weekend-{id}"));
    let folder = match &flags.journal {
        Some(_) => None,
        None => Some(Folder::make(&id, keep)?),
    };
    let journal = match (&flags.journal, &folder) {
        (Some(journal), _) => journal.clone(),
        (None, folder) => {
            let file = folder.as_ref().map(|folder| folder.path.join("journal.db"));
            file.unwrap_or_default().display().to_string()
        }
    };
    let host = flags.host.as_deref().unwrap_or(DEFAULT_HOST);
    let port = choose_port(host, flags.port, DEFAULT_PORT)?;
    let url = loopback_url(false, host, port);
    // Never on another address than that of this machine.
    let operator_port = choose_port(DEFAULT_HOST, flags.port.map(|_| 0), DEFAULT_OPERATOR_PORT)?;
    let operator = format!("{DEFAULT_HOST}:{operator_port}");
    let operator_url = format!("http://{operator}");

    let log = Logger::root(Discard, o!());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let http = clients::http_client(CONNECT_WITHIN).map_err(DemoError::Setup)?;
    let executors = Executors::start(Arc::clone(&clock), http.clone(), &log).map_err(DemoError::Setup)?;
    let executors_url = executors.url();
    let listen = Flags {
        host: Some(host.to_owned()),
        port: Some(port),
        journal: Some(journal.clone()),
        ..Flags::default()
    };
    let settings = settings(&listen, &operator, &url, &executors_url)?;
    let server = Server::start(&settings, Surroundings::default(), &log).await?;
    let client = Client::new_with_client(&url, http.clone(), Peer::anonymous(Service::RunCoordinator));
    let person = clients::operator_over(http, &operator_url, None);

    let intro = text::intro(&text::Places {
        url: &url,
        operator: &operator_url,
        executors: &executors_url,
        journal: &journal,
        journal_kept: keep || folder.is_none(),
    });
    let mut stop = pin!(stop);
    let shown = tokio::select! {
        shown = show(&client, &person, run.clone(), &clock, &intro) => shown,
        () = &mut stop => Err(DemoError::Interrupted),
    };
    let printed = match (&shown, keep) {
        (Ok(()), true) => print(&text::next_steps(&url, &operator_url, &run)),
        (Ok(()), false) => print(text::GOODBYE),
        (Err(_), _) => Ok(()),
    };
    if keep && shown.is_ok() && printed.is_ok() {
        stop.await;
    }
    executors.cancel_all();
    server.stop().await;
    executors.stop().await;
    shown.and(printed)
}

/// Starts the run, shows it until it ends, and approves what it waits for meanwhile.
async fn show(
    client: &Client,
    person: &operator::Client,
    run: RunId,
    clock: &Arc<dyn Clock>,
    intro: &str,
) -> Result<(), DemoError> {
    print(intro)?;
    let request = start_request(run.clone());
    client.call(client.start_run(&request)).await?;
    let mut watching = pin!(watch::watch(client, run.clone(), clock, OutputStyle::of_stdout()));
    let mut approving = pin!(approval::give(person, &run, &**clock));
    let mut waited = None;
    let picture = loop {
        tokio::select! {
            // A run that ends without having asked is shown, too.
            picture = &mut watching => break picture?,
            given = &mut approving, if waited.is_none() => waited = Some(given?),
        }
    };
    print(&format!("\n{}\n", picture.summary()))?;
    let account = client.call(client.get_run(&run)).await?.extensions;
    let account = account.map(|extensions| extensions.value("jarvis.budget")).unwrap_or_default();
    if let Some(waited) = &waited {
        print(&text::what_it_showed(waited, &account))?;
    }
    match picture.end() {
        Some(RunState::Succeeded) => Ok(()),
        end => Err(DemoError::Run(end.unwrap_or(RunState::Running))),
    }
}

/// Makes a request with limits, as every request should.
fn start_request(run: RunId) -> RunStartRequest {
    let constraints = ConstraintEnvelope {
        structural: Some(StructuralConstraints {
            max_depth: Some(3),
            max_total_nodes_per_run: Some(20),
            ..StructuralConstraints::default()
        }),
        budgets: Some(BudgetConstraints {
            max_wall_time_ms: Some(60_000),
            max_cost: story::chf(story::BUDGET),
            ..BudgetConstraints::default()
        }),
        ..ConstraintEnvelope::default()
    };
    RunStartRequest {
        run_id: Some(run),
        root_node_type_ref: story::node_type(story::WEEKEND),
        input: story::input(),
        run_context: None,
        constraints: Some(constraints),
        metadata: None,
        extensions: None,
    }
}

/// Settings for development, independent of the environment.
fn settings(flags: &Flags, operator: &str, url: &str, executors: &str) -> Result<Settings, DemoError> {
    let vars = [
        ("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", operator),
        ("JARVIS_RUN_COORDINATOR_APPROVALS", "park"),
        ("ARP_AUTH_PROFILE", "dev-insecure"),
        ("JARVIS_POLICY_PROFILE", "dev-allow"),
        ("JARVIS_ATOMIC_EXECUTOR_URL", executors),
        ("JARVIS_COMPOSITE_EXECUTOR_URL", executors),
        ("JARVIS_RUN_COORDINATOR_PUBLIC_URL", url),
    ];
    let vars: BTreeMap<String, String> =
        vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Settings::from_vars(&vars, flags).map_err(|error| DemoError::Setup(error.to_string()))
}

/// Chooses the requested port, else the default port, else any free one. (The
/// executors must know it before the server listens.)
fn choose_port(host: &str, wanted: Option<u16>, default: u16) -> Result<u16, DemoError> {
    let free = |port| TcpListener::bind((host, port)).and_then(|listener| listener.local_addr());
    let chosen = match wanted {
        Some(0) => free(0),
        Some(port) => return Ok(port),
        None => free(default).or_else(|_| free(0)),
    };
    let cannot = |error| DemoError::Setup(format!("cannot listen on {host}: {error}"));
    chosen.map(|address| address.port()).map_err(cannot)
}

/// A folder for the journal, removed at the end unless it is kept.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn make(id: &str, kept: bool) -> Result<Self, DemoError> {
        let path = env::temp_dir().join(format!("jarvis-demo-{id}"));
        let cannot = |error| DemoError::Setup(format!("cannot make the folder {}: {error}", path.display()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(cannot)?;
        Ok(Self { path, kept })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            let _written = writeln!(io::stderr(), "demo: cannot remove {}: {error}", self.path.display());
        }
    }
}

fn print(text: &str) -> Result<(), DemoError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_in_use_is_avoided_unless_requested() {
        let taken = TcpListener::bind((DEFAULT_HOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(choose_port(DEFAULT_HOST, Some(port), 0).unwrap(), port);
        // A free port is found even if the default one is in use.
        assert_ne!(choose_port(DEFAULT_HOST, None, port).unwrap(), 0);
        assert_ne!(choose_port(DEFAULT_HOST, Some(0), port).unwrap(), port);
    }
}
