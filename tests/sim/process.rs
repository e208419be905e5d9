//! One process of the coordinator: built from its parts as the server builds it, without
//! HTTP. It ends when it is killed, at any await point, or when it is drained.
//!
//! ```text
//!   start ─▶ takes over ─▶ up ──crash──▶ gone ─▶ (a while later) start …
//!                           └──drain──▶ jobs finish, or are cut off ─▶ gone
//! ```
//!
//! A dead process has no further effect: its journal and its executors never answer it
//! again, and its tasks are cut off.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::FutureExt;
use jarvis_run_coordinator::{
    auth::{self, Admission, Authenticator, Clocks, Principal},
    config::{AuthSettings, Authorization, PdpOutage, PolicyPosture, RegistryOutage},
    coordinator::{self, Coordinator, DispatchFacts, RunLog, WorkQueue},
    dispatch::{self, Dispatcher, Executors, Member, Names, Pool, PoolOptions},
    engine::{Approvals, Bounds, Gates, Rules},
    events::{EventHub, Events},
    journal::{Duties, Journal, JournalError, follow_time},
    metrics::Metrics,
    outbox::{self, Outbox, Patience, Receivers},
    record::Estimate,
    redact::Redactor,
    resilience::ServiceWatch,
    runtime::tasks::TaskSet,
    services::{
        executors::{AtomicExecutor, CompositeExecutor},
        node_registry::{NodeTypes, RegistryOptions},
        policy::{self, Policy},
    },
    time::{Clock, FollowedClock, MachineClock, SteadyClock, SystemClock, within},
    traces::Traces,
    types::{IdSource, Uri, WorkerId},
};
use slog::{Logger, o};

use crate::{
    clock::ProcessClock,
    executors::{AtomicRole, CompositeRole},
    journal::SimJournal,
    life::Life,
    scenario::Sabotage,
    services::Services,
    stores::SimStores,
    world::World,
};

/// The concurrency limit of each executor.
const SLOTS: usize = 3;
/// The bound on jobs in memory.
const IN_HAND: usize = 16;
/// When answers wait for the stores: in every second scenario only if those lag behind.
fn patience(world: &World) -> Patience {
    let lag = Duration::from_millis(100 * (world.scenario.seed % 2));
    Patience { lag, wait: Duration::from_millis(400) }
}
/// The time limit of a drain.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// The time limit of releasing its claims.
const CUT_OFF: Duration = Duration::from_secs(1);
const NODE_TIMEOUT: Duration = Duration::from_secs(15);
const RUN_TIMEOUT: Duration = Duration::from_secs(90);
/// The time limits of nodes and runs that an outage of the journal must not end.
const PATIENT: Duration = Duration::from_secs(240);
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// The silence after which a composite's executor counts as gone.
pub const SILENCE: Duration = Duration::from_secs(8);

pub struct Process {
    pub life: Arc<Life>,
    pub coordinator: Arc<Coordinator>,
    pub queue: Arc<WorkQueue>,
    pub clock: Arc<dyn Clock>,
    pub caller: Principal,
    pub up_since: Duration,
    journal: Arc<dyn Journal>,
    tasks: TaskSet,
    beats: TaskSet,
}

impl Process {
    /// Starts the process of a replica; `None` if the start failed.
    async fn start(
        world: &Arc<World>,
        replica: u32,
        life: &Arc<Life>,
        (tasks, beats): (&TaskSet, &TaskSet),
    ) -> Option<Arc<Self>> {
        let journal: Arc<dyn Journal> =
            Arc::new(SimJournal::open(world, life).expect("memory does not fail"));
        let log = world.story.logger(&world.clock, "coordinator");
        let floor = journal.latest_commit_time().await.ok()?;
        let (machine, followed) = clocks(world, &*journal).await.ok()?;
        let clock: Arc<dyn Clock> = Arc::new(SteadyClock::begin(machine, floor, |_| {}));
        let owner = match world.is_sabotaged(Sabotage::ReusesAWorkerName) {
            true => WorkerId::new(format!("owner_{replica}")),
            false => world.ids.owner_id(),
        };
        world.trace(format_args!("a process starts: {owner}"));
        let (queue, jobs) = WorkQueue::new(owner, IN_HAND);
        let duties = Arc::new(Duties::new(&*journal));
        let outbox = journal.is_shared().then(|| {
            let stores = Arc::new(SimStores::new(world, life, queue.worker()));
            Outbox::begin(outbox::Parts {
                journal: Arc::clone(&journal),
                stores: Receivers { runs: Arc::clone(&stores) as _, events: stores, artifacts: None },
                clock: Arc::clone(&clock),
                duties: Arc::clone(&duties),
                patience: patience(world),
                hosts: ("run-store.test".into(), "event-stream.test".into()),
                tasks: tasks.clone(),
                traces: Traces::off(),
                log: log.clone(),
            })
        });
        let services = Arc::new(Services::new(world));
        let watch = |service| Arc::new(ServiceWatch::new(service, service, 1, log.clone()));
        let coordinator = Arc::new(Coordinator::new(coordinator::Parts {
            journal: Arc::clone(&journal),
            stores: None,
            clock: Arc::clone(&clock),
            ids: world.ids.clone(),
            authorization: Authorization::default(),
            events: Events { journal: Arc::clone(&journal), hub: Arc::new(EventHub::default()) },
            policy: match world.scenario.without_pdp {
                true => Policy::Local(PolicyPosture::DevAllow),
                false => Policy::Pdp {
                    pdp: services.clone(),
                    timeout: CALL_TIMEOUT,
                    outage: policy::Outage::new(
                        if world.scenario.pdp_holds { PdpOutage::Hold } else { PdpOutage::Deny },
                        watch("pdp"),
                    ),
                    clock: Arc::clone(&clock),
                    log: log.clone(),
                },
            },
            node_types: NodeTypes::from_registry(
                RegistryOptions {
                    registry: services,
                    timeout: CALL_TIMEOUT,
                    outage: RegistryOutage::Closed,
                    watch: watch("node_registry"),
                    judge: None,
                },
                Arc::clone(&clock),
                log.clone(),
            ),
            outbox,
            queue: Arc::clone(&queue),
            rules: Rules {
                dotted_keys: false,
                max_retries: 4,
                node_timeout: if world.scenario.patient { PATIENT } else { NODE_TIMEOUT },
                run_timeout: if world.scenario.patient { PATIENT } else { RUN_TIMEOUT },
                composite_silence: Some(SILENCE).filter(|_| world.watches_silence()),
                bounds: Bounds::default(),
                default_usage: Estimate { external_calls: Some(1), cost_millionths: Some(0) },
                gates: Gates {
                    approvals: match world.scenario.approvals_wait {
                        Some(timeout) => Approvals::Park { timeout },
                        None => Approvals::Fail,
                    },
                    ..Gates::default()
                },
            },
            offload: None,
            redactor: Redactor::default(),
            delegation: None,
            metrics: Metrics::new(),
            traces: Traces::off(),
            dispatch: DispatchFacts { status: Arc::default(), is_on: true },
            webhooks: None,
            schemas: None,
            run_log: RunLog::On,
            log: log.clone(),
        }));
        let endpoint = |host: &str| Uri::try_from(format!("http://{host}.test")).expect("a URI");
        let members = world.scenario.members();
        let names = if members == 1 { Names::Single } else { Names::Addresses };
        let atomic = (0..members).map(|member| Member {
            role: Arc::new(AtomicRole::new(world, life, queue.worker(), member)) as Arc<dyn AtomicExecutor>,
            instance_id: format!("atomic-{member}"),
            endpoint: endpoint(&format!("atomic-{member}")),
            audience: None,
        });
        let composite = (0..members).map(|member| Member {
            role: Arc::new(CompositeRole::new(world, life, queue.worker(), member))
                as Arc<dyn CompositeExecutor>,
            instance_id: format!("composite-{member}"),
            endpoint: endpoint(&format!("composite-{member}")),
            audience: None,
        });
        let options =
            || PoolOptions { names, max_in_flight: SLOTS, clock: Arc::clone(&clock), log: log.clone() };
        let dispatcher = Dispatcher::take_over(dispatch::Parts {
            attempts: coordinator.attempts(),
            journal: Arc::clone(&journal),
            clock: Arc::clone(&clock),
            followed,
            queue: Arc::clone(&queue),
            duties,
            health: Arc::default(),
            executors: Executors {
                atomic: Some(Pool::atomic(atomic.collect(), options())),
                composite: Some(Pool::composite(composite.collect(), options())),
                coordinator_url: Some(endpoint("coordinator")),
                call_timeout: CALL_TIMEOUT,
            },
            assignment_tokens: None,
            auto_dispatch: true,
            tasks: tasks.clone(),
            beats: beats.clone(),
            metrics: Metrics::new(),
            log,
        })
        .await;
        match dispatcher {
            Ok(dispatcher) => dispatcher.begin(jobs),
            Err(failure) => {
                world.trace(format_args!("the start failed: {failure}"));
                world.count("start failed");
                return None;
            }
        }
        let (life, tasks, beats) = (Arc::clone(life), tasks.clone(), beats.clone());
        Some(Arc::new(Self {
            life,
            coordinator,
            queue,
            clock,
            caller: caller(),
            up_since: world.clock.elapsed(),
            journal,
            tasks,
            beats,
        }))
    }

    /// Takes no new work, and ends when the work under way is done or the time limit is
    /// over.
    pub async fn drain(self: &Arc<Self>, world: &Arc<World>) {
        world.trace("the process is drained");
        world.gone(&self.life);
        self.tasks.stopping().cancel();
        let stopped = within(&*world.clock, STOP_WITHIN, self.tasks.stop()).await;
        if stopped.is_none() {
            self.tasks.cut_off().await;
        }
        self.beats.stopping().cancel();
        // If this fails, the next process takes over what is left.
        let _ = within(
            &*world.clock,
            CUT_OFF,
            self.journal.release_claims(self.queue.worker(), self.clock.now()),
        )
        .await;
        self.beats.cut_off().await;
        world.count(if stopped.is_some() { "drained" } else { "drained and cut off" });
        self.life.end();
    }
}

/// The clock of a process: that of its machine, or the journal's, which processes follow
/// that share it, each with a machine whose clocks are wrong in their own way.
async fn clocks(
    world: &Arc<World>,
    journal: &dyn Journal,
) -> Result<(Arc<dyn MachineClock>, Option<Arc<FollowedClock>>), JournalError> {
    if !journal.is_shared() {
        return Ok((world.clock.clone(), None));
    }
    let (skew, rate) = world.wrong_clock();
    let machine = Arc::new(ProcessClock { real: Arc::clone(&world.clock), skew, rate });
    let followed = Arc::new(FollowedClock::new(machine));
    follow_time(journal, &followed).await?;
    Ok((Arc::clone(&followed) as _, Some(followed)))
}

/// Starts a process whenever this one of the replicas is gone.
pub async fn keep_up(world: Arc<World>, replica: u32) {
    loop {
        let life = Arc::new(Life::default());
        let tasks = TaskSet::new(world.story.logger(&world.clock, "coordinator").new(o!()));
        let beats = tasks.beside(world.story.logger(&world.clock, "heartbeat").new(o!()));
        let started = tokio::select! {
            biased;
            () = life.died() => None,
            process = Process::start(&world, replica, &life, (&tasks, &beats)) => process,
        };
        if let Some(process) = started {
            world.is_up(process);
            tokio::select! {
                biased;
                () = life.died() => {}
                // As `serve` does: the process ends.
                why = tasks.fatal().declared() => {
                    world.trace(format_args!("fatal: {why}"));
                    world.count("process ended because it was declared dead");
                    if !life.was_frozen() {
                        world.violated("the living are not declared dead", why);
                    }
                }
            }
            world.gone(&life);
        }
        world.trouble();
        life.end();
        world.trace("the process is gone");
        tokio::join!(tasks.cut_off(), beats.cut_off());
        // A restart takes a moment.
        let pause = if world.one_in(5) { 3_000 } else { 50 };
        world.clock.sleep(Duration::from_millis(pause)).await;
    }
}

/// A caller that may do everything, as every caller of a coordinator without
/// authentication.
fn caller() -> Principal {
    static CALLER: OnceLock<Principal> = OnceLock::new();
    let made = || {
        let vars = BTreeMap::from([("ARP_AUTH_MODE".to_owned(), "disabled".to_owned())]);
        let log = Logger::root(slog::Discard, o!());
        let authenticator = Authenticator::new(auth::Parts {
            settings: AuthSettings::from_vars(&vars).expect("settings"),
            keeps_tokens: false,
            assignments: None,
            http: reqwest::Client::new(),
            clocks: Clocks { steady: Arc::new(SystemClock), wall: Arc::new(SystemClock) },
            tasks: TaskSet::new(log.clone()),
            log,
        });
        let headers = http::HeaderMap::new();
        let admission = authenticator.authenticate("/v1/runs", &headers).now_or_never();
        match admission {
            Some(Ok(Admission::Caller(caller))) => caller,
            other => panic!("authentication is disabled: {other:?}"),
        }
    };
    CALLER.get_or_init(made).clone()
}
