//! This machine's clock, beside those of the services and the times in the journal.

use super::finding::Finding;
use crate::{config::Settings, time::Timestamp};

const CHECK: &str = "clock";

/// A smaller difference is how clocks are, and how long a request takes.
const NOTABLE_SECONDS: u64 = 5;
/// Times in the journal that are further ahead were written by a clock that was set back
/// since.
const AHEAD_SECONDS: u64 = 60;

/// By how many seconds this clock is ahead of others.
#[derive(Debug, Default)]
pub(super) struct Heard(Vec<(String, i64)>);

impl Heard {
    pub(super) fn note(&mut self, service: &str, ahead: Option<i64>) {
        self.0.extend(ahead.map(|seconds| (service.to_owned(), seconds)));
    }

    /// The clock that differs most.
    fn worst(&self) -> Option<(&str, i64)> {
        let worst = self.0.iter().max_by_key(|(_, seconds)| seconds.unsigned_abs())?;
        Some((&worst.0, worst.1))
    }
}

/// `latest` is when the journal was last changed.
pub(super) fn clock(
    settings: &Settings,
    heard: &Heard,
    latest: Option<Timestamp>,
    now: Timestamp,
) -> Vec<Finding> {
    let skew = settings.inbound.clock_skew.as_secs();
    let beside = match heard.worst() {
        None => Finding::ok(CHECK, format!("{now}; no service to compare it with")),
        Some((_, seconds)) if seconds.unsigned_abs() <= NOTABLE_SECONDS => {
            Finding::ok(CHECK, format!("{now}, as the services have it"))
        }
        Some((service, seconds)) => {
            let way = if seconds > 0 { "ahead of" } else { "behind" };
            let message = format!("{} s {way} that of {service}", seconds.unsigned_abs());
            let remedy = "Synchronise the clocks of both machines, for instance by NTP.";
            if seconds.unsigned_abs() > skew && settings.inbound.keys.is_some() {
                let message = format!("{message}: tokens are refused as expired or not yet valid");
                Finding::failed(CHECK, message, remedy)
            } else {
                Finding::warning(CHECK, message, remedy)
            }
        }
    };
    let behind = latest.map(|latest| latest.since(now).as_secs()).filter(|behind| *behind > AHEAD_SECONDS);
    let of_journal = behind.map(|behind| {
        Finding::warning(
            CHECK,
            format!("the journal was last changed {behind} s after now: this clock was set back"),
            "Set the clock right. Until it has caught up, the server's own clock runs ahead of it.",
        )
    });
    std::iter::once(beside).chain(of_journal).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::{super::finding::Verdict, *};
    use crate::config::Flags;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn found(vars: &[(&str, &str)], ahead: &[i64], latest: Option<Timestamp>) -> Vec<(Verdict, String)> {
        let vars: BTreeMap<String, String> =
            vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let settings = Settings::from_vars(&vars, &Flags::default()).expect("usable");
        let mut heard = Heard::default();
        ahead.iter().for_each(|seconds| heard.note("pdp", Some(*seconds)));
        let findings = clock(&settings, &heard, latest, NOW);
        findings.into_iter().map(|finding| (finding.status, finding.message)).collect()
    }

    #[test]
    fn clock_is_judged_by_the_one_that_differs_most() {
        const OPEN: &[(&str, &str)] = &[("ARP_AUTH_PROFILE", "dev-insecure")];
        const SECURE: &[(&str, &str)] = &[("ARP_AUTH_JWKS_URI", "http://sts/keys")];
        for (vars, ahead, verdict, says) in [
            (OPEN, &[][..], Verdict::Ok, "no service to compare it with"),
            (OPEN, &[0, -5, 3], Verdict::Ok, "as the services have it"),
            (OPEN, &[0, 6], Verdict::Warning, "6 s ahead of that of pdp"),
            (OPEN, &[1, -600], Verdict::Warning, "600 s behind that of pdp"),
            (SECURE, &[60], Verdict::Warning, "60 s ahead"),
            (SECURE, &[-61], Verdict::Failed, "tokens are refused"),
        ] {
            let found = found(vars, ahead, None);
            assert!(found.len() == 1 && found[0].0 == verdict && found[0].1.contains(says), "{found:?}");
        }
        let later = |seconds| Some(NOW + Duration::from_secs(seconds));
        assert_eq!(found(OPEN, &[], later(60)).len(), 1);
        let back = found(OPEN, &[], later(90));
        assert!(back.len() == 2 && back[1].1.contains("90 s after now"), "{back:?}");
    }
}
