//! The server that all tests share, and an empty journal for each.

use std::sync::{
    LazyLock,
    atomic::{AtomicU32, Ordering},
};

use jarvis_run_coordinator::{
    config::DatabaseUrl,
    journal::postgres::{PostgresJournal, PostgresOptions},
};
use private_postgres::{Programs, Server};
use slog::{Discard, Logger, o};

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let programs = Programs::find().expect("PostgreSQL; see `cargo xtask postgres`");
    // Two hundred journals at the same time; their durability is not what is tested.
    let settings = ["max_connections = 800", "shared_buffers = '64MB'", "synchronous_commit = on"];
    Server::start(&programs, &settings).expect("a server")
});

/// The URL of a new, empty schema.
pub(crate) async fn schema() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    execute(&SERVER.url("postgres"), &format!("CREATE SCHEMA {name}")).await;
    format!("{}?options=-c%20search_path%3D{name}", SERVER.url("postgres"))
}

pub(crate) async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("connected");
    let driver = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("executed");
    drop(client);
    driver.await.expect("ended").expect("closed");
}

pub(crate) fn log() -> Logger {
    Logger::root(Discard, o!())
}

pub(crate) fn options(url: &str) -> PostgresOptions {
    let url = DatabaseUrl::parse(url).expect("a URL");
    PostgresOptions { url, writers: 2, readers: 2, outbox: true }
}

pub(crate) async fn open(url: &str) -> PostgresJournal {
    PostgresJournal::open(options(url), log()).await.expect("opened")
}
