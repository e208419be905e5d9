//! The model that the engine is compared with: a second, small implementation of
//! the rules of a run, without records, views or events.

mod finish;
mod steps;

use std::{collections::BTreeMap, time::Duration};

pub(super) use self::steps::{Limits, Outcome, Policy, Report, Sort, Step};
use crate::{
    record::Job,
    time::Timestamp,
    types::{
        NodeRunState::{self, Assigned, Canceled, Failed, Queued, Running, Succeeded},
        RunState,
    },
};

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) parent: Option<usize>,
    pub(super) sort: Sort,
    pub(super) state: NodeRunState,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) children: u64,
    pub(super) rounds: u64,
    pub(super) attempt: u32,
    pub(super) retries: u32,
    /// Failed results that were repeated, and the last attempt among them.
    pub(super) repeated: (u32, u32),
    pub(super) superseded_may_run: bool,
    pub(super) began: Option<Timestamp>,
    pub(super) deadline: Timestamp,
    pub(super) job: Option<Job>,
    pub(super) check_at: Option<Timestamp>,
    pub(super) restarted: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) limits: Limits,
    pub(super) run: RunState,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) held: bool,
    pub(super) nodes: Vec<Node>,
    /// Entries of the attempt log.
    pub(super) logged: usize,
    pub(super) max_retries: u32,
    deadline: Timestamp,
    node_timeout: Duration,
    pub(super) silence: Duration,
    keys: BTreeMap<(usize, u8), usize>,
}

/// Codes of refusals.
type Answer = Result<(), &'static str>;

impl Model {
    pub(super) fn start(
        root: Sort,
        policy: Policy,
        limits: Limits,
        now: Timestamp,
        run_timeout: Duration,
        node_timeout: Duration,
    ) -> Self {
        let mut model = Self {
            limits,
            run: RunState::Running,
            ended_at: None,
            held: false,
            nodes: Vec::new(),
            logged: 0,
            max_retries: 0,
            deadline: now + run_timeout,
            node_timeout,
            silence: Duration::ZERO,
            keys: BTreeMap::new(),
        };
        model.add(None, root);
        match policy {
            Policy::Allow | Policy::Unconfigured => {}
            Policy::Deny | Policy::RequireApproval => model.end(0, Failed, false, now),
        }
        model
    }

    /// Takes a step and returns the answer. `wait`: the backoff of a node after that
    /// number of retries.
    pub(super) fn step(
        &mut self,
        step: &Step,
        now: Timestamp,
        wait: impl Fn(usize, u32) -> Duration,
    ) -> Answer {
        let answer = self.take(step, now, wait);
        if self.held {
            self.rename(Job::Dispatch, Job::SetAside);
        }
        answer
    }

    /// Turns the jobs of nodes into others.
    fn rename(&mut self, from: Job, to: Job) {
        self.nodes.iter_mut().filter(|node| node.job == Some(from)).for_each(|node| node.job = Some(to));
    }

    fn take(&mut self, step: &Step, now: Timestamp, wait: impl Fn(usize, u32) -> Duration) -> Answer {
        match *step {
            Step::Create { parent, ref specs } => return self.create(parent, specs, now),
            Step::Claim(at) => {
                if self.nodes[at].state == Queued {
                    self.nodes[at].state = Assigned;
                }
            }
            Step::Begin(at, policy) => self.begin(at, policy, now),
            Step::Finish(at, back, outcome) => {
                let again = now + wait(at, self.nodes[at].retries);
                self.finish(at, back, outcome, now, again);
            }
            Step::Defer(at) => {
                let node = &self.nodes[at];
                if node.job == Some(Job::Dispatch) && now >= node.deadline {
                    self.end(at, Failed, node.state == Running, now);
                }
            }
            Step::Lost(at) => self.lost(at, now),
            Step::Check(at, ago) => self.check(at, ago, now),
            Step::Complete(at, state) => return self.complete(at, state, now),
            Step::Notify(at, again) => {
                if self.nodes[at].job == Some(Job::CancelExecutor) && !again {
                    self.nodes[at].job = None;
                }
            }
            Step::Cancel => {
                if self.is_live() {
                    for at in 0..self.nodes.len() {
                        self.cancel(at, now);
                    }
                    self.end_run(RunState::Canceled, now);
                }
            }
            Step::ExpireRun => {
                if self.is_live() && now >= self.deadline {
                    self.end(0, Failed, self.nodes[0].state == Running, now);
                }
            }
            Step::ExpireNode(at) => {
                let node = &self.nodes[at];
                if node.is_live() && now >= node.deadline {
                    self.end(at, Failed, node.state == Running, now);
                }
            }
            Step::StartAgain { same } => return if same { Ok(()) } else { Err("run_already_exists") },
            Step::HoldRun | Step::ReleaseRun if !self.is_live() => return Err("run_terminal"),
            Step::HoldRun => self.held = true,
            Step::ReleaseRun => {
                if std::mem::take(&mut self.held) {
                    self.rename(Job::SetAside, Job::Dispatch);
                }
            }
            Step::SetAside(at) => {
                if self.nodes[at].job == Some(Job::Dispatch) {
                    self.nodes[at].job = Some(Job::SetAside);
                }
            }
            Step::Resume => self.rename(Job::SetAside, Job::Dispatch),
            // These change times and events only.
            Step::Retry(_) | Step::Hold(_) | Step::Wait(_) => {}
            Step::Evaluate(at, report) => {
                let target = match report {
                    Report::Abort => at,
                    Report::AbortOf(other) => other,
                    Report::None | Report::Retry => return Ok(()),
                };
                if self.nodes[target].is_live() {
                    self.end(target, Canceled, self.nodes[target].state == Running, now);
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, parent: usize, specs: &[(Option<u8>, Sort)], now: Timestamp) -> Answer {
        if self.nodes[parent].sort != Sort::Composite {
            return Err("parent_node_run_invalid");
        }
        if !self.is_live() {
            return Err("run_terminal");
        }
        if !self.nodes[parent].is_live() {
            return Err("parent_node_run_terminal");
        }
        let mut new: Vec<(Option<u8>, Sort)> = Vec::new();
        for &(key, sort) in specs {
            let stored = key.and_then(|key| self.keys.get(&(parent, key))).map(|&at| self.nodes[at].sort);
            let in_request =
                new.iter().find(|(other, _)| key.is_some() && *other == key).map(|(_, sort)| *sort);
            match stored.or(in_request) {
                Some(known) if known != sort => return Err("idempotency_conflict"),
                Some(_) => {}
                None => new.push((key, sort)),
            }
        }
        let added = new.len() as u64;
        let beyond = |value: u64, limit: Option<u64>| limit.is_some_and(|limit| value > limit);
        let node = &self.nodes[parent];
        if beyond(self.depth(parent) + 1, self.limits.depth)
            || beyond(node.children + added, self.limits.children)
            || beyond(self.nodes.len() as u64 + added, self.limits.total)
            || (added > 0 && beyond(node.rounds + 1, self.limits.rounds))
        {
            return Err("constraint_violation");
        }
        self.nodes[parent].children += added;
        self.nodes[parent].rounds += u64::from(added > 0);
        if added > 0 && self.nodes[parent].state == Running {
            self.nodes[parent].job = Some(Job::Deadline);
            self.watch(parent, now);
        }
        for (key, sort) in new {
            let at = self.add(Some(parent), sort);
            if let Some(key) = key {
                self.keys.insert((parent, key), at);
            }
        }
        Ok(())
    }

    fn add(&mut self, parent: Option<usize>, sort: Sort) -> usize {
        self.nodes.push(Node {
            parent,
            sort,
            state: Queued,
            ended_at: None,
            children: 0,
            rounds: 0,
            attempt: 0,
            retries: 0,
            repeated: (0, 0),
            superseded_may_run: false,
            began: None,
            deadline: self.deadline,
            job: Some(Job::Dispatch),
            check_at: None,
            restarted: false,
        });
        self.nodes.len() - 1
    }

    fn begin(&mut self, at: usize, policy: Policy, now: Timestamp) {
        let node = &mut self.nodes[at];
        if node.job != Some(Job::Dispatch) {
            return;
        }
        let began = node.began.unwrap_or(now);
        let by_time = match node.sort {
            Sort::Composite => Some(self.deadline),
            Sort::Reader | Sort::Writer => Some(self.deadline.min(began + self.node_timeout)),
            Sort::Odd => None,
        };
        match (by_time, policy) {
            (Some(deadline), Policy::Allow) => {
                node.state = Running;
                node.attempt += 1;
                node.began = Some(began);
                node.deadline = deadline;
                node.job = Some(Job::Deadline);
                self.watch(at, now);
            }
            (None, Policy::Allow) | (_, Policy::Deny | Policy::RequireApproval | Policy::Unconfigured) => {
                let at_executor = node.state == Running;
                self.end(at, Failed, at_executor, now);
            }
        }
    }

    /// Its executor is asked about in a while, if it has the time.
    fn watch(&mut self, at: usize, now: Timestamp) {
        let silence = (self.nodes[at].sort == Sort::Composite).then_some(now + self.silence);
        self.nodes[at].check_at = silence.filter(|check| *check < self.nodes[at].deadline);
    }

    fn check(&mut self, at: usize, ago: u64, now: Timestamp) {
        let node = &self.nodes[at];
        let due = node.check_at.is_some_and(|check| check <= now) && now < node.deadline;
        if node.job != Some(Job::Deadline) || !due {
            return;
        }
        let lives =
            (0..self.nodes.len()).any(|below| self.is_below(below, at) && self.nodes[below].is_live());
        let heard = now - Duration::from_secs(ago);
        if lives {
            self.watch(at, now);
        } else if heard + self.silence > now {
            self.watch(at, heard);
        } else if node.children == 0 && !node.restarted && self.max_retries > 0 {
            self.logged += 1;
            self.nodes[at].restarted = true;
            self.nodes[at].job = Some(Job::Dispatch);
        } else {
            self.end(at, Failed, true, now);
        }
    }

    fn complete(&mut self, at: usize, state: NodeRunState, now: Timestamp) -> Answer {
        let node = &self.nodes[at];
        if !node.is_live() {
            return if node.state == state { Ok(()) } else { Err("node_run_terminal") };
        }
        let tell = match node.sort {
            Sort::Reader | Sort::Writer => node.state == Running,
            Sort::Composite | Sort::Odd => false,
        };
        self.end(at, state, tell, now);
        Ok(())
    }

    /// A node ends, what is alive below it is canceled, and the run ends with
    /// its root.
    fn end(&mut self, at: usize, state: NodeRunState, tell: bool, now: Timestamp) {
        for below in 0..self.nodes.len() {
            if below != at && self.is_below(below, at) {
                self.cancel(below, now);
            }
        }
        let node = &mut self.nodes[at];
        node.state = state;
        node.ended_at = Some(now);
        node.job = (tell || node.superseded_may_run).then_some(Job::CancelExecutor);
        if at == 0 {
            let run = match state {
                Succeeded => RunState::Succeeded,
                Failed => RunState::Failed,
                Canceled => RunState::Canceled,
                Queued | Assigned | Running => unreachable!("no end"),
            };
            self.end_run(run, now);
        }
    }

    fn cancel(&mut self, at: usize, now: Timestamp) {
        let node = &mut self.nodes[at];
        if node.is_live() {
            node.job = (node.state == Running).then_some(Job::CancelExecutor);
            node.state = Canceled;
            node.ended_at = Some(now);
        }
    }

    fn end_run(&mut self, state: RunState, now: Timestamp) {
        self.run = state;
        self.ended_at = Some(now);
        self.held = false;
    }

    fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }

    fn is_below(&self, at: usize, ancestor: usize) -> bool {
        self.nodes[at].parent.is_some_and(|parent| parent == ancestor || self.is_below(parent, ancestor))
    }

    pub(super) fn depth(&self, at: usize) -> u64 {
        self.nodes[at].parent.map_or(0, |parent| self.depth(parent) + 1)
    }
}

impl Node {
    fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }
}
