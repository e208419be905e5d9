//! The outage: the database is away for half a minute, and that is all that is wrong.
//!
//! ```text
//!   all up ─▶ nodes in hand that take long ─▶ stop ── 30 s ──▶ start ─▶ no replica was declared dead,
//!                                                                      each of the nodes succeeds
//! ```

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::json;

use super::{calm, database::Database, fleet::Fleet, nemesis::Nemesis};
use crate::{
    api::Api,
    coordinator::Lives,
    history::{History, is_terminal},
    ledger::Ledger,
    node_types::{self, type_ref},
};

const AWAY: Duration = Duration::from_secs(30);
/// The runs of one node that are in hand when it begins.
const RUNS: usize = 6;
/// How long it takes until a start of these runs is answered, and until they are over.
const PATIENCE: Duration = Duration::from_secs(45);
/// Longer than it takes to declare a replica dead.
const AFTER: Duration = Duration::from_secs(14);

pub(super) struct Outage<'o> {
    pub(super) api: &'o Arc<Api>,
    pub(super) history: &'o History,
    pub(super) ledger: &'o Ledger,
    pub(super) lives: &'o Lives,
}

impl Outage<'_> {
    pub(super) fn happen(
        &self,
        nemesis: &mut Nemesis,
        fleet: &mut Fleet,
        database: &mut Database,
    ) -> Result<()> {
        fleet.counts.outages += 1;
        calm(fleet, database)?;
        let processes = self.lives.all().len();
        let runs: Vec<String> = (0..RUNS).filter_map(|number| self.start(number)).collect();
        let in_hand = self.ledger.until(PATIENCE, |book| {
            let begun = |run: &String| book.executions.iter().any(|execution| execution.run == *run);
            runs.iter().all(begun)
        });
        ensure!(in_hand, "the nodes before the outage do not begin");
        nemesis.disturb(fleet, database, AWAY, Database::stop, Database::start_again)?;
        fleet.pass(AFTER)?;
        if self.lives.all().len() > processes {
            let what = "a replica did not live through an outage of the database alone".to_owned();
            self.history.violation("outage", "replicas", what);
        }
        let begin = Instant::now();
        for run in runs {
            let mut state = String::new();
            let over = fleet.until(PATIENCE.saturating_sub(begin.elapsed()), |_| {
                let answer = self.api.ask(&format!("/v1/runs/{run}"), None, &[200]);
                state = answer.map_or_else(String::new, |answer| {
                    answer.text("state").map_or_else(|| answer.body.to_string(), str::to_owned)
                });
                is_terminal(&state)
            })?;
            if !over || state != "succeeded" {
                let what = format!("in hand during the outage; its state is {state}");
                self.history.violation("outage", &run, what);
            }
        }
        Ok(())
    }

    fn start(&self, number: usize) -> Option<String> {
        let run = format!("chaos-outage-{number}");
        let start = json!({"run_id": run, "root_node_type_ref": type_ref(node_types::STEADY), "input": {}});
        let answer = self.api.insist("/v1/runs", Some(&start), &[200], PATIENCE)?;
        let root = answer.text("root_node_run_id").map(str::to_owned);
        self.history.answers().runs.insert(run.clone(), root);
        Some(run)
    }
}
