//! The journal: whether a start could open it.

use std::path::Path;

use slog::{Discard, Logger, o};

use super::{
    super::{StartError, journal::database},
    finding::Finding,
};
use crate::{
    config::{JournalPlace, Settings},
    journal::{
        postgres,
        sqlite::{Look, look},
    },
    time::Timestamp,
};

const CHECK: &str = "journal";

/// The finding, and when the journal was last changed by the clock of its server.
pub(super) async fn journal(settings: &Settings) -> (Finding, Option<Timestamp>) {
    let found = match &settings.journal.place {
        JournalPlace::File(path) => in_file(path),
        JournalPlace::Database(_) => in_database(settings).await,
    };
    match found {
        Ok((message, latest)) => (Finding::ok(CHECK, format!("{}{message}", settings.journal.place)), latest),
        Err(error) => (Finding::not_started(CHECK, &error, settings), None),
    }
}

fn in_file(path: &Path) -> Result<(String, Option<Timestamp>), StartError> {
    let Some(Look { schema, bytes, latest, is_in_use }) = look(path)? else {
        return Ok((" does not exist yet: a start makes it".to_owned(), None));
    };
    let whose = if is_in_use { ", in use by a server" } else { "" };
    Ok((format!(": schema {schema}, {bytes} bytes{whose}"), latest))
}

async fn in_database(settings: &Settings) -> Result<(String, Option<Timestamp>), StartError> {
    let log = Logger::root(Discard, o!());
    let postgres::Look { server, schema, workers, latest } = postgres::look(database(settings)?, log).await?;
    let Some(schema) = schema else {
        return Ok((format!(": PostgreSQL {server}, without tables: a start makes them"), None));
    };
    Ok((format!(": PostgreSQL {server}, schema {schema}, coordinators registered: {workers}"), latest))
}
