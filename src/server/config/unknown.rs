//! Names that are set and that this program does not read: a misspelled variable would
//! otherwise leave its default in effect without a word.
//!
//! ```text
//!   a name that is set ──▶ known? ──no──▶ ours by its prefix, or in an env file? ──▶ reported
//!                                    └──▶ close to a known name? ─────────────────▶ reported, with it
//!                                    └──▶ neither: it may be of another service of the machine
//! ```

use std::fmt;

use super::{
    variables::{self, PREFIX},
    vars::{Source, Vars},
};

/// The prefixes of the standard's variables and of those of its implementation, the
/// longest first. Other services of a machine have variables with the last two.
const PREFIXES: [&str; 3] = [PREFIX, "JARVIS_", "ARP_"];

/// The most letters by which a misspelled name differs. With three, names of other
/// services would be taken for ours: `JARVIS_POLICY_FILE` for `JARVIS_POLICY_PROFILE`.
const LETTERS: usize = 2;
/// Shorter names differ by a single letter.
const LONG: usize = 12;

/// A name that is set and not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    pub name: String,
    pub source: Source,
    /// Of an env file.
    pub line: Option<usize>,
    /// The variable that was probably meant.
    pub nearest: Option<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, source, line, nearest } = self;
        write!(f, "{name} is not a variable of this program (set in ")?;
        match (source, line) {
            (Source::Environment, _) => f.write_str("the environment)")?,
            (Source::EnvLocal | Source::EnvFile, None) => write!(f, "{source})")?,
            (Source::EnvLocal | Source::EnvFile, Some(line)) => write!(f, "{source}, line {line})")?,
        }
        match nearest {
            Some(nearest) => write!(f, ": is {nearest} meant?"),
            None => Ok(()),
        }
    }
}

/// The names that are probably mistakes.
pub(super) fn unknown_names(vars: &dyn Vars) -> Vec<UnknownName> {
    let names = vars.names().into_iter().filter(|name| !variables::is_known(name));
    names
        .filter_map(|name| {
            let source = vars.source(&name)?;
            let nearest = nearest(&name);
            let is_prefixed = |prefix: &&str| name.starts_with(*prefix);
            let is_ours = match source {
                Source::Environment => is_prefixed(&PREFIX) || has_prefix(&name) && nearest.is_some(),
                // The file is in the folder of this server.
                Source::EnvLocal | Source::EnvFile => has_prefix(&name) || nearest.is_some(),
            };
            let line = vars.line(&name);
            is_ours.then_some(UnknownName { name, source, line, nearest })
        })
        .collect()
}

/// The variables of other programs: names with a prefix of the standard's that are not
/// read, and that are close to none that is.
pub fn foreign_names(vars: &dyn Vars) -> Vec<String> {
    let reported: Vec<String> = unknown_names(vars).into_iter().map(|unknown| unknown.name).collect();
    let is_foreign =
        |name: &String| has_prefix(name) && !variables::is_known(name) && !reported.contains(name);
    vars.names().into_iter().filter(is_foreign).collect()
}

fn has_prefix(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The known name that was probably meant: the same with another prefix, the same
/// without its end, or one that differs by few letters.
fn nearest(name: &str) -> Option<&'static str> {
    let upper = name.to_uppercase();
    let stem = stem(&upper);
    let known = || {
        variables::all()
            .flat_map(|variable| std::iter::once(variable.name).chain(variable.aliases.iter().copied()))
    };
    // `ARP_RUN_STORE_URL`, `JARVIS_LOG_FORMAT`; a single word could be of any program.
    let is_moved = |known: &&str| stem.contains('_') && self::stem(known) == stem;
    // `JARVIS_ATOMIC_EXECUTOR`
    let is_short = |known: &&str| known.strip_suffix("_URL") == Some(upper.as_str());
    let most = if upper.len() < LONG { 1 } else { LETTERS };
    let misspelled = || {
        let distance = |known: &'static str| (strsim::osa_distance(&upper, known), known);
        known().map(distance).filter(|(distance, _)| *distance <= most).min().map(|(_, known)| known)
    };
    known().find(is_moved).or_else(|| known().find(is_short)).or_else(misspelled)
}

/// The name without its prefix.
fn stem(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::LayeredVars;

    fn in_layer(source: Source, names: &[&str]) -> LayeredVars {
        let values: BTreeMap<String, String> =
            names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
        LayeredVars::new(vec![(source, values)])
    }

    #[test]
    fn misspelled_names_are_reported_with_the_right_one() {
        for (name, right) in [
            ("JARVIS_ATOMIC_EXECUTR_URL", "JARVIS_ATOMIC_EXECUTOR_URL"),
            ("JARVIS_ATOMIC_EXECUTOR_ULR", "JARVIS_ATOMIC_EXECUTOR_URL"),
            ("JARVIS_ATOMIC_EXECUTOR", "JARVIS_ATOMIC_EXECUTOR_URL"),
            ("JARVIS_PDP", "JARVIS_PDP_URL"),
            ("ARP_AUTH_PROFIL", "ARP_AUTH_PROFILE"),
            ("ARP_RUN_STORE_URL", "JARVIS_RUN_STORE_URL"),
            ("JARVIS_AUTH_PROFILE", "ARP_AUTH_PROFILE"),
            ("JARVIS_LOG_LEVEL", "LOG_LEVEL"),
            ("JARVIS_LOG_FORMAT", "JARVIS_RUN_COORDINATOR_LOG_FORMAT"),
            ("JARVIS_RUN_COORDINATOR_AUTO_DISPACH", "JARVIS_RUN_COORDINATOR_AUTO_DISPATCH"),
        ] {
            for source in [Source::Environment, Source::EnvLocal] {
                let found = unknown_names(&in_layer(source, &[name]));
                assert_eq!(found.len(), 1, "{name}");
                assert_eq!(found[0].nearest, Some(right), "{name}");
            }
        }
        // Without a prefix only in a file of this server.
        for name in ["LOG_LEVL", "log_level", "OTEL_SERVICE_NAM"] {
            assert_eq!(unknown_names(&in_layer(Source::Environment, &[name])), [], "{name}");
            assert_eq!(unknown_names(&in_layer(Source::EnvFile, &[name])).len(), 1, "{name}");
        }
    }

    /// Those of the JARVIS services on the same machine.
    #[test]
    fn variables_of_other_services_are_foreign() {
        let names = [
            "ARP_JARVIS_COORDINATOR_URL",
            "ARP_LLM_BASE_URL",
            "JARVIS_ARTIFACT_DIR",
            "JARVIS_EVENT_STORE_DB_URL",
            "JARVIS_NODE_REGISTRY_DB_URL",
            "JARVIS_POLICY_FILE",
            "JARVIS_POLICY_PATH",
            "JARVIS_RUN_GATEWAY_URL",
            "JARVIS_RUN_STORE_DB_URL",
        ];
        let vars = in_layer(Source::Environment, &names);
        assert_eq!(unknown_names(&vars), []);
        assert_eq!(foreign_names(&vars), names);
        // In the folder of this server they have no business.
        assert_eq!(unknown_names(&in_layer(Source::EnvFile, &names)).len(), names.len());
        for known in ["JARVIS_PDP_URL", "ARP_PDP_URL", "LOG_LEVEL", "PATH"] {
            let vars = in_layer(Source::EnvLocal, &[known]);
            assert_eq!((unknown_names(&vars), foreign_names(&vars)), (vec![], vec![]), "{known}");
        }
    }

    #[test]
    fn report_names_the_place() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(".env.local"), "# one\n\nARP_AUTH_PROFIL=dev\n")
            .expect("written");
        let vars = LayeredVars::load_files(directory.path()).expect("readable");
        let found: Vec<String> = unknown_names(&vars).iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            ["ARP_AUTH_PROFIL is not a variable of this program (set in .env.local, line 3): is \
              ARP_AUTH_PROFILE meant?"]
        );
        let vars = in_layer(Source::Environment, &["JARVIS_RUN_COORDINATOR_SOMETHING_ELSE"]);
        let found: Vec<String> = unknown_names(&vars).iter().map(ToString::to_string).collect();
        let expected = "JARVIS_RUN_COORDINATOR_SOMETHING_ELSE is not a variable of this program (set in the environment)";
        assert_eq!(found, [expected]);
    }
}
