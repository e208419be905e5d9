//! Starts a server: opens the journal, takes over unfinished work, listens,
//! dispatches.

use std::sync::Arc;

use slog::{Logger, info, o, warn};

use super::{
    Server, StartError, Surroundings,
    assignment_key::{self, assignment_tokens},
    certificates::{Certificates, check_secrets, delegation},
    clock::{followed_clock, steady_clock},
    health::Reporters,
    hooks::Hooks,
    journal::OpenJournal,
    listeners::{Fronts, Listeners, Shared},
    peers::Peers,
    readings::Readings,
    summary::{self, Started},
    traces,
};
use crate::{
    auth::{self, Authenticator, Clocks},
    config::{self, ApprovalSettings, DefaultUsage, OnApproval, RunBounds, Settings},
    coordinator::{self, Coordinator, DispatchFacts, RunLog, WorkQueue},
    dispatch::{self, Dispatcher},
    engine::{Approvals, Bounds, Gates, Rules},
    events::{EventHub, Events},
    health::DispatchStatus,
    journal::{Duties, Owing, retention::Retention},
    metrics::Metrics,
    outbox::{self, Outbox},
    record::{Estimate, millionths},
    redact::Redactor,
    runtime::tasks::TaskSet,
    time::Clock,
    types::StructuralConstraints,
};

impl Server {
    /// Opens the journal, takes over the unfinished work in it, and listens. If
    /// that fails, nothing is left behind: the journal can be opened again.
    pub async fn start(
        settings: &Settings,
        surroundings: Surroundings,
        log: &Logger,
    ) -> Result<Self, StartError> {
        let tasks = TaskSet::new(log.new(o!("component" => "tasks")));
        let outbox_tasks = tasks.beside(log.new(o!("component" => "outbox")));
        let trace_tasks = tasks.beside(log.new(o!("component" => "traces")));
        let startup =
            Startup { settings, tasks: &tasks, outbox_tasks: &outbox_tasks, trace_tasks: &trace_tasks, log };
        let started = startup.run(surroundings).await;
        // Otherwise they follow the line that says where the server listens.
        if started.is_err() {
            startup.log_warnings();
            tokio::join!(tasks.cut_off(), outbox_tasks.cut_off(), trace_tasks.cut_off());
        }
        started
    }
}

/// A start under way.
struct Startup<'s> {
    settings: &'s Settings,
    tasks: &'s TaskSet,
    outbox_tasks: &'s TaskSet,
    trace_tasks: &'s TaskSet,
    log: &'s Logger,
}

impl Startup<'_> {
    async fn run(&self, surroundings: Surroundings) -> Result<Server, StartError> {
        let Self { settings, tasks, outbox_tasks, trace_tasks, log } = *self;
        // Before the journal is touched.
        check_secrets(settings)?;
        let certificates = Certificates::load(settings)?;
        let Surroundings { clock: machine, ids, before_journal, in_hand } = surroundings;
        let opened = OpenJournal::open(settings, before_journal, self.component("journal")).await?;
        let OpenJournal { journal, owing, fatal: journal_fatal, figures } = opened;
        let floor = journal.latest_commit_time().await?;
        let followed = followed_clock(&*journal, &machine).await?;
        let timed_by = followed.clone().map_or_else(|| Arc::clone(&machine), |followed| followed as _);
        let steady = Arc::new(steady_clock(timed_by, floor, log));
        let clock: Arc<dyn Clock> = Arc::clone(&steady) as _;
        let http = certificates.http_client(settings.calls.connect_timeout)?;
        let metrics = Metrics::new();
        let (queue, jobs) = WorkQueue::new(ids.owner_id(), in_hand);
        let worker = queue.worker().clone();
        let duties = Arc::new(Duties::new(&*journal));
        let of_traces = traces::Parts {
            journal: &journal,
            clock: &clock,
            ids: &ids,
            http: &http,
            metrics: &metrics,
            worker: &worker,
            tasks: trace_tasks,
            log: self.component("traces"),
        };
        let (traces, pump) = of_traces.traces(settings.traces.as_ref()).await?;
        let peers = Peers::new(settings, http.clone(), Arc::clone(&clock), tasks, (&metrics, log));
        let auth_log = self.component("auth");
        let assignment_tokens =
            assignment_tokens(settings, &journal, &*ids, clock.now(), auth_log.clone()).await?;
        let issues_tokens = assignment_tokens.is_some();
        let authenticator = Arc::new(Authenticator::new(auth::Parts {
            settings: settings.inbound.clone(),
            keeps_tokens: settings.exchange_key.is_some(),
            assignments: assignment_tokens.clone(),
            http,
            clocks: Clocks { steady: Arc::clone(&clock), wall: Arc::clone(&machine) as _ },
            tasks: tasks.clone(),
            log: auth_log.clone(),
        }));
        authenticator.warm_up();

        let stores = settings.stores.as_ref().map(|stores| peers.stores(stores, settings.calls.call_timeout));
        let outbox = settings.stores.as_ref().zip(stores.clone()).map(|(settings, stores)| {
            Outbox::begin(outbox::Parts {
                journal: Arc::clone(&journal),
                stores: stores.into(),
                clock: Arc::clone(&clock),
                duties: Arc::clone(&duties),
                patience: outbox::Patience { lag: settings.lag, wait: settings.wait },
                hosts: (settings.run_store.url.address(), settings.event_stream.url.address()),
                tasks: outbox_tasks.clone(),
                traces: traces.clone(),
                log: self.component("outbox"),
            })
        });
        let schemas = peers.schemas(settings);
        let dispatch_status = Arc::new(DispatchStatus::new(settings.waiting_degraded_after));
        let webhooks = Hooks {
            settings,
            certificates: &certificates,
            journal: &journal,
            clock: &clock,
            duties: &duties,
            wall: machine,
            dispatch: &dispatch_status,
            metrics: &metrics,
            tasks,
        }
        .begin(self.component("webhooks"))?;
        let coordinator = Arc::new(Coordinator::new(coordinator::Parts {
            journal: Arc::clone(&journal),
            stores,
            clock: Arc::clone(&clock),
            ids,
            events: Events { journal: Arc::clone(&journal), hub: Arc::new(EventHub::default()) },
            policy: peers.policy(settings),
            node_types: peers.node_types(settings, schemas.as_ref()),
            outbox: outbox.clone(),
            queue: Arc::clone(&queue),
            rules: Rules {
                dotted_keys: settings.dotted_keys,
                max_retries: settings.calls.max_retries,
                node_timeout: settings.deadlines.node,
                run_timeout: settings.deadlines.run,
                composite_silence: settings.deadlines.composite_silence,
                bounds: bounds(&settings.bounds),
                default_usage: default_usage(settings.default_usage),
                gates: gates(settings.gates, settings.approvals),
            },
            authorization: settings.inbound.authorization.clone(),
            offload: peers.offload(settings),
            redactor: Redactor::new(&settings.redact),
            delegation: delegation(settings)?,
            metrics: metrics.clone(),
            traces: traces.clone(),
            dispatch: DispatchFacts { status: Arc::clone(&dispatch_status), is_on: settings.auto_dispatch },
            webhooks: webhooks.clone(),
            schemas,
            run_log: if settings.log.runs { RunLog::On } else { RunLog::Off },
            log: self.component("coordinator"),
        }));
        if owing == Owing::Everything {
            dispatch_status.set_outbox_without_stores();
        }
        let beats = tasks.beside(self.component("heartbeat"));
        let dispatcher = Dispatcher::take_over(dispatch::Parts {
            attempts: coordinator.attempts(),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            followed,
            queue,
            duties: Arc::clone(&duties),
            health: Arc::clone(&dispatch_status),
            executors: peers.executors(settings)?,
            assignment_tokens,
            auto_dispatch: settings.auto_dispatch,
            tasks: tasks.clone(),
            beats: beats.clone(),
            metrics: metrics.clone(),
            log: self.component("dispatch"),
        })
        .await?;

        let stopping = tasks.stopping().clone();
        let fronts = Fronts::new(settings, &stopping, (&metrics, &traces), &self.component("http"));
        let readers_of_outbox = outbox.clone();
        let reporters = Reporters {
            coordinator: Arc::clone(&coordinator),
            dispatch: Arc::clone(&dispatch_status),
            panics: tasks.panics().clone(),
            watches: peers.watches().clone(),
            pdp_outage: settings.pdp_outage,
            outbox,
            webhooks: webhooks.clone(),
            authenticator: Arc::clone(&authenticator),
            clock: Arc::clone(&steady),
            certificates: certificates.checks(),
            admission: fronts.checks(),
        };
        let health = Arc::new(reporters.report());
        let counted = Arc::clone(&dispatch_status);
        Readings {
            webhooks: webhooks.as_ref().map(Arc::downgrade),
            dispatch: dispatch_status,
            health: Arc::downgrade(&health),
            clock: steady,
            journal: settings.journal.place.clone(),
            figures,
            outbox: readers_of_outbox,
            watches: peers.watches().clone(),
        }
        .give_to(&metrics);
        let bulk = Arc::clone(&coordinator);
        let shared = Shared { coordinator, authenticator, health, stopping };
        let listeners = Listeners::listen(settings, &certificates, (fronts, shared), tasks, log).await?;
        certificates.watch(listeners.running(), &clock, tasks, &self.component("certificates"));
        // Not earlier: a process that cannot listen must not have called an
        // executor, and executors may call back at once.
        dispatcher.begin(jobs);
        bulk.bulk_begin(&duties, tasks);
        if let Some(pump) = pump {
            trace_tasks.supervise("spans", Arc::clone(&clock), move || pump.clone().run());
        }
        Retention {
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            duties,
            runs: settings.journal.retention,
            audit: settings.journal.audit_retention,
            log: self.component("retention"),
        }
        .begin(tasks);
        if issues_tokens {
            let (journal, clock) = (Arc::clone(&journal), Arc::clone(&clock));
            let clock_skew = settings.inbound.clock_skew;
            assignment_key::Expiry { journal, clock, clock_skew, log: auth_log }.begin(tasks);
        }
        info!(log, "listening"; "address" => %listeners.address(),
            "journal" => %settings.journal.place, "version" => env!("CARGO_PKG_VERSION"));
        if let Some(address) = listeners.operator_address() {
            let host = address.ip().to_string();
            let url = config::value::loopback_url(settings.tls.is_some(), &host, address.port());
            info!(log, "listening for operators"; "address" => %address, "page" => format!("{url}/ui"));
        }
        let started = Started {
            address: listeners.address(),
            operator_address: listeners.operator_address(),
            counts: counted.counts().unwrap_or_default(),
        };
        summary::log(settings, &started, log);
        self.log_warnings();
        if owing == Owing::Everything {
            warn!(log, "JARVIS stores are not configured: keeping outbox entries");
        }
        Ok(Server {
            listeners,
            tasks: tasks.clone(),
            outbox_tasks: outbox_tasks.clone(),
            trace_tasks: trace_tasks.clone(),
            beats,
            journal,
            journal_fatal,
            clock,
            worker,
            stop_within: settings.shutdown_timeout,
            log: log.clone(),
        })
    }

    fn log_warnings(&self) {
        for warning in &self.settings.warnings {
            warn!(self.log, "configuration warning"; "warning" => warning);
        }
    }

    fn component(&self, name: &'static str) -> Logger {
        self.log.new(o!("component" => name))
    }
}

/// The ceilings of a run's tree where nothing else limits it. They are far above
/// what plans need, and keep a planner that creates itself from filling the
/// journal.
const CEILINGS: StructuralConstraints = StructuralConstraints {
    max_depth: Some(32),
    max_total_nodes_per_run: Some(100_000),
    max_children_per_composite: None,
    max_decomposition_rounds_per_node: None,
};

fn bounds(settings: &RunBounds) -> Bounds {
    let RunBounds { defaults, maxima } = settings.clone();
    Bounds { defaults, maxima, ceilings: CEILINGS }
}

fn gates(settings: config::Gates, approvals: ApprovalSettings) -> Gates {
    let config::Gates { irreversible_checkpoint, unknown_side_effect, candidate_sets_required } = settings;
    let ApprovalSettings { then, timeout } = approvals;
    let approvals = match then {
        OnApproval::Fail => Approvals::Fail,
        OnApproval::Park => Approvals::Park { timeout },
    };
    Gates { irreversible_checkpoint, unknown_side_effect, candidate_sets_required, approvals }
}

fn default_usage(settings: DefaultUsage) -> Estimate {
    let DefaultUsage { external_calls, cost } = settings;
    Estimate { external_calls: Some(external_calls), cost_millionths: Some(millionths(cost)) }
}
