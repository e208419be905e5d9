//! The variables that are read are those in the table.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{EMBEDDED, FULL, table};
use crate::config::{
    Flags, Vars,
    settings::{Settings, client_token, operator_url},
    variables,
};

/// Variables that record which names are read.
struct Recording<'a> {
    vars: BTreeMap<String, String>,
    read: &'a RefCell<BTreeSet<String>>,
}

impl Vars for Recording<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.read.borrow_mut().insert(name.to_owned());
        Vars::get(&self.vars, name)
    }
}

#[test]
fn variables_read_are_those_documented() {
    let read = RefCell::new(BTreeSet::new());
    // Some variables are read only if another one is set, or is not. With every
    // URL set, every audience is read.
    let urls: Vec<_> = variables::all()
        .filter(|variable| variable.name.ends_with("_URL"))
        .map(|variable| (variable.name, "http://host"))
        .collect();
    let discovered = [("ARP_AUTH_JWKS_URI", ""), ("ARP_AUTH_ISSUER", "http://host")];
    for vars in [table(EMBEDDED, &[]), table(FULL, &[]), table(FULL, &urls), table(FULL, &discovered)] {
        let recording = Recording { vars, read: &read };
        Settings::read(&recording, &Flags::default()).expect("usable");
        // Commands that call a server read these.
        assert_eq!(client_token(&recording), Ok(None));
        assert!(operator_url(&recording).is_ok());
    }
    let documented: BTreeSet<String> = variables::all()
        .flat_map(|variable| std::iter::once(variable.name).chain(variable.aliases.iter().copied()))
        .map(str::to_owned)
        .collect();
    let read = read.into_inner();
    let undocumented: Vec<_> = read.difference(&documented).collect();
    let unread: Vec<_> = documented.difference(&read).collect();
    assert!(undocumented.is_empty(), "read, but not in the table: {undocumented:?}");
    assert!(unread.is_empty(), "in the table, but never read: {unread:?}");
}
