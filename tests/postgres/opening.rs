//! Databases that are refused, and why; what a start makes; TLS.

use std::{net::TcpListener, path::Path};

use jarvis_run_coordinator::journal::{Journal, conformance::start};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::world::{open, raw, refused, schema, server, url_of};

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_make_the_tables_once() {
    let url = schema().await;
    let opened = futures::future::join_all((0..6).map(|_| open(&url))).await;
    for (number, journal) in opened.iter().enumerate() {
        journal.commit(start(&format!("run-{number}"))).await.expect("committed");
    }
}

#[tokio::test]
async fn newer_schema_and_foreign_tables_are_refused() {
    let url = schema().await;
    drop(open(&url).await);
    raw(&url).await.batch_execute("UPDATE meta SET schema = 99").await.expect("updated");
    let error = refused(&url).await;
    assert!(error.contains("schema 99") && error.contains("use a newer program"), "{error}");

    let foreign = schema().await;
    raw(&foreign).await.batch_execute("CREATE TABLE runs (id integer)").await.expect("created");
    let error = refused(&foreign).await;
    assert!(error.contains("relation \"runs\" already exists"), "{error}");
}

#[tokio::test]
async fn unreachable_database_is_named_without_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port();
    let error = refused(&format!("postgres://ann:hunter2@127.0.0.1:{port}/runs")).await;
    assert!(error.contains(&format!("postgres://ann@127.0.0.1:{port}/runs")), "{error}");
    assert!(error.contains("refused") && !error.contains("hunter2"), "{error}");

    let error = refused(&schema().await.replace("/postgres?", "/nothing?")).await;
    assert!(error.contains("database \"nothing\" does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_may_lose_what_it_confirms_is_refused() {
    let error = refused(&url_of(&server(&["fsync = off"]))).await;
    assert!(error.contains("fsync = off"), "{error}");
    let error = refused(&url_of(&server(&["default_transaction_read_only = on"]))).await;
    assert!(error.contains("does not allow writes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_password_is_said_and_not_shown() {
    let database = server(&[]);
    let admin = raw(&url_of(&database)).await;
    admin
        .batch_execute("CREATE USER ann PASSWORD 'right'; GRANT ALL ON SCHEMA public TO ann")
        .await
        .expect("made");
    let rules = database.data().join("pg_hba.conf");
    std::fs::write(&rules, "host all tests all trust\nhost all ann all scram-sha-256\n").expect("written");
    admin.batch_execute("SELECT pg_reload_conf()").await.expect("reloaded");
    let url = |password: &str| format!("postgres://ann:{password}@127.0.0.1:{}/postgres", database.port());
    // The rules are in effect a moment later.
    let error = loop {
        match crate::world::try_open(&url("wr0ng")).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("password authentication failed") && !error.contains("wr0ng"), "{error}");
    open(&url("right")).await.commit(start("a")).await.expect("committed");
}

/// Writes a certificate for `name` with its key, and the one that it can be verified by.
fn certificates(folder: &Path, name: &str) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a root");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &root).expect("a certificate");
    std::fs::write(folder.join("root.pem"), root.pem()).expect("written");
    std::fs::write(folder.join("server.crt"), certificate.pem()).expect("written");
    std::fs::write(folder.join("server.key"), key.serialize_pem()).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_of_the_server_is_verified() {
    let mut database = server(&[]);
    let folder = database.data().to_owned();
    certificates(&folder, "localhost");
    database.own("server.key").expect("its own");
    database.set(&["ssl = on"]).expect("set");
    database.stop(private_postgres::Stop::Fast).expect("stopped");
    database.start_again().expect("started");
    let root = tempfile::NamedTempFile::new().expect("a file");
    std::fs::copy(folder.join("root.pem"), root.path()).expect("copied");
    let root = root.path().display().to_string().replace('/', "%2F");
    let url = |host: &str, rest: &str| {
        format!("postgres://tests@{host}:{}/postgres?sslmode=verify-full{rest}", database.port())
    };
    let trusted = format!("&sslrootcert={root}");
    open(&url("localhost", &trusted)).await.commit(start("a")).await.expect("committed");
    let error = refused(&url("127.0.0.1", &trusted)).await;
    assert!(error.contains("certificate"), "another name: {error}");
    let error = refused(&url("localhost", "")).await;
    assert!(error.contains("certificate"), "an unknown issuer: {error}");
}
