//! The composition root: builds a server from its settings, and takes it down
//! in order.
//!
//! ```text
//!  start:  journal ─▶ coordinator ─▶ dispatcher takes over unfinished work ─▶ listen ─▶ dispatcher begins
//!  stop:   stop claiming, end streams ─▶ requests finish ─▶ jobs finish ─▶ outbox sent
//!          ─▶ what was not begun is handed back ─▶ journal closed
//! ```
//!
//! Stopping has a time limit, whatever hangs; requests have half of it, so that
//! a caller who is slow does not take the stores' time. Work that is cut off is in the
//! journal, and the next process goes on with it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use slog::{Logger, info, o, warn};

use crate::{
    api::{self, Front, FrontLimits, ListenConfig, ServerContext},
    auth::{AssignmentTokens, Authenticator, Clocks, KEY_BYTES},
    clients::{self, Peer, Service, TokenSource, TokenSourceOptions},
    config::{self, Endpoint, HttpUrl, Mode, PdpOutage, PolicyPosture, RegistryOutage, Settings},
    coordinator::{self, Coordinator, Offload, Vitals, WorkQueue},
    dispatch::{self, Dispatcher, Executor, Executors},
    engine::Rules,
    events::{EventHub, Events},
    journal::{
        Journal, JournalError, OpenError,
        retention::Retention,
        sqlite::{Owing, SqliteJournal, SqliteOptions, WithoutStores},
    },
    outbox::{self, Outbox},
    runtime::tasks::{Fatal, TaskSet},
    services::{
        self,
        node_registry::{NodeTypes, Outage, RegistryOptions},
        policy::{self, Policy, Posture},
    },
    time::{Clock, MachineClock, SteadyClock, SystemClock, Timestamp, within},
    types::{IdSource, RandomIds, Uri, WorkerId},
};

/// So many jobs may be in hand at once, waiting for a slot at an executor or
/// at it.
const IN_HAND: usize = 8_192;

/// How long a stop waits for tasks that it has cut off, and for the journal:
/// its disk may hang.
const CUT_OFF: Duration = Duration::from_secs(1);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Journal(#[from] OpenError),
    #[error("cannot take up the journal's unfinished work: {0}")]
    TakeUp(#[from] JournalError),
    #[error("cannot keep the key of assignment tokens: {0}")]
    AssignmentKey(#[source] JournalError),
    #[error("cannot listen on {address}: {reason}")]
    Listen { address: String, reason: String },
    #[error("{0}")]
    Setup(String),
}

/// What tests put in the place of the real thing.
pub struct Surroundings {
    /// The server's own clock follows it, without its steps.
    pub clock: Arc<dyn MachineClock>,
    pub ids: Arc<dyn IdSource>,
    /// What stands between the server and its journal.
    pub before_journal: Box<dyn FnOnce(SqliteJournal) -> Arc<dyn Journal> + Send>,
    /// How many jobs of each sort may be in hand.
    pub in_hand: usize,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            before_journal: Box::new(|journal| Arc::new(journal)),
            in_hand: IN_HAND,
        }
    }
}

/// A server that is running.
pub struct Server {
    http: api::Http,
    tasks: TaskSet,
    /// They end last: until then there may be something to send.
    outbox_tasks: TaskSet,
    journal: Arc<dyn Journal>,
    journal_fatal: Fatal,
    clock: Arc<dyn Clock>,
    owner: WorkerId,
    stop_within: Duration,
    log: Logger,
}

/// Why a server must not live on.
#[derive(Clone, Debug)]
pub struct Broken {
    pub reason: String,
    /// What is under way can still end. (Without a journal nothing can.)
    pub may_stop: bool,
}

impl Server {
    /// Opens the journal, takes up what is unfinished in it, and listens. If
    /// that fails, nothing is left behind: the journal can be opened again.
    pub async fn start(
        settings: &Settings,
        surroundings: Surroundings,
        log: &Logger,
    ) -> Result<Self, StartError> {
        let tasks = TaskSet::new(log.new(o!("component" => "tasks")));
        let outbox_tasks = tasks.beside(log.new(o!("component" => "outbox")));
        let started = Self::set_up(settings, surroundings, &tasks, &outbox_tasks, log).await;
        if started.is_err() {
            tokio::join!(tasks.cut_off(), outbox_tasks.cut_off());
        }
        started
    }

    async fn set_up(
        settings: &Settings,
        surroundings: Surroundings,
        tasks: &TaskSet,
        outbox_tasks: &TaskSet,
        log: &Logger,
    ) -> Result<Self, StartError> {
        for warning in &settings.warnings {
            warn!(log, "{}", warning);
        }
        let Surroundings { clock: machine, ids, before_journal, in_hand } = surroundings;
        let options = SqliteOptions {
            path: settings.journal.path.clone(),
            max_bytes: settings.journal.max_bytes,
            outbox: settings.stores.is_some(),
        };
        let mut journal = SqliteJournal::open(options, log.new(o!("component" => "journal")))?;
        let owing = owing(settings, &mut journal, log).await?;
        let journal_fatal = journal.fatal().clone();
        let journal = before_journal(journal);
        let floor = journal.time_newest().await?;
        let steady = Arc::new(steady_clock(Arc::clone(&machine), floor, log));
        let clock: Arc<dyn Clock> = Arc::clone(&steady) as _;
        let http = clients::http_client(settings.calls.connect_timeout).map_err(StartError::Setup)?;
        let peers = Peers::new(settings, http.clone(), Arc::clone(&clock), tasks, log);
        let assignment_tokens = assignment_tokens(settings, &*journal, &*ids).await?;
        let authenticator = Arc::new(Authenticator::new(
            settings.inbound.clone(),
            assignment_tokens.clone(),
            http,
            Clocks { steady: Arc::clone(&clock), wall: machine },
            tasks.clone(),
            log.new(o!("component" => "auth")),
        ));
        authenticator.warm_up();

        let stores = settings.stores.as_ref().map(|stores| peers.stores(stores, settings.calls.call_timeout));
        let outbox = settings.stores.as_ref().zip(stores.clone()).map(|(settings, stores)| {
            Outbox::begin(outbox::Parts {
                journal: Arc::clone(&journal),
                stores,
                clock: Arc::clone(&clock),
                wait: settings.wait,
                tasks: outbox_tasks.clone(),
                log: log.new(o!("component" => "outbox")),
            })
        });
        let (queue, jobs) = WorkQueue::new(ids.owner_id(), in_hand);
        let owner = queue.worker().clone();
        let vitals = Arc::<Vitals>::default();
        vitals.watch(tasks.panics().clone());
        if owing == Owing::Everything {
            vitals.owe_without_stores();
        }
        let coordinator = Arc::new(Coordinator::new(coordinator::Parts {
            journal: Arc::clone(&journal),
            stores,
            clock: Arc::clone(&clock),
            ids,
            events: Events { journal: Arc::clone(&journal), hub: Arc::new(EventHub::default()) },
            policy: peers.policy(settings),
            node_types: peers.node_types(settings),
            outbox,
            queue: Arc::clone(&queue),
            vitals: Arc::clone(&vitals),
            rules: Rules {
                dotted_keys: settings.dotted_keys,
                max_retries: settings.calls.max_retries,
                node_timeout: settings.deadlines.node,
                run_timeout: settings.deadlines.run,
                composite_silence: settings.deadlines.composite_silence,
            },
            offload: peers.offload(settings),
            log: log.new(o!("component" => "coordinator")),
        }));
        let dispatcher = Dispatcher::take_over(dispatch::Parts {
            attempts: coordinator.attempts(),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            queue,
            vitals,
            executors: peers.executors(settings)?,
            assignment_tokens,
            auto_dispatch: settings.auto_dispatch,
            tasks: tasks.clone(),
            log: log.new(o!("component" => "dispatch")),
        })
        .await?;

        let limits = FrontLimits {
            requests: settings.limits.requests,
            streams: settings.limits.streams,
            body_timeout: settings.limits.body_timeout,
        };
        let stopping = tasks.stopping().clone();
        let front = Front::new(limits, &stopping);
        let context = ServerContext {
            coordinator,
            authenticator,
            clock: steady,
            body_values_max: settings.limits.body_values,
            stopping,
            front,
        };
        let address = format!("{}:{}", settings.listen.host, settings.listen.port);
        let cannot = |reason: String| StartError::Listen { address: address.clone(), reason };
        let mut addresses =
            tokio::net::lookup_host(&address).await.map_err(|error| cannot(error.to_string()))?;
        let bind_address = addresses.next().ok_or_else(|| cannot("the name has no address".into()))?;
        let listen = ListenConfig { bind_address, body_limit_bytes: settings.limits.body_bytes };
        let http = api::serve(&listen, context, tasks, &log.new(o!("component" => "http")))
            .map_err(|error| cannot(root_cause(&error)))?;
        // Only now: a process that cannot listen must not have begun anything,
        // and executors that are called may call back at once.
        dispatcher.begin(jobs);
        if let Some(keep) = settings.journal.retention {
            let log = log.new(o!("component" => "retention"));
            Retention { journal: Arc::clone(&journal), clock: Arc::clone(&clock), keep, log }.begin(tasks);
        }
        info!(log, "listening"; "address" => %http.local_addr(), "journal" => %settings.journal.path.display(),
            "version" => env!("CARGO_PKG_VERSION"));
        let stop_within = settings.shutdown_timeout;
        let (tasks, outbox_tasks) = (tasks.clone(), outbox_tasks.clone());
        let log = log.clone();
        Ok(Self { http, tasks, outbox_tasks, journal, journal_fatal, clock, owner, stop_within, log })
    }

    /// Waits until something is gone that the server cannot do without. The
    /// process should end then: the next one goes on with all of it.
    pub async fn broken(&self) -> Broken {
        tokio::select! {
            reason = self.journal_fatal.declared() => Broken { reason, may_stop: false },
            reason = self.tasks.fatal().declared() => Broken { reason, may_stop: true },
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// Stops: takes no new work, ends streams, lets requests and jobs finish,
    /// for as long as the settings allow.
    pub async fn stop(self) {
        let Self { http, tasks, outbox_tasks, journal, journal_fatal: _, clock, owner, stop_within, log } =
            self;
        info!(log, "stopping"; "within_seconds" => stop_within.as_secs_f64());
        // Streams end and dispatch stops with this; running jobs go on.
        tasks.stopping().cancel();
        let drained = within(&*clock, stop_within, async {
            // Half of the time is for what comes after: jobs, and the outbox.
            if let Err(reason) = http.close(stop_within / 2).await {
                warn!(log, "the HTTP server did not stop cleanly"; "reason" => reason);
            }
            tasks.stop().await;
            outbox_tasks.stop().await;
        });
        match drained.await {
            Some(()) => info!(log, "stopped"),
            None => {
                let unfinished = tasks.len() + outbox_tasks.len();
                warn!(log, "stopped with work under way: the next start goes on with it"; "tasks" => unfinished);
                // They hold the journal.
                within(&*clock, CUT_OFF, async { tokio::join!(tasks.cut_off(), outbox_tasks.cut_off()) })
                    .await;
            }
        }
        let closed = within(&*clock, CUT_OFF, async {
            if let Err(failure) = journal.owner_release(&owner, clock.now()).await {
                warn!(log, "work not handed back: the next start finds it all the same"; "error" => %failure);
            }
            // Closing it waits for its thread, which may wait for the disk.
            let closing = tokio::task::spawn_blocking(move || drop(journal));
            if let Err(failure) = closing.await {
                warn!(log, "the journal was not closed cleanly"; "error" => %failure);
            }
        });
        if closed.await.is_none() {
            warn!(log, "the journal is not closed yet: it does not answer");
        }
    }
}

/// By so much later than the machine's clock the journal's newest time must be
/// for the clock to have been set back.
const AHEAD_SECONDS: f64 = 1.0;

/// What the journal owes to JARVIS stores that are not configured.
async fn owing(settings: &Settings, journal: &mut SqliteJournal, log: &Logger) -> Result<Owing, StartError> {
    if settings.stores.is_some() {
        journal.with_stores().await.map_err(StartError::TakeUp)?;
        return Ok(Owing::Nothing);
    }
    let owing = journal
        .without_stores(match settings.without_stores {
            config::WithoutStores::Refuse => WithoutStores::Refuse,
            config::WithoutStores::Owe => WithoutStores::Owe,
            config::WithoutStores::Forget => WithoutStores::Forget,
        })
        .await?;
    match owing {
        Owing::Nothing => {}
        Owing::Everything => {
            warn!(log, "the JARVIS stores are not configured: what they are owed is kept until they are");
        }
        Owing::Forgotten(entries) => {
            warn!(log, "what the JARVIS stores were owed is forgotten: they do not get it any more"; "entries" => entries);
        }
    }
    Ok(owing)
}

/// The clock that everything is timed with. It begins no earlier than `floor`,
/// the newest time that the journal knows.
fn steady_clock(machine: Arc<dyn MachineClock>, floor: Option<Timestamp>, log: &Logger) -> SteadyClock {
    let component = log.new(o!("component" => "clock"));
    let clock = SteadyClock::begin(machine, floor, move |seconds| {
        warn!(component, "the machine's clock was set: deadlines stay, times follow slowly"; "by_seconds" => seconds);
    });
    let ahead = clock.ahead_seconds();
    // Less is how clocks are read, or adjusted: it says nothing.
    if ahead >= AHEAD_SECONDS {
        warn!(log, "the journal knows later times than the machine's clock"; "ahead_seconds" => ahead);
    }
    clock
}

/// The key of assignment tokens, in the journal.
const ASSIGNMENT_KEY: &str = "assignment_token_key";

/// Where callers have to say who they are, executors get tokens of ours to say
/// it with. Their key is kept, so that tokens survive a restart as runs do.
async fn assignment_tokens(
    settings: &Settings,
    journal: &dyn Journal,
    ids: &dyn IdSource,
) -> Result<Option<Arc<AssignmentTokens>>, StartError> {
    match settings.inbound.mode {
        Mode::Disabled => return Ok(None),
        Mode::Required | Mode::Optional => {}
    }
    let fresh = AssignmentTokens::fresh_key(ids).to_vec();
    let key = journal.secret(ASSIGNMENT_KEY, fresh).await.map_err(StartError::AssignmentKey)?;
    let key = <&[u8; KEY_BYTES]>::try_from(key.as_slice()).map_err(|_| {
        StartError::AssignmentKey(JournalError::Damaged(format!("{ASSIGNMENT_KEY} has a wrong length")))
    })?;
    Ok(Some(Arc::new(AssignmentTokens::new(key, settings.inbound.clock_skew))))
}

/// What is at the bottom of an error.
fn root_cause(mut error: &dyn std::error::Error) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// The services around us, as far as they are configured.
struct Peers {
    http: reqwest::Client,
    tokens: Option<Arc<TokenSource>>,
    /// Of an answer.
    max_answer_bytes: usize,
    clock: Arc<dyn Clock>,
    log: Logger,
}

impl Peers {
    fn new(
        settings: &Settings,
        http: reqwest::Client,
        clock: Arc<dyn Clock>,
        tasks: &TaskSet,
        log: &Logger,
    ) -> Self {
        let log = log.new(o!("component" => "clients"));
        let tokens = settings.outbound.as_ref().map(|outbound| {
            let options = TokenSourceOptions {
                endpoint: outbound.token_endpoint.as_str().to_owned(),
                client_id: outbound.client_id.clone(),
                client_secret: outbound.client_secret.expose().to_owned(),
                scope: outbound.scope.clone(),
                audience_field: outbound.audience_field.as_str(),
                timeout: outbound.timeout,
            };
            TokenSource::new(options, http.clone(), Arc::clone(&clock), tasks.clone(), log.clone())
        });
        Self { http, tokens, max_answer_bytes: settings.limits.answer_bytes, clock, log }
    }

    fn peer(&self, service: Service, endpoint: &Endpoint) -> Peer {
        let peer = match &self.tokens {
            Some(tokens) => Peer::with_audience(service, Arc::clone(tokens), &endpoint.audience),
            None => Peer::anonymous(service),
        };
        peer.answers_within(self.max_answer_bytes)
    }

    fn stores(&self, stores: &config::Stores, limit: Duration) -> services::Stores {
        let patience = services::Patience { clock: Arc::clone(&self.clock), limit };
        let runs = clients::run_store::Client::new_with_client(
            stores.run_store.url.as_str(),
            self.http.clone(),
            self.peer(Service::RunStore, &stores.run_store),
        );
        let events = clients::event_stream::Client::new_with_client(
            stores.event_stream.url.as_str(),
            self.http.clone(),
            self.peer(Service::EventStream, &stores.event_stream),
        );
        let artifacts = clients::artifact_store::Client::new_with_client(
            stores.artifact_store.url.as_str(),
            self.http.clone(),
            self.peer(Service::ArtifactStore, &stores.artifact_store),
        );
        services::Stores {
            runs: services::RunStore::new(runs, patience.clone()),
            events: services::EventStream::new(events, patience.clone()),
            artifacts: services::ArtifactStore::new(artifacts, patience),
        }
    }

    fn policy(&self, settings: &Settings) -> Policy {
        match (&settings.pdp, settings.policy) {
            (Some(pdp), _) => Policy::Pdp {
                pdp: Arc::new(clients::pdp::Client::new_with_client(
                    pdp.url.as_str(),
                    self.http.clone(),
                    self.peer(Service::Pdp, pdp),
                )),
                timeout: settings.calls.call_timeout,
                outage: match settings.pdp_outage {
                    PdpOutage::Deny => policy::Outage::deny(),
                    PdpOutage::Hold => policy::Outage::hold(),
                },
                clock: Arc::clone(&self.clock),
                log: self.log.clone(),
            },
            (None, PolicyPosture::DevAllow) => Policy::Local(Posture::Allow),
            (None, PolicyPosture::DenyUnconfigured) => Policy::Local(Posture::Deny),
        }
    }

    fn node_types(&self, settings: &Settings) -> NodeTypes {
        let Some(registry) = &settings.node_registry else { return NodeTypes::by_prefix() };
        // It expects no token where nobody does; the others take or leave it
        // (contract §20).
        let peer = match settings.inbound.mode {
            Mode::Disabled => Peer::anonymous(Service::NodeRegistry).answers_within(self.max_answer_bytes),
            Mode::Required | Mode::Optional => self.peer(Service::NodeRegistry, registry),
        };
        let options = RegistryOptions {
            registry: Arc::new(clients::node_registry::Client::new_with_client(
                registry.url.as_str(),
                self.http.clone(),
                peer,
            )),
            timeout: settings.calls.call_timeout,
            outage: match settings.registry_outage {
                RegistryOutage::Closed => Outage::Closed,
                RegistryOutage::Open => Outage::Open,
            },
        };
        NodeTypes::from_registry(options, Arc::clone(&self.clock), self.log.clone())
    }

    /// Where large outputs go, if they are to go anywhere.
    fn offload(&self, settings: &Settings) -> Option<Offload> {
        let (stores, limit) = (settings.stores.as_ref()?, settings.offload_outputs_bytes?);
        let artifacts = self.stores(stores, settings.calls.call_timeout).artifacts;
        Some(Offload::new(artifacts, limit, Arc::clone(&self.clock)))
    }

    fn executors(&self, settings: &Settings) -> Result<Executors, StartError> {
        let uri = |url: &HttpUrl| {
            let text = url.without_credentials();
            Uri::try_from(text.clone()).map_err(|error| StartError::Setup(format!("{text}: {error}")))
        };
        let max_in_flight = settings.calls.max_in_flight;
        let atomic = match &settings.atomic_executor {
            None => None,
            Some(endpoint) => {
                let peer = self.peer(Service::AtomicExecutor, endpoint);
                let url = endpoint.url.as_str();
                let client = clients::atomic_executor::Client::new_with_client(url, self.http.clone(), peer);
                Some(Executor::atomic(client, uri(&endpoint.url)?, max_in_flight))
            }
        };
        let composite = match &settings.composite_executor {
            None => None,
            Some(endpoint) => {
                let peer = self.peer(Service::CompositeExecutor, endpoint);
                let url = endpoint.url.as_str();
                let client =
                    clients::composite_executor::Client::new_with_client(url, self.http.clone(), peer);
                Some(Executor::composite(client, uri(&endpoint.url)?, max_in_flight))
            }
        };
        // As it was given: executors call back by it, and it is in no record.
        let coordinator_url = settings.public_url.as_ref().map(|url| {
            let text = url.as_str().to_owned();
            Uri::try_from(text).map_err(|error| StartError::Setup(format!("{url:?}: {error}")))
        });
        let coordinator_url = coordinator_url.transpose()?;
        Ok(Executors { atomic, composite, coordinator_url, call_timeout: settings.calls.call_timeout })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    };

    use async_trait::async_trait;
    use slog::{Drain, OwnedKVList, Record};

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    /// Its wall stands still, and a part of a microsecond passes between two
    /// looks at it.
    #[derive(Default)]
    struct Machine(AtomicU64);

    #[async_trait]
    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            NOW
        }
        async fn sleep(&self, _: Duration) {}
    }

    impl MachineClock for Machine {
        fn monotonic(&self) -> Duration {
            Duration::from_nanos(self.0.fetch_add(427, Ordering::SeqCst))
        }
    }

    #[derive(Default)]
    struct Said(Mutex<Vec<String>>);

    impl Drain for Said {
        type Ok = ();
        type Err = slog::Never;
        fn log(&self, record: &Record<'_>, _: &OwnedKVList) -> Result<(), slog::Never> {
            self.0.lock().expect("no panic").push(record.msg().to_string());
            Ok(())
        }
    }

    #[test]
    fn a_start_warns_of_a_clock_that_was_set_back_and_not_of_how_it_is_read() {
        for (floor, warnings) in [
            (None, 0),
            (Some(NOW), 0),
            (Some(NOW + Duration::from_millis(999)), 0),
            (Some(NOW + Duration::from_secs(2)), 1),
        ] {
            let said = Arc::new(Said::default());
            let clock =
                steady_clock(Arc::new(Machine::default()), floor, &Logger::root(Arc::clone(&said), o!()));
            assert!(clock.now() >= floor.unwrap_or(NOW));
            assert_eq!(said.0.lock().expect("no panic").len(), warnings, "{floor:?}");
        }
    }
}
