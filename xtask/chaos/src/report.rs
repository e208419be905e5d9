//! The results in figures, for people and as JSON.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{
    coordinator::Life,
    history::Violation,
    nemesis::Counts,
    node_types::{Kind, is_fault},
    replicas::Section,
    silence::Silent,
    times::Times,
    verdict::{Evidence, retries},
};

/// The maximum number of violations in the text; the JSON has all.
const SHOWN: usize = 20;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) seed: u64,
    /// How long faults were injected.
    pub(super) seconds: f64,
    /// How long it took until all was at rest; `None` if it never was.
    pub(super) rest_seconds: Option<f64>,
    /// The journal was on a disk of its own.
    pub(super) own_disk: bool,
    /// `journal check` was run.
    pub(super) journal_checked: bool,
    pub(super) faults: Counts,
    /// The number of calls of each faulty behaviour of executors.
    pub(super) executor_faults: BTreeMap<&'static str, usize>,
    /// Runs by their final state; those that were never answered may not exist.
    pub(super) runs: BTreeMap<String, usize>,
    pub(super) nodes: usize,
    /// Runs with a limit of steps.
    pub(super) budgets: usize,
    /// Runs in which each node needs an approval.
    pub(super) gated: usize,
    /// The decisions about approvals.
    pub(super) decisions: BTreeMap<&'static str, usize>,
    pub(super) cancels: usize,
    pub(super) followers: usize,
    /// API calls with the answer 503 or 429.
    pub(super) busy: u64,
    pub(super) unanswered: u64,
    /// Calls to execute or begin a node.
    pub(super) executions: usize,
    pub(super) composites: usize,
    pub(super) cancel_calls: usize,
    /// The number of retries in the events.
    pub(super) retries: usize,
    /// Composites whose executor was silent.
    pub(super) silent: Silent,
    /// The time from the start of a process after SIGKILL.
    pub(super) until_listening: Times,
    pub(super) until_first_execution: Times,
    /// What is only known of several replicas.
    pub(super) replicas: Option<Section>,
    pub(super) violations: Vec<Violation>,
}

impl Report {
    pub(super) fn new(
        seed: u64,
        evidence: &Evidence<'_>,
        faults: Counts,
        violations: Vec<Violation>,
    ) -> Self {
        let (answers, book) = (evidence.answers, evidence.book);
        let mut executor_faults = BTreeMap::new();
        for execution in book.executions.iter().filter(|execution| is_fault(execution.behaviour)) {
            *executor_faults.entry(execution.behaviour.name()).or_default() += 1;
        }
        let mut runs = BTreeMap::new();
        for stored in evidence.stored {
            let state = stored.run.as_ref().map_or("nowhere", |run| run["state"].as_str().unwrap_or("none"));
            *runs.entry(state.to_owned()).or_default() += 1;
        }
        let after_kill = || evidence.lives.iter().enumerate().filter(|(_, life)| life.after_kill);
        let until_listening =
            after_kill().filter_map(|(_, life)| Some(life.listened?.duration_since(life.started)));
        let first_execution = |(number, life): (usize, &Life)| {
            let first =
                book.executions.iter().filter(|execution| execution.by == number).map(|it| it.at).min();
            Some(first?.duration_since(life.started))
        };
        Self {
            seed,
            seconds: 0.0,
            rest_seconds: None,
            own_disk: false,
            journal_checked: false,
            faults,
            executor_faults,
            runs,
            nodes: evidence.stored.iter().map(|stored| stored.nodes.len()).sum(),
            budgets: answers.max_steps.len(),
            gated: answers.gated.len(),
            decisions: answers.decisions.clone(),
            cancels: answers.canceled.len(),
            followers: answers.followed.len(),
            busy: answers.busy,
            unanswered: answers.unanswered,
            executions: book.executions.len(),
            composites: book.executions.iter().filter(|it| it.kind == Kind::Composite).count(),
            cancel_calls: book.cancel_calls.len(),
            retries: evidence.stored.iter().map(|stored| retries(stored, None)).sum(),
            silent: Silent::default(),
            until_listening: Times::of(until_listening),
            until_first_execution: Times::of(after_kill().filter_map(first_execution)),
            replicas: None,
            violations,
        }
    }

    /// The faults of one coordinator.
    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            kills,
            stops,
            drains,
            executor_restarts,
            disk_full,
            journal_limits,
            starts_without_room,
        } = self.faults;
        writeln!(f, "  kills, stops     {kills} x kill -9, {stops} x SIGSTOP, {drains} x SIGTERM")?;
        let how = if journal_limits > 0 {
            "a limit to the journal, because mounting is not permitted"
        } else {
            "its own disk"
        };
        writeln!(f, "  disk full        {disk_full} ({how}); {starts_without_room} starts failed for it")?;
        writeln!(f, "  executors        {executor_restarts} restarts; {}", list(&self.executor_faults))
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, usize>) -> String {
    let words: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
    words.join(", ")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = self.rest_seconds.map_or("never".into(), |seconds| format!("after {seconds:.1} s"));
        writeln!(f, "  at rest          {rest}")?;
        match &self.replicas {
            Some(section) => write!(f, "{section}")?,
            None => self.faults(f)?,
        }
        writeln!(f, "  runs             {}; {} nodes", list(&self.runs), self.nodes)?;
        let Self {
            executions, composites, cancel_calls, retries, cancels, followers, busy, unanswered, ..
        } = self;
        writeln!(f, "  executions       {executions} ({composites} composites), {retries} retries recorded")?;
        let Self { budgets, gated, decisions, .. } = self;
        writeln!(
            f,
            "  bounds           {budgets} runs with limits of steps, {gated} that need approvals: {}",
            list(decisions)
        )?;
        writeln!(f, "  gone executors   {}", self.silent)?;
        writeln!(f, "  cancels          {cancels} answered; {cancel_calls} cancel calls at executors")?;
        writeln!(f, "  callers          {busy} x 503, {unanswered} x no answer; {followers} followers")?;
        writeln!(f, "  after a kill     listens within {}", self.until_listening)?;
        writeln!(f, "                   first execution within {}", self.until_first_execution)?;
        let checked =
            if self.journal_checked { "checked" } else { "not checked: the program has no such command" };
        writeln!(f, "  journal          {checked}")?;
        for Violation { rule, subject, what } in self.violations.iter().take(SHOWN) {
            writeln!(f, "VIOLATION {rule}: {subject}: {what}")?;
        }
        match self.violations.len() {
            0 => write!(f, "  violations       none"),
            count => write!(f, "  violations       {count}"),
        }
    }
}
