//! Composites: small random plans that are played over the coordinator's API,
//! as a Composite Executor would.
//!
//! ```text
//!   begin ──▶ create a child ──▶ ask until it is over ──┬─▶ … ──▶ complete
//!                │ refused: it is over already          │
//!                ▼                                      ▼
//!              leave it            told to stop: complete as canceled
//! ```
//!
//! Calls are repeated while there is no answer, or "not now"; children have
//! keys, so that a repeated one is the same. Sometimes a plan is left alone in
//! the middle, as if its executor had given up.

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
/// How long a child is waited for.
const CHILD: Duration = Duration::from_secs(20);
/// How often it is asked for.
const LOOK: Duration = Duration::from_millis(100);
/// Of a hundred steps, before so many a plan is left alone.
const LEFT: u64 = 5;
/// Plans within plans.
const DEPTH: u64 = 2;
/// In the inputs of a composite: how many levels there may be below it.
pub(super) const LEVELS: &str = "levels";

pub(super) struct Planner {
    pub(super) api: Arc<Api>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) history: Arc<History>,
    pub(super) seed: u64,
    /// What is being played, and in which life of the executor.
    playing: Mutex<BTreeSet<(u64, String)>>,
}

/// A composite that is being played.
struct Play<'p> {
    planner: &'p Planner,
    life: u64,
    run: String,
    node: String,
    levels: u64,
    chance: Chance,
}

/// Why a plan is not played to its end.
enum Stop {
    /// The NodeRun is over, or must be left alone.
    Leave,
    Told,
}

impl Planner {
    pub(super) fn new(api: Arc<Api>, ledger: Arc<Ledger>, history: Arc<History>, seed: u64) -> Self {
        Self { api, ledger, history, seed, playing: Mutex::default() }
    }

    /// Plays a composite's plan, unless that is being done.
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
            Err(Stop::Told) => "canceled",
            Err(Stop::Leave) => return,
        };
        let Planner { api, history, .. } = self.planner;
        history.told().completed_by_others.insert(self.node.clone());
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

    /// One child, or a few at once.
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
        let mut told = history.told();
        told.children.extend(ids.iter().map(|id| (id.clone(), self.run.clone())));
        drop(told);
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

    /// Asks for a child until it is over: whether it succeeded.
    fn wait_for(&self, child: &str) -> Result<bool, Stop> {
        let (path, begin) = (format!("/v1/node-runs/{child}"), Instant::now());
        while begin.elapsed() < CHILD {
            // An answer that does not come is as good as none: we ask again.
            if let Some(answer) = self.planner.api.ask(&path, None, &[200]).filter(|it| it.status == 200) {
                self.planner.history.seen(child, &answer.body);
                match answer.text("state") {
                    Some(state) if is_terminal(state) => return Ok(state == "succeeded"),
                    Some(_) | None => {}
                }
            }
            self.go_on(LOOK)?;
        }
        Ok(false)
    }

    /// Waits, and notices that it is not to go on.
    fn go_on(&self, wait: Duration) -> Result<(), Stop> {
        match self.planner.ledger.stops(Kind::Composite, self.life, &self.node, wait) {
            Some(Ended::Told) => Err(Stop::Told),
            Some(Ended::Forgotten | Ended::Itself) => Err(Stop::Leave),
            None => Ok(()),
        }
    }
}
