//! An operator that decides about approvals over the operator API: grants most,
//! denies some, and leaves some to expire.
//!
//! ```text
//!   list ──▶ approve │ deny │ leave ──▶ again, until `quiet`
//! ```

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use super::{api::Api, history::History, signal::Signals};
use scripted_executor::Chance;

/// How often the list is looked at.
const LOOK: Duration = Duration::from_millis(150);

pub(super) struct Approver {
    pub(super) operators: Arc<Api>,
    pub(super) history: Arc<History>,
    pub(super) signals: Arc<Signals>,
    pub(super) seed: u64,
}

impl Approver {
    /// Starts to decide, until `quiet` is raised.
    pub(super) fn begin(self) -> JoinHandle<()> {
        thread::spawn(move || {
            let mut chance = Chance::of_party(self.seed, "approver");
            while !self.signals.quiet.raised_within(LOOK) {
                self.look(&mut chance);
            }
        })
    }

    fn look(&self, chance: &mut Chance) {
        let Some(list) = self.operators.ask("/x/approvals", None, &[200]).filter(|list| list.status == 200)
        else {
            return;
        };
        let waiting: Vec<&str> =
            list.body["items"].as_array().into_iter().flatten().filter_map(id_of).collect();
        for approval in waiting {
            let decision = chance.pick_weighted(&[(60, Some("approve")), (15, Some("deny")), (25, None)]);
            let Some(decision) = decision else { continue };
            let path = format!("/x/approvals/{approval}:{decision}");
            // 409: it has ended meanwhile, or an answer to the same decision was lost.
            let answer = self.operators.ask(&path, Some(&json!({"reason": "chaos"})), &[200, 409]);
            if answer.is_some_and(|answer| answer.status == 200) {
                *self.history.answers().decisions.entry(decision).or_default() += 1;
            }
        }
    }
}

fn id_of(item: &Value) -> Option<&str> {
    item["approval_id"].as_str()
}
