//! The standby becomes the primary.
//!
//! ```text
//!   synchronous    freeze the primary ─▶ promote ─▶ replicas find the new one ─▶ thaw the old one ─▶ end it
//!   asynchronous   hold the standby back ─▶ runs are answered ─▶ kill the primary ─▶ promote: they are lost
//! ```

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use private_postgres::Stop;
use serde_json::json;

use super::{
    calm,
    database::{Database, Failover},
    fleet::Fleet,
    nemesis::Nemesis,
};
use crate::{
    api::Api,
    node_types::{self, type_ref},
};

/// How long it may take until a run can be started on the new primary.
const TAKEN_OVER: Duration = Duration::from_secs(60);
/// How long there are two primaries.
const THAWED: Duration = Duration::from_secs(8);
/// How long work goes on that is lost.
const BEHIND: Duration = Duration::from_secs(6);

pub(super) fn happen(
    api: &Api,
    nemesis: &mut Nemesis,
    fleet: &mut Fleet,
    database: &mut Database,
) -> Result<()> {
    fleet.counts.failovers += 1;
    calm(fleet, database)?;
    let begin = Instant::now();
    match database.failover() {
        Some(Failover::Synchronous) => {
            let mut old = database.fail_over()?;
            let served = until_served(api, fleet)?;
            ensure!(served, "no run can be started {TAKEN_OVER:?} after the promotion");
            fleet.counts.longest_failover = begin.elapsed();
            // It takes itself for the primary, and can be written to. No replica that has
            // seen the new one may use it any more.
            old.thaw()?;
            fleet.pass(THAWED)?;
            // (One that starts would: so an old primary has to be fenced.)
            old.stop(Stop::Kill)?;
        }
        Some(Failover::Asynchronous) => {
            database.hold_standby_back()?;
            fleet.pass(BEHIND)?;
            database.lose()?;
            ensure!(until_served(api, fleet)?, "no run can be started {TAKEN_OVER:?} after the promotion");
        }
        None => {}
    }
    nemesis.disturbed.push([begin, Instant::now()]);
    Ok(())
}

/// Waits until a run is started.
fn until_served(api: &Api, fleet: &mut Fleet) -> Result<bool> {
    let start = json!({"root_node_type_ref": type_ref(node_types::READ), "input": {}});
    fleet.until(TAKEN_OVER, |_| {
        api.ask("/v1/runs", Some(&start), &[200]).is_some_and(|answer| answer.status == 200)
    })
}
