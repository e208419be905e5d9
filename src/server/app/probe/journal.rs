//! The journal: whether a start could open it.

use super::{super::StartError, finding::Finding};
use crate::{
    config::Settings,
    journal::sqlite::{Look, look},
    time::Timestamp,
};

const CHECK: &str = "journal";

/// The finding, and when the journal was last changed by the clock of its server.
pub(super) fn journal(settings: &Settings) -> (Finding, Option<Timestamp>) {
    let path = settings.journal.path.display();
    match look(&settings.journal.path) {
        Ok(None) => (Finding::ok(CHECK, format!("{path} does not exist yet: a start makes it")), None),
        Ok(Some(Look { schema, bytes, latest, is_in_use })) => {
            let whose = if is_in_use { ", in use by a server" } else { "" };
            (Finding::ok(CHECK, format!("{path}: schema {schema}, {bytes} bytes{whose}")), latest)
        }
        Err(error) => (Finding::not_started(CHECK, &StartError::Journal(error), settings), None),
    }
}
