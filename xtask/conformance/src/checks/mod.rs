//! The checks by subject. They depend on the contract and the bench, and not on how
//! our coordinator is built.

mod auth;
mod children;
mod constraints;
mod dispatch;
mod errors;
mod events;
mod faults;
mod keys;
mod many;
mod policy;
mod reports;
mod runs;
mod streams;
mod wire;

use super::check::Check;

/// All checks, in the order of tiers and sections.
pub fn all() -> Vec<Check> {
    let parts = [
        wire::CHECKS,
        errors::CHECKS,
        runs::CHECKS,
        children::CHECKS,
        reports::CHECKS,
        constraints::CHECKS,
        keys::CHECKS,
        dispatch::CHECKS,
        policy::CHECKS,
        events::CHECKS,
        streams::CHECKS,
        auth::CHECKS,
        many::CHECKS,
        faults::CHECKS,
    ];
    let mut checks = parts.concat();
    checks.sort_by_key(|check| (check.tier(), place(check.section())));
    checks
}

/// Sections in the order of their numbers: 6.10 comes after 6.9.
pub(super) fn place(section: &str) -> Vec<u32> {
    section.split('.').map(|number| number.parse().unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_have_tier_section_and_words() {
        let checks = all();
        let names: BTreeSet<&str> = checks.iter().map(|check| check.id).collect();
        assert_eq!(names.len(), checks.len());
        for check in &checks {
            let parts: Vec<&str> = check.id.split('/').collect();
            assert!(check.tier().is_some() && parts.len() == 3, "{}", check.id);
            assert!(place(parts[1]).iter().all(|number| (1..=24).contains(number)), "{}", check.id);
            assert!(
                parts[2]
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            );
            assert!(check.proves.len() <= 100 && !check.proves.ends_with('.'), "{}", check.id);
        }
    }

    #[test]
    fn sections_are_in_their_order() {
        let sections: Vec<_> = all().iter().map(|check| (check.tier(), place(check.section()))).collect();
        assert!(sections.is_sorted());
    }
}
