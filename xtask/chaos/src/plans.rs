//! Composites: small random plans that are executed over the coordinator's API, as
//! a Composite Executor would.
//!
//! ```text
//!   begin ──▶ create a child ──▶ ask until it is over ──┬─▶ … ──▶ complete
//!                │ refused: it is over already          │
//!                ▼                                      ▼
//!              leave it                 canceled: complete as canceled
//! ```
//!
//! Calls are repeated while there is no answer or the coordinator is busy;
//! children have idempotency keys. Sometimes a plan is abandoned in the middle, as
//! if its executor had given up.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use scripted_executor::Chance;

use super::{
    api::Api,
    history::{History, is_terminal},
    ledger::{Ended, Ledger},
    node_types::{self, Kind, type_ref},
};

/// How long one call is repeated.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a plan waits for a child.
const CHILD: Duration = Duration::from_secs(20);
/// How often a plan looks at a child.
const LOOK: Duration = Duration::from_millis(100);
/// The percentage of steps before which a plan is abandoned.
const LEFT: u64 = 5;
/// The maximum depth of plans within plans.
const DEPTH: u64 = 2;
/// The member of a composite's inputs with the number of levels below it.
pub(super) const LEVELS: &str = "levels";

pub(super) struct Planner {
    pub(super) api: Arc<Api>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) history: Arc<History>,
    pub(super) seed: u64,
    /// The plans in execution, by the number of restarts of the executor.
    playing: Mutex<BTreeSet<(u64, String)>>,
}

/// A plan in execution.
struct Play<'p> {
    planner: &'p Planner,
    life: u64,
    run: String,
    node: String,
    levels: u64,
    chance: Chance,
}

/// The reason for which a plan ends early.
enum Stop {
    /// The NodeRun is over or canceled, or the plan is abandoned.
    Leave,
    Answers,
}

impl Planner {
    pub(super) fn new(api: Arc<Api>, ledger: Arc<Ledger>, history: Arc<History>, seed: u64) -> Self {
        Self { api, ledger, history, seed, playing: Mutex::default() }
    }

    /// Executes a composite's plan, unless it is in execution already.
    pub(super) fn begin(self: &Arc<Self>, life: u64, request: &Value) {
        let text = |name: &str| request[name].as_str().unwrap_or_default().to_owned();
        let (run, node) = (text("run_id"), text("node_run_id"));
        let playing = (life, node.clone());
        if !self.playing.lock().unwrap_or_else(PoisonError::into_inner).insert(playing) {
            return;
        }
        let levels = request["inputs"][LEVELS].as_u64().unwrap_or(DEPTH);
        let planner = Arc::clone(self);
        thread::spawn(move || {
            let chance = Chance::of_party(planner.seed, &node);
            Play { planner: &planner, life, run, node, levels, chance }.play();
        });
    }
}

impl Play<'_> {
    fn play(mut self) {
        let end = match self.steps() {
            Ok(all_well) => {
                if all_well || self.chance.percent(50) {
                    "succeeded"
                } else {
                    "failed"
                }
            }
            Err(Stop::Answers) => "canceled",
            Err(Stop::Leave) => return,
        };
        let Planner { api, history, .. } = self.planner;
        history.answers().completed_by_others.insert(self.node.clone());
        let path = format!("/v1/node-runs/{}:complete", self.node);
        let body = json!({"state": end, "outputs": {"by": "the plan"}});
        let answer = api.insist(&path, Some(&body), &[204, 409], PATIENCE);
        if answer.is_some_and(|answer| answer.status == 204) {
            history.ended(&self.node, end);
        }
    }

    /// Whether all children succeeded.
    fn steps(&mut self) -> Result<bool, Stop> {
        let mut all_well = true;
        for step in 0..1 + self.chance.below(4) {
            if self.chance.percent(LEFT) {
                return Err(Stop::Leave);
            }
            let children = self.create(step)?;
            for child in children {
                all_well &= self.wait_for(&child)?;
            }
        }
        Ok(all_well)
    }

    /// Creates one child, or a few at once.
    fn create(&mut self, step: u64) -> Result<Vec<String>, Stop> {
        let count = self.chance.pick_weighted(&[(7, 1), (2, 2), (1, 5)]);
        let specs: Vec<Value> = (0..count).map(|number| self.child(step, number)).collect();
        let body = json!({"run_id": self.run, "parent_node_run_id": self.node, "node_runs": specs});
        let Planner { api, history, .. } = self.planner;
        self.go_on(Duration::ZERO)?;
        let answer = api.insist("/v1/node-runs", Some(&body), &[200, 409], PATIENCE).ok_or(Stop::Leave)?;
        if answer.status != 200 {
            self.check_refusal(&answer.body);
            return Err(Stop::Leave);
        }
        let created = answer.body["node_runs"].as_array().into_iter().flatten();
        let ids: Vec<String> =
            created.filter_map(|node| node["node_run_id"].as_str().map(str::to_owned)).collect();
        let mut answers = history.answers();
        answers.children.extend(ids.iter().map(|id| (id.clone(), self.run.clone())));
        drop(answers);
        if ids.len() != specs.len() {
            history.violation("answers", &self.node, format!("{} children of {count} asked for", ids.len()));
        }
        Ok(ids)
    }

    /// Children are refused because it is too late, and for no other reason.
    fn check_refusal(&self, body: &Value) {
        let code = body["error"]["code"].as_str().unwrap_or_default();
        if !["run_terminal", "parent_node_run_terminal"].contains(&code) {
            self.planner.history.violation("answers", &self.node, format!("a child is refused: {body}"));
        }
    }

    fn child(&mut self, step: u64, number: u64) -> Value {
        let nested = if self.levels > 0 { 12 } else { 0 };
        let node_type = self.chance.pick_weighted(&[
            (35, node_types::READ),
            (28, node_types::WRITE),
            (20, node_types::KEYED),
            (3, node_types::HANG),
            (nested, node_types::PLAN),
        ]);
        json!({
            "node_type_ref": type_ref(node_type),
            "inputs": {"step": step, LEVELS: self.levels.saturating_sub(1)},
            "idempotency_key": format!("{step}-{number}"),
        })
    }

    /// Looks at a child until it is over; returns whether it succeeded.
    fn wait_for(&self, child: &str) -> Result<bool, Stop> {
        let (path, begin) = (format!("/v1/node-runs/{child}"), Instant::now());
        while begin.elapsed() < CHILD {
            // A missing answer is like a child that is not over: look again.
            let Planner { api, history, .. } = self.planner;
            let known = history.end_of(child);
            if let Some(answer) = api.ask(&path, None, &[200]).filter(|it| it.status == 200) {
                history.seen_again(child, known.as_deref(), &answer.body);
                match answer.text("state") {
                    Some(state) if is_terminal(state) => return Ok(state == "succeeded"),
                    Some(_) | None => {}
                }
            }
            self.go_on(LOOK)?;
        }
        Ok(false)
    }

    /// Waits; fails if the plan is canceled or its executor restarted.
    fn go_on(&self, wait: Duration) -> Result<(), Stop> {
        match self.planner.ledger.stops(Kind::Composite, self.life, &self.node, wait) {
            Some(Ended::Canceled) => Err(Stop::Answers),
            Some(Ended::Forgotten | Ended::ByItself) => Err(Stop::Leave),
            None => Ok(()),
        }
    }
}
