//! Selects checks and runs them, one after the other, since each may keep the
//! coordinator busy.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::{
    bench::Bench,
    check::{Check, Need, Outcome, Tier},
    setup::Setup,
    verdict::Stop,
};
use scripted_executor::Executors;

#[derive(clap::Args, Clone, Debug, Default)]
pub struct Selection {
    /// Run the checks of this tier only
    #[arg(long, value_enum)]
    pub tier: Option<Tier>,
    /// Run only the checks whose name contains this; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
}

impl Selection {
    /// The selected checks; an error if there are none.
    pub fn of(&self, mut checks: Vec<Check>) -> Result<Vec<Check>> {
        checks.retain(|check| {
            self.tier.is_none_or(|tier| check.tier() == Some(tier))
                && (self.only.is_empty() || self.only.iter().any(|text| check.id.contains(text.as_str())))
        });
        ensure!(!checks.is_empty(), "there is no such check; --list names all");
        Ok(checks)
    }
}

/// Runs the checks, and shows each outcome at once.
pub fn run(
    checks: &[Check],
    setup: Setup,
    executors: Option<Executors>,
    mut show: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let bench = Bench::new(setup, executors);
    let run = |check: &Check| {
        let outcome = run_one(&bench, check);
        show(&outcome);
        outcome
    };
    checks.iter().map(run).collect()
}

fn run_one(bench: &Bench, check: &Check) -> Outcome {
    let start = Instant::now();
    let lacks: Vec<&str> =
        check.needs.iter().filter(|need| !need.is_met_by(bench)).copied().map(Need::option).collect();
    let verdict = match lacks.as_slice() {
        [] => (check.run)(bench),
        lacks => Err(Stop::Skipped(format!("needs {}", lacks.join(" and ")))),
    };
    let (took, exchanges) = (start.elapsed(), bench.http.exchanges());
    bench.clean_up();
    Outcome { check: *check, verdict, took, exchanges }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks;

    fn names(tier: Option<Tier>, only: &[&str]) -> Vec<&'static str> {
        let only = only.iter().map(|text| (*text).to_owned()).collect();
        let selected = Selection { tier, only }.of(checks::all());
        selected.map(|checks| checks.iter().map(|check| check.id).collect()).unwrap_or_default()
    }

    #[test]
    fn selection_is_by_tier_and_by_parts_of_names() {
        assert_eq!(names(None, &[]).len(), checks::all().len());
        assert!(names(Some(Tier::Deep), &[]).iter().all(|name| name.starts_with("deep/")));
        let several = names(None, &["/6.5/cancel-twice", "/3.5/"]);
        assert_eq!(several, ["core/3.5/times", "core/6.5/cancel-twice"]);
        assert!(names(Some(Tier::Deep), &["/3.5/"]).is_empty(), "nothing is an error");
    }

    #[test]
    fn checks_with_unmet_needs_are_skipped_with_a_reason() {
        let setup = Setup {
            url: "http://127.0.0.1:1".into(),
            token: None,
            atomic_type: None,
            composite_type: None,
            denied_type: None,
            denied_tenant: None,
            patience: Duration::from_secs(1),
        };
        let only = vec!["assignment-token".into(), "core/6.2/version".into()];
        let checks = Selection { only, tier: None }.of(checks::all()).expect("there are such");
        let outcomes = run(&checks, setup, None, |_| {});
        let [version, token] = outcomes.as_slice() else { panic!("{outcomes:?}") };
        assert!(version.failed() && version.exchanges.len() == 1, "no server listens: {version:?}");
        assert_eq!(token.verdict, Err(Stop::Skipped("needs --executors and --token".into())));
        assert!(token.exchanges.is_empty());
    }
}
