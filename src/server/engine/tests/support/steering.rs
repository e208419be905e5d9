//! Commands with which operators steer.

use super::{RUN, World};
use crate::{
    engine::{self, HeldRun, HoldRun, NodeView, Rejection},
    record::{Job, Operation},
    time::Timestamp,
    types::RunId,
};

impl World {
    pub(crate) fn hold_run(&mut self, until: Option<Timestamp>) -> Result<HeldRun, Rejection> {
        let run = self.runs[&RunId::new(RUN)].clone();
        self.tick();
        let (live, command) = (self.live(run.id(), None), HoldRun { reason: "look at it".into(), until });
        let decision = engine::run_hold(run, live, &command, self.cx_of_caller(Operation::HoldRun));
        self.commit(decision)
    }

    pub(crate) fn release_run(&mut self) -> Result<HeldRun, Rejection> {
        let run = self.runs[&RunId::new(RUN)].clone();
        self.tick();
        let live = self.live(run.id(), None);
        let decision = engine::run_release(run, live, "go on", self.cx_of_caller(Operation::ReleaseRun));
        self.commit(decision)
    }

    /// Its hold may have ended by itself. Whether it has.
    pub(crate) fn elapse(&mut self) -> bool {
        let run = self.runs[&RunId::new(RUN)].clone();
        self.tick();
        let live = self.live(run.id(), None);
        self.apply(engine::hold_elapsed(run, live, self.cx()))
    }

    /// Its dispatch is paused.
    pub(crate) fn set_aside(&mut self, node: &str) {
        let NodeView { run, node, .. } = self.view(node);
        self.tick();
        self.apply(engine::attempt_set_aside(&run, node, self.cx()));
    }

    /// Dispatch is resumed, which a journal does without the engine.
    pub(crate) fn resume(&mut self) {
        let now = self.tick();
        let is_held = self.run().hold.is_some();
        for node in self.nodes.values_mut() {
            if let Some(wake) = node.wake.as_mut().filter(|wake| wake.job == Job::SetAside && !is_held) {
                (wake.job, wake.at) = (Job::Dispatch, now);
                node.version += 1;
            }
        }
    }
}
