//! `jarvis-run-coordinator demo`: a run to look at, with nothing else installed.
//!
//! ```text
//!   story ──▶ executors ◀──HTTP──▶ a coordinator like any other ──HTTP──▶ watch ──▶ screen
//!             (atomic, composite)   (journal in a folder of its own)
//! ```
//!
//! Everything is in this process, and yet goes over HTTP on loopback, so that
//! what one sees is what one gets. The environment has no say: neither is a
//! development machine's configuration disturbed by the demo, nor the demo by
//! it.

mod composite;
mod executors;
mod screen;
mod story;
mod watch;
mod words;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use slog::{Discard, Logger, o};

use self::executors::Executors;
use crate::{
    app::{Server, StartError, Surroundings},
    clients::{self, CallError, Peer, Service, run_coordinator::Client},
    config::{
        Flags, Settings,
        settings::{DEFAULT_HOST, DEFAULT_PORT},
        value::loopback_url,
    },
    time::{Clock, SystemClock},
    types::{
        BudgetConstraints, ConstraintEnvelope, Error, IdSource, NodeRun, RandomIds, RunId, RunStartRequest,
        RunState, StructuralConstraints,
    },
};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why the demo did not end well.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("demo: {0}")]
    Setup(String),
    #[error("demo: {0}")]
    Start(#[from] StartError),
    #[error("demo: {}: {}", .0.code(), .0.message())]
    Call(CallError),
    #[error("demo: cannot write: {0}")]
    Output(#[from] io::Error),
    #[error("demo: the run {0}")]
    Run(RunState),
    #[error("demo: interrupted")]
    Interrupted,
}

impl From<CallError> for DemoError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Runs the demo. With `keep`, its server is left up until `stop` is ready.
pub async fn run(keep: bool, flags: &Flags, stop: impl Future<Output = ()>) -> Result<(), DemoError> {
    // Short, because people will type it.
    let id: String = RandomIds.fresh().chars().take(6).collect();
    let run = RunId::new(format!("weekend-{id}"));
    let folder = match &flags.journal {
        Some(_) => None,
        None => Some(Folder::make(&id, keep)?),
    };
    let journal = match (&flags.journal, &folder) {
        (Some(journal), _) => journal.clone(),
        (None, folder) => folder.as_ref().map(|folder| folder.path.join("journal.db")).unwrap_or_default(),
    };
    let host = flags.host.as_deref().unwrap_or(DEFAULT_HOST);
    let port = choose_port(host, flags.port)?;
    let url = loopback_url(host, port);

    let log = Logger::root(Discard, o!());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let http = clients::http_client(CONNECT_WITHIN).map_err(DemoError::Setup)?;
    let executors = Executors::start(Arc::clone(&clock), http.clone(), &log).map_err(DemoError::Setup)?;
    let executors_url = executors.url();
    let settings = settings(host, port, &journal, &url, &executors_url)?;
    let server = Server::start(&settings, Surroundings::default(), &log).await?;
    let client = Client::new_with_client(&url, http, Peer::anonymous(Service::RunCoordinator));

    let intro = words::intro(&words::Places {
        url: &url,
        executors: &executors_url,
        journal: &journal,
        journal_stays: keep || folder.is_none(),
    });
    let mut stop = pin!(stop);
    let shown = tokio::select! {
        shown = show(&client, run.clone(), &clock, &intro) => shown,
        () = &mut stop => Err(DemoError::Interrupted),
    };
    let said = match (&shown, keep) {
        (Ok(()), true) => say(&words::next_steps(&url, &run)),
        (Ok(()), false) => say(words::GOODBYE),
        (Err(_), _) => Ok(()),
    };
    if keep && shown.is_ok() && said.is_ok() {
        stop.await;
    }
    executors.give_up();
    server.stop().await;
    executors.stop().await;
    shown.and(said)
}

/// Starts the run and shows it until it is over.
async fn show(client: &Client, run: RunId, clock: &Arc<dyn Clock>, intro: &str) -> Result<(), DemoError> {
    say(intro)?;
    let request = start_request(run.clone());
    client.call(client.start_run(&request)).await?;
    let picture = watch::watch(client, run, clock, watch::look()).await?;
    say(&format!("\n{}\n", picture.summary()))?;
    match picture.end() {
        Some(RunState::Succeeded) => Ok(()),
        end => Err(DemoError::Run(end.unwrap_or(RunState::Running))),
    }
}

/// The limits are there to be seen in the run, and because nobody should start
/// one without.
fn start_request(run: RunId) -> RunStartRequest {
    let constraints = ConstraintEnvelope {
        structural: Some(StructuralConstraints {
            max_depth: Some(3),
            max_total_nodes_per_run: Some(20),
            ..StructuralConstraints::default()
        }),
        budgets: Some(BudgetConstraints { max_wall_time_ms: Some(60_000), ..BudgetConstraints::default() }),
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

/// Settings for development, from nothing but what is said here.
fn settings(
    host: &str,
    port: u16,
    journal: &Path,
    url: &str,
    executors: &str,
) -> Result<Settings, DemoError> {
    let vars = [
        ("ARP_AUTH_PROFILE", "dev-insecure"),
        ("JARVIS_POLICY_PROFILE", "dev-allow"),
        ("JARVIS_ATOMIC_EXECUTOR_URL", executors),
        ("JARVIS_COMPOSITE_EXECUTOR_URL", executors),
        ("JARVIS_RUN_COORDINATOR_PUBLIC_URL", url),
    ];
    let vars: BTreeMap<String, String> =
        vars.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let flags = Flags {
        host: Some(host.to_owned()),
        port: Some(port),
        reload: false,
        journal: Some(journal.to_owned()),
    };
    Settings::from_vars(&vars, &flags).map_err(|error| DemoError::Setup(error.to_string()))
}

/// The port that was asked for, else the usual one, or any if that is taken.
/// (The executors must know it before the server listens on it.)
fn choose_port(host: &str, wanted: Option<u16>) -> Result<u16, DemoError> {
    let free = |port| TcpListener::bind((host, port)).and_then(|listener| listener.local_addr());
    let chosen = match wanted {
        Some(0) => free(0),
        Some(port) => return Ok(port),
        None => free(DEFAULT_PORT).or_else(|_| free(0)),
    };
    let cannot = |error| DemoError::Setup(format!("cannot listen on {host}: {error}"));
    chosen.map(|address| address.port()).map_err(cannot)
}

/// A folder for the journal, removed in the end unless it is to stay.
struct Folder {
    path: PathBuf,
    stays: bool,
}

impl Folder {
    fn make(id: &str, stays: bool) -> Result<Self, DemoError> {
        let path = env::temp_dir().join(format!("jarvis-demo-{id}"));
        let cannot = |error| DemoError::Setup(format!("cannot make the folder {}: {error}", path.display()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(cannot)?;
        Ok(Self { path, stays })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.stays
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("demo: cannot remove {}: {error}", self.path.display());
        }
    }
}

/// With what error a node was completed (contract §12).
fn completion_error(node: &NodeRun) -> Option<Error> {
    let error = node.extensions.as_ref()?.get("completion_error")?;
    serde_json::from_value(error).ok()
}

fn say(text: &str) -> Result<(), DemoError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_avoided_unless_it_was_asked_for() {
        let taken = TcpListener::bind((DEFAULT_HOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(choose_port(DEFAULT_HOST, Some(port)).unwrap(), port);
        // Whoever has the usual port, there is one.
        assert_ne!(choose_port(DEFAULT_HOST, None).unwrap(), 0);
        assert_ne!(choose_port(DEFAULT_HOST, Some(0)).unwrap(), port);
    }
}
