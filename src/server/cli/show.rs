//! Words for people: types, times, owners, and the lines of one thing.

use super::table::printable;
use crate::{clients::operator::types::Actor, time::Timestamp, types::NodeTypeRef};

/// `atomic.echo@1.0.0`
pub(super) fn type_of(node_type: &NodeTypeRef) -> String {
    format!("{}@{}", node_type.node_type_id, node_type.version)
}

/// The time, or nothing.
pub(super) fn text(time: Option<Timestamp>) -> String {
    time.map(|time| time.to_string()).unwrap_or_default()
}

/// The name of who acted.
pub(super) fn actor(actor: &Actor) -> String {
    match (&actor.principal, &actor.node_run_id) {
        (Some(principal), _) => principal.subject.clone(),
        (None, Some(node)) => node.clone(),
        (None, None) => actor.kind.to_string(),
    }
}

/// One thing: a line a member, without those that are empty.
pub(super) fn members(members: &[(&str, String)]) -> String {
    let width = members.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let given = members.iter().filter(|(_, value)| !value.is_empty());
    let lines = given.map(|(name, value)| format!("{name:<width$}  {}", printable(value)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_aligned_and_empty_ones_left_out() {
        let shown = members(&[("run", "a\u{1b}[2J".into()), ("error", String::new()), ("state", "x".into())]);
        assert_eq!(shown, "run    a\\u{1b}[2J\nstate  x");
    }
}
