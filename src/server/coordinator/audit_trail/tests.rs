//! The budgets of refusals.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + seconds * REFILL)
}

/// How many refusals get a record, of `asked` at one time.
fn granted(budgets: &mut Budgets, who: &Identity, asked: u32, now: Timestamp) -> u32 {
    let spend = |_| match budgets.spend(who, now, true) {
        Spend::Granted { .. } => 1,
        Spend::Suppressed { .. } => 0,
    };
    (0..asked).map(spend).sum()
}

#[test]
fn refusals_of_a_principal_have_a_burst_and_then_a_rate() {
    let (mut budgets, mallory) = (Budgets::default(), Identity::bare("mallory"));
    assert_eq!(granted(&mut budgets, &mallory, 1000, at(0)), BURST);
    assert_eq!(granted(&mut budgets, &mallory, 1000, at(3)), 3);
    // Others have budgets of their own.
    assert_eq!(granted(&mut budgets, &Identity::bare("alice"), 5, at(3)), 5);
    let of_another_issuer = Identity { issuer: Some("https://sts".into()), ..mallory.clone() };
    assert_eq!(granted(&mut budgets, &of_another_issuer, 5, at(3)), 5);
    assert_eq!(granted(&mut budgets, &mallory, 1000, at(100_000)), BURST);
}

#[test]
fn suppressed_refusals_are_counted_in_the_next_record() {
    let (mut budgets, mallory) = (Budgets::default(), Identity::bare("mallory"));
    granted(&mut budgets, &mallory, BURST, at(0));
    assert_eq!(budgets.spend(&mallory, at(0), true), Spend::Suppressed { is_first: true });
    assert_eq!(budgets.spend(&mallory, at(0), true), Spend::Suppressed { is_first: false });
    assert_eq!(budgets.spend(&mallory, at(1), true), Spend::Granted { suppressed: 2 });
    assert_eq!(budgets.spend(&mallory, at(2), true), Spend::Granted { suppressed: 0 });
}

#[test]
fn refusal_gets_no_record_while_room_is_reserved() {
    let (mut budgets, mallory) = (Budgets::default(), Identity::bare("mallory"));
    assert_eq!(budgets.spend(&mallory, at(0), false), Spend::Suppressed { is_first: true });
    assert_eq!(budgets.spend(&mallory, at(0), true), Spend::Granted { suppressed: 1 });
}

#[test]
fn budgets_of_refusals_are_bounded() {
    let mut budgets = Budgets::default();
    for number in 0..3 * PRINCIPALS_MAX {
        budgets.spend(&Identity::bare(format!("mallory-{number}")), at(0), true);
    }
    assert_eq!(budgets.of.len(), PRINCIPALS_MAX);
    // They shared what was left.
    assert_eq!(budgets.of_others.spent, BURST);
    assert_eq!(granted(&mut budgets, &Identity::bare("alice"), 5, at(0)), 0);
    // A quiet principal is forgotten, but not what was suppressed.
    budgets.spend(&Identity::bare("mallory-0"), at(0), false);
    assert_eq!(granted(&mut budgets, &Identity::bare("alice"), 5, at(60)), 5);
    assert_eq!(budgets.of.len(), 2);
}

#[test]
fn clock_that_goes_back_refills_nothing() {
    let (mut budgets, mallory) = (Budgets::default(), Identity::bare("mallory"));
    assert_eq!(granted(&mut budgets, &mallory, 1000, at(10)), BURST);
    assert_eq!(granted(&mut budgets, &mallory, 1000, at(0)), 0);
    assert_eq!(granted(&mut budgets, &mallory, 1000, at(12)), 2);
}
