//! The work of all runs: what waits, for what, and since when.

use dropshot::{ApiDescription, ApiDescriptionRegisterError, HttpResponseOk, RequestContext, endpoint};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    coordinator::{ExecutorView, LaneView, WorkView},
    health::MemberReport,
    http_server::{ApiError, Caller, ServerContext},
    journal::{self, Parked, WorkerClaims},
    record,
    time::Timestamp,
    types::{NodeKind, NodeRunId, RunId, WorkerId},
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(work_get)
}

/// The work of all runs
#[derive(Serialize, JsonSchema)]
struct Work {
    at: Timestamp,
    runs_live: u64,
    node_runs_live: u64,
    /// Live runs and node runs without a wake-up: always 0
    without_wake_up: u64,
    due: Due,
    in_hand: InHand,
    parked: ParkedWork,
    approvals: Waiting,
    /// As the last sweep found them, seconds ago at most
    executors: Vec<Executor>,
    /// What the JARVIS stores have yet to receive
    outbox: Vec<Backlog>,
    /// The processes that have claimed work
    workers: Vec<Worker>,
}

/// Wake-ups that are due and that no process has claimed
#[derive(Serialize, JsonSchema)]
struct Due {
    count: u64,
    /// When the first of them became due
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
    /// Those with any
    lanes: Vec<DueLane>,
}

/// Those for one job, of node runs of one kind
#[derive(Serialize, JsonSchema)]
struct DueLane {
    job: String,
    /// Absent: not known yet
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<NodeKind>,
    count: u64,
    oldest: Timestamp,
}

/// Jobs that this process has claimed and not done yet
#[derive(Serialize, JsonSchema)]
struct InHand {
    count: u64,
    lanes: Vec<Lane>,
}

/// Those that share their room
#[derive(Serialize, JsonSchema)]
struct Lane {
    job: String,
    /// Absent: of both kinds
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<NodeKind>,
    in_hand: u64,
    /// How many more fit
    room: u64,
}

/// Work whose decision fails repeatedly, set aside for a while
#[derive(Serialize, JsonSchema)]
struct ParkedWork {
    count: u64,
    /// The first 20 that were parked
    items: Vec<ParkedItem>,
}

/// A wake-up, or a run whose deadline has passed, that was set aside
#[derive(Serialize, JsonSchema)]
struct ParkedItem {
    run_id: RunId,
    /// Absent: the run as a whole
    #[serde(skip_serializing_if = "Option::is_none")]
    node_run_id: Option<NodeRunId>,
    job: String,
    error: String,
    since: Timestamp,
    /// When it is tried again
    until: Timestamp,
    times: u32,
}

/// What waits for people
#[derive(Serialize, JsonSchema)]
struct Waiting {
    count: u64,
    /// Since when the first one waits
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
}

/// An executor, or a pool of them
#[derive(Serialize, JsonSchema)]
struct Executor {
    executor: String,
    slots: u64,
    in_use: u64,
    /// Node runs that wait for a slot
    waiting: u64,
    members: Vec<Member>,
}

/// A member of the pool; the executor itself, where it is none
#[derive(Serialize, JsonSchema)]
struct Member {
    /// Absent: the executor is no pool
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    slots: u64,
    in_use: u64,
    breaker: Breaker,
    /// When it may be called again, unless the breaker is closed
    #[serde(skip_serializing_if = "Option::is_none")]
    open_until: Option<Timestamp>,
    /// The last call that failed in a way that speaks against it
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<LastError>,
}

/// Whether a member is called: yes, not until a time, or once to find out
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Breaker {
    Closed,
    Open,
    HalfOpen,
}

/// An error, and when it was met
#[derive(Serialize, JsonSchema)]
struct LastError {
    at: Timestamp,
    message: String,
}

/// The outbox entries for one store
#[derive(Serialize, JsonSchema)]
struct Backlog {
    recipient: Recipient,
    entries: u64,
    /// There may be more than these
    more: bool,
    /// When the first of them was decided
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<Timestamp>,
}

/// A store
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Recipient {
    RunStore,
    EventStream,
}

/// A process and the wake-ups that it has claimed
#[derive(Serialize, JsonSchema)]
struct Worker {
    worker: String,
    claims: u64,
    /// It is the one that answers
    this: bool,
}

/// Get the work of all runs: what is due, in hand, parked, waiting or owed
#[endpoint { method = GET, path = "/x/work", operation_id = "get_work", tags = ["work"] }]
async fn work_get(rq: Rq, caller: Caller) -> Answer<HttpResponseOk<Work>> {
    Ok(HttpResponseOk(rq.context().coordinator.work(&caller.0).await?.into()))
}

fn number(count: usize) -> u64 {
    count as u64
}

impl From<WorkView> for Work {
    fn from(view: WorkView) -> Self {
        let WorkView { at, journal, worker, lanes, executors } = view;
        let journal::Work { counts, due, parked, approvals_oldest, backlogs, workers } = journal;
        let worker = |WorkerClaims { worker: id, claims }: WorkerClaims| {
            let this = id == worker;
            Worker { worker: shown(&id), claims, this }
        };
        Self {
            at,
            runs_live: counts.runs_live,
            node_runs_live: counts.nodes_live,
            without_wake_up: counts.without_wake_up,
            due: Due {
                count: counts.wakes_due,
                oldest: due.iter().map(|lane| lane.oldest).min(),
                lanes: due.into_iter().map(DueLane::from).collect(),
            },
            in_hand: InHand {
                count: lanes.iter().map(|lane| number(lane.in_hand)).sum(),
                lanes: lanes.into_iter().map(Lane::from).collect(),
            },
            parked: ParkedWork {
                count: counts.parked,
                items: parked.into_iter().map(ParkedItem::from).collect(),
            },
            approvals: Waiting { count: counts.approvals, oldest: approvals_oldest },
            executors: executors.into_iter().map(Executor::from).collect(),
            outbox: backlogs.into_iter().map(Backlog::from).collect(),
            workers: workers.into_iter().map(worker).collect(),
        }
    }
}

fn shown(worker: &WorkerId) -> String {
    worker.as_str().to_owned()
}

impl From<journal::DueWork> for DueLane {
    fn from(due: journal::DueWork) -> Self {
        let journal::DueWork { job, kind, count, oldest } = due;
        Self { job, kind, count, oldest }
    }
}

impl From<LaneView> for Lane {
    fn from(lane: LaneView) -> Self {
        let LaneView { job, kind, in_hand, room } = lane;
        Self { job: job.as_str().to_owned(), kind, in_hand: number(in_hand), room: number(room) }
    }
}

impl From<(Parked, u32)> for ParkedItem {
    fn from((item, times): (Parked, u32)) -> Self {
        let Parked { run_id, node_run_id, job, error, since, until } = item;
        Self { run_id, node_run_id, job, error, since, until, times }
    }
}

impl From<ExecutorView> for Executor {
    fn from(executor: ExecutorView) -> Self {
        let ExecutorView { name, waiting, members } = executor;
        let members: Vec<Member> = members.into_iter().map(Member::from).collect();
        Self {
            executor: name.to_owned(),
            slots: members.iter().map(|member| member.slots).sum(),
            in_use: members.iter().map(|member| member.in_use).sum(),
            waiting: number(waiting),
            members,
        }
    }
}

impl From<MemberReport> for Member {
    fn from(member: MemberReport) -> Self {
        let MemberReport { name, breaker, troubled: _, in_flight, slots, outages: _, open_until, last_error } =
            member;
        Self {
            name,
            slots: number(slots),
            in_use: number(in_flight),
            breaker: match breaker {
                "open" => Breaker::Open,
                "half_open" => Breaker::HalfOpen,
                _closed => Breaker::Closed,
            },
            open_until,
            last_error: last_error.map(|(at, message)| LastError { at, message }),
        }
    }
}

impl From<journal::Backlog> for Backlog {
    fn from(backlog: journal::Backlog) -> Self {
        let journal::Backlog { recipient, entries, oldest, more } = backlog;
        let recipient = match recipient {
            record::Recipient::RunStore => Recipient::RunStore,
            record::Recipient::EventStream => Recipient::EventStream,
        };
        Self { recipient, entries, more, oldest }
    }
}
