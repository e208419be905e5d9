//! The server that most tests share, and an empty journal for each; and servers that
//! one test has for itself.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use jarvis_run_coordinator::{
    config::DatabaseUrl,
    journal::{
        OpenError,
        postgres::{PostgresJournal, PostgresOptions},
    },
    transport::database_tls,
};
use private_postgres::{Programs, Server};
use slog::{Discard, Logger, o};
use tokio_postgres::{Client, NoTls};

/// The database of each server.
const DATABASE: &str = "postgres";

static SERVER: LazyLock<Server> =
    LazyLock::new(|| server(&["max_connections = 800", "shared_buffers = '64MB'"]));

/// A server of its own.
pub(crate) fn server(settings: &[&str]) -> Server {
    let programs = Programs::find().expect("PostgreSQL; see `cargo xtask postgres`");
    Server::start(&programs, settings).expect("a server")
}

pub(crate) fn url_of(server: &Server) -> String {
    server.url(DATABASE)
}

/// The URL of a new, empty schema.
pub(crate) async fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let client = raw(&url_of(&SERVER)).await;
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.expect("executed");
    format!("{}?options=-c%20search_path%3D{name}", url_of(&SERVER))
}

/// A connection of a stranger.
#[expect(clippy::disallowed_methods, reason = "the task ends with its connection")]
pub(crate) async fn raw(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connected");
    tokio::spawn(connection);
    client
}

pub(crate) fn log() -> Logger {
    Logger::root(Discard, o!())
}

pub(crate) fn options(url: &str) -> PostgresOptions {
    let url = DatabaseUrl::parse(url).expect("a URL");
    let tls = database_tls(url.tls()).expect("usable");
    PostgresOptions { url, tls, writers: 2, readers: 2, outbox: true, news: true }
}

pub(crate) async fn open(url: &str) -> PostgresJournal {
    try_open(url).await.expect("opened")
}

pub(crate) async fn try_open(url: &str) -> Result<PostgresJournal, OpenError> {
    PostgresJournal::open(options(url), log()).await
}

/// Why it was not opened, as operators read it.
pub(crate) async fn refused(url: &str) -> String {
    match try_open(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error.to_string(),
    }
}
