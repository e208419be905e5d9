//! Callers: they start runs, watch them, cancel some, and sometimes end or
//! evaluate a node. The answers go into the history.
//!
//! ```text
//!   start (again, until there is an answer) ──▶ cancel | end the root | evaluate it | look | leave
//!                         └──▶ follower: every event once, in order, across broken connections
//! ```

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    api::{Answer, Api},
    history::{Followed, History},
    node_types::{self, type_ref},
    plans::LEVELS,
    signal::Signals,
};
use scripted_executor::{Chance, arrivals::Arrivals};

/// How long a call is repeated.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a follower waits for the end of its run.
const FOLLOW: Duration = Duration::from_secs(60);

/// What each client does next.
#[derive(Clone, Copy)]
enum Then {
    Cancel,
    End,
    Judge,
    Look,
    Leave,
}

pub(super) struct Clients {
    pub(super) api: Arc<Api>,
    pub(super) history: Arc<History>,
    pub(super) signals: Arc<Signals>,
    /// The arrivals of calls at the executors.
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) seed: u64,
    /// The wall time limit of runs without one, if it is not the coordinator's.
    pub(super) run_wall_time_ms: Option<u64>,
}

impl Clients {
    /// Starts `count` clients, which work until `quiet` is raised.
    pub(super) fn begin(self, count: u64) -> Vec<JoinHandle<()>> {
        let shared = Arc::new(self);
        let begin = |number: u64| {
            let clients = Arc::clone(&shared);
            thread::spawn(move || {
                let chance = Chance::of_party(clients.seed, &format!("client {number}"));
                Client { clients: &clients, number, chance }.work();
            })
        };
        (0..count).map(begin).collect()
    }

    /// Follows all events of a run, over several connections if need be.
    fn follow(&self, run: &str) {
        let (begin, mut events) = (Instant::now(), Vec::<Value>::new());
        let mut over = false;
        while !over && begin.elapsed() < FOLLOW && !self.signals.over.is_raised() {
            let last = events.last().and_then(|event| event["seq"].as_u64()).unwrap_or(0);
            let status = self.api.follow(run, last, |event| {
                over |= event["type"] == "run_completed";
                events.push(event);
            });
            match status {
                // A stream that broke off is resumed at once.
                Some(200) => {}
                // The run was never started, and will not be.
                Some(404) if self.signals.quiet.is_raised() => return,
                Some(_) | None => _ = self.signals.over.raised_within(Duration::from_millis(100)),
            }
        }
        let end = events.iter().find(|event| event["type"] == "run_completed");
        if let Some(state) = end.and_then(|end| end["data"]["state"].as_str()) {
            self.history.ended(run, state);
        }
        let in_vain = !over && !self.signals.over.is_raised();
        self.history.answers().followed.push(Followed { run: run.to_owned(), events, in_vain });
    }
}

struct Client<'c> {
    clients: &'c Arc<Clients>,
    number: u64,
    chance: Chance,
}

impl Client<'_> {
    fn work(mut self) {
        let (mut count, mut follower) = (0, None::<JoinHandle<()>>);
        while !self.clients.signals.quiet.raised_within(self.chance.millis(0, 700)) {
            count += 1;
            let run = format!("chaos-{}-{}-{count}", self.clients.seed, self.number);
            self.clients.history.answers().runs.insert(run.clone(), None);
            let follows = self.chance.percent(60);
            if follows && follower.as_ref().is_none_or(JoinHandle::is_finished) {
                let (clients, run) = (Arc::clone(self.clients), run.clone());
                follower = Some(thread::spawn(move || clients.follow(&run)));
            }
            if let Some(root) = self.start(&run) {
                self.go_on(&run, &root);
            }
        }
        if let Some(Err(panic)) = follower.map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }

    /// Starts a run; returns its root, if there was an answer.
    fn start(&mut self, run: &str) -> Option<String> {
        let root = self.chance.pick_weighted(&[
            (18, node_types::READ),
            (16, node_types::WRITE),
            (12, node_types::KEYED),
            (6, node_types::HANG),
            (48, node_types::PLAN),
        ]);
        let mut request = json!({
            "run_id": run,
            "root_node_type_ref": type_ref(root),
            "input": {"of": run, LEVELS: self.chance.below(3)},
        });
        if self.chance.percent(10) {
            request["constraints"] =
                json!({"budgets": {"max_wall_time_ms": 1_000 + self.chance.below(4_000)}});
        }
        let Clients { api, history, run_wall_time_ms, .. } = &**self.clients;
        if let (Some(millis), true) = (run_wall_time_ms, request["constraints"].is_null()) {
            request["constraints"] = json!({"budgets": {"max_wall_time_ms": millis}});
        }
        if self.chance.percent(15) {
            let steps = 1 + self.chance.below(6);
            history.answers().max_steps.insert(run.to_owned(), steps);
            request["constraints"]["budgets"]["max_steps"] = steps.into();
        }
        if self.chance.percent(8) {
            history.answers().gated.insert(run.to_owned());
            request["constraints"]["gates"] = json!({"require_approval": true});
        }
        let answer = match self.chance.percent(10) {
            // Some clients do not wait for an answer.
            true => api.ask("/v1/runs", Some(&request), &[200]),
            false => api.insist("/v1/runs", Some(&request), &[200], PATIENCE),
        };
        let answer = answer.filter(|answer| answer.status == 200)?;
        history.seen(run, &answer.body);
        let root = answer.text("root_node_run_id").unwrap_or_default().to_owned();
        if answer.text("run_id") != Some(run) || root.is_empty() {
            history.violation("answers", run, format!("another run is answered: {}", answer.body));
        }
        history.answers().runs.insert(run.to_owned(), Some(root.clone()));
        Some(root)
    }

    fn go_on(&mut self, run: &str, root: &str) {
        let then = self.chance.pick_weighted(&[
            (32, Then::Cancel),
            (7, Then::End),
            (7, Then::Judge),
            (20, Then::Look),
            (34, Then::Leave),
        ]);
        let wait = self.chance.millis(0, 500);
        match then {
            Then::Leave => {}
            Then::Cancel => {
                self.clients.signals.quiet.raised_within(wait);
                self.cancel(run);
            }
            Then::End => {
                self.clients.signals.quiet.raised_within(wait);
                let state = self.chance.pick_weighted(&[(1, "succeeded"), (1, "failed"), (1, "canceled")]);
                self.end(root, state);
            }
            Then::Judge => self.judge(run, root),
            Then::Look => {
                for _ in 0..3 {
                    self.clients.signals.quiet.raised_within(self.chance.millis(0, 400));
                    self.look(run, root);
                }
            }
        }
    }

    fn look(&self, run: &str, root: &str) {
        let Clients { api, history, .. } = &**self.clients;
        for (id, path) in [(run, format!("/v1/runs/{run}")), (root, format!("/v1/node-runs/{root}"))] {
            let known = history.end_of(id);
            if let Some(answer) = api.ask(&path, None, &[200]).filter(|answer| answer.status == 200) {
                history.seen_again(id, known.as_deref(), &answer.body);
            }
        }
    }

    fn cancel(&self, run: &str) {
        let Clients { api, history, arrivals, .. } = &**self.clients;
        let path = format!("/v1/runs/{run}:cancel");
        let Some(answer) = api.insist(&path, Some(&json!({})), &[200], PATIENCE).filter(is_ok) else {
            return;
        };
        history.seen(run, &answer.body);
        match answer.text("state") {
            Some("canceled") => {
                // Calls that have arrived by now were sent before the cancel;
                // from now on none is sent.
                let at = Instant::now();
                arrivals.mark(at);
                history.answers().canceled.entry(run.to_owned()).or_insert(at);
            }
            Some("succeeded" | "failed") => {}
            Some(_) | None => {
                history.violation("cancel", run, format!("answered, but not over: {}", answer.body));
            }
        }
    }

    /// Completes a node that its executor works on.
    fn end(&self, node: &str, state: &str) {
        let Clients { api, history, .. } = &**self.clients;
        history.answers().completed_by_others.insert(node.to_owned());
        let path = format!("/v1/node-runs/{node}:complete");
        let body = json!({"state": state, "outputs": {"by": "a client"}});
        let answer = api.insist(&path, Some(&body), &[204, 409], PATIENCE);
        if answer.is_some_and(|answer| answer.status == 204) {
            history.ended(node, state);
        }
    }

    fn judge(&mut self, run: &str, node: &str) {
        let Clients { api, history, .. } = &**self.clients;
        let reason = format!("judged-{run}");
        let body = json!({"evaluation_result": {"status": "success", "reason_code": reason}});
        let path = format!("/v1/node-runs/{node}:evaluation");
        let answer = api.insist(&path, Some(&body), &[204], PATIENCE);
        if answer.is_some_and(|answer| answer.status == 204) {
            history.answers().evaluations.insert(reason, run.to_owned());
        }
    }
}

fn is_ok(answer: &Answer) -> bool {
    answer.status == 200
}
