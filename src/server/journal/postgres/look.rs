//! A look at the database without changing anything, for `check-config --probe` and
//! `doctor`.

use std::sync::Arc;

use slog::Logger;

use super::{PostgresOptions, error::describe, link::Connector, read, schema};
use crate::{journal::OpenError, time::Timestamp};

/// What is there.
pub struct Look {
    /// The version of the server.
    pub server: String,
    /// The schema. `None`: a start makes it.
    pub schema: Option<i32>,
    /// The coordinators that are registered.
    pub workers: u64,
    /// The newest time in the journal.
    pub latest: Option<Timestamp>,
}

/// Connects as a server would, and looks.
pub async fn look(options: PostgresOptions, log: Logger) -> Result<Look, OpenError> {
    let url = options.url.to_string();
    let failed = |reason: String| OpenError::Database { url: url.clone(), reason };
    let PostgresOptions { url: at, tls, .. } = options;
    let live = Connector::new(at, tls, log).connect().await.map_err(failed)?;
    schema::check_server(&live).await.map_err(failed)?;
    let version = live.client.query_one("SHOW server_version", &[]).await;
    let server: String = version.map_err(|e| failed(describe(&e)))?.get(0);
    let Some(schema) = schema::version(&live).await.map_err(|e| failed(describe(&e)))? else {
        return Ok(Look { server, schema: None, workers: 0, latest: None });
    };
    if schema > schema::KNOWN {
        return Err(OpenError::Newer { path: url, found: schema.into(), supported: schema::KNOWN.into() });
    }
    let workers = live.client.query_one("SELECT count(*) FROM owners", &[]).await;
    let workers: i64 = workers.map_err(|e| failed(describe(&e)))?.get(0);
    let latest = read::latest_commit_time(Arc::new(live)).await.map_err(|e| failed(e.to_string()))?;
    Ok(Look { server, schema: Some(schema), workers: workers.unsigned_abs(), latest })
}
