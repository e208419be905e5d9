//! Checks, what they need, and their outcome.

use std::{fmt, time::Duration};

use crate::{
    bench::Bench,
    verdict::{Stop, Verdict},
};

/// The tiers that the official tool names but has no checks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Tier {
    /// The whole life of runs and nodes, one caller at a time.
    Core,
    /// Many callers at once, faults of executors, streams that grow.
    Deep,
}

impl Tier {
    pub const ALL: [Self; 2] = [Self::Core, Self::Deep];

    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Deep => "deep",
        }
    }
}

/// A precondition of a check, besides a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A type whose nodes are executed and succeed.
    Atomic,
    /// The suite's own executors, whose behaviour the check chooses.
    Executors,
    /// A token, because the coordinator demands one.
    Token,
    /// A type whose execution the policy denies.
    DeniedType,
    /// A tenant whose runs the policy denies.
    DeniedTenant,
}

impl Need {
    pub fn is_met_by(self, bench: &Bench) -> bool {
        let setup = &bench.setup;
        match self {
            Self::Atomic => bench.has_executors() || setup.atomic_type.is_some(),
            Self::Executors => bench.has_executors(),
            Self::Token => setup.token.is_some(),
            Self::DeniedType => setup.denied_type.is_some(),
            Self::DeniedTenant => setup.denied_tenant.is_some(),
        }
    }

    /// The option that provides it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Atomic => "--executors or --atomic-type",
            Self::Executors => "--executors",
            Self::Token => "--token",
            Self::DeniedType => "--denied-type",
            Self::DeniedTenant => "--denied-tenant",
        }
    }
}

/// One requirement for a coordinator.
#[derive(Clone, Copy)]
pub struct Check {
    /// The tier, the section of the contract, and a name: `core/6.6/children-in-request-order`.
    pub id: &'static str,
    /// The requirement, in one line.
    pub proves: &'static str,
    pub needs: &'static [Need],
    /// The fix or decision of the contract (§22, §24) in which the Python
    /// reference is known to differ.
    pub differs: Option<&'static str>,
    pub run: fn(&Bench) -> Verdict,
}

impl Check {
    pub const fn new(id: &'static str, proves: &'static str, run: fn(&Bench) -> Verdict) -> Self {
        Self { id, proves, needs: &[], differs: None, run }
    }

    pub const fn needs(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    pub const fn differs(self, why: &'static str) -> Self {
        Self { differs: Some(why), ..self }
    }

    pub fn tier(&self) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| self.part(0) == tier.name())
    }

    /// The section of the contract.
    pub fn section(&self) -> &'static str {
        self.part(1)
    }

    fn part(&self, index: usize) -> &'static str {
        self.id.split('/').nth(index).unwrap_or_default()
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// The outcome of a check.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub check: Check,
    pub verdict: Verdict,
    pub took: Duration,
    /// The requests of the check, with the status of each answer.
    pub exchanges: Vec<String>,
}

impl Outcome {
    pub fn result(&self) -> &'static str {
        match self.verdict {
            Ok(()) => "pass",
            Err(Stop::Failed(_)) => "fail",
            Err(Stop::Skipped(_)) => "skip",
        }
    }

    pub fn failed(&self) -> bool {
        matches!(self.verdict, Err(Stop::Failed(_)))
    }
}
