//! The commands of the real program against a server with HTTPS.

use crate::support::{Authority, Mounted, Program, TestServer};

const CERT: &str = "JARVIS_RUN_COORDINATOR_TLS_CERT";
const KEY: &str = "JARVIS_RUN_COORDINATOR_TLS_KEY";

#[tokio::test]
async fn commands_reach_a_server_with_https() {
    let ca = Authority::new("ca");
    let (issued, client, root) = (ca.issue("server"), ca.issue("command"), ca.pem());
    let mounted = Mounted::new(&[
        ("crt", &issued.cert),
        ("key", &issued.key),
        ("ca", &root),
        ("client.crt", &client.cert),
        ("client.key", &client.key),
    ]);
    let [cert, key, ca, client_cert, client_key] =
        ["crt", "key", "ca", "client.crt", "client.key"].map(|name| mounted.path(name));
    let vars = [(CERT, cert.as_str()), (KEY, key.as_str())];
    let demanding = [("JARVIS_RUN_COORDINATOR_TLS_CLIENT_CA", ca.as_str())];
    let identity = [
        ("JARVIS_RUN_COORDINATOR_CLIENT_CERT", client_cert.as_str()),
        ("JARVIS_RUN_COORDINATOR_CLIENT_KEY", &client_key),
    ];
    for (server, command) in [(&[][..], &[][..]), (&demanding, &identity)] {
        let t = TestServer::start_with(&[&vars, server].concat()).await;
        let port = t.url.rsplit(':').next().expect("a port").to_owned();
        let program = |more: &[(&str, &str)]| {
            let all = [command, more].concat();
            all.iter().fold(Program::bare(&[]), |program, (name, value)| program.var(name, value))
        };
        let health = ["health", "--url", &t.url];
        for (program, arguments, code) in [
            (program(&[]), [&health[..], &["--ca", &ca]].concat(), 0),
            (program(&[("JARVIS_RUN_COORDINATOR_CA_BUNDLE", &ca)]), health.to_vec(), 0),
            (program(&[]), health.to_vec(), 1),
            // The health check of a container: same variables, address of its own.
            (program(&vars), vec!["health", "--port", &port], 0),
            (program(&vars), health.to_vec(), 1),
            (program(&[]), [&health[..], &["--ca", "/nowhere"]].concat(), 1),
        ] {
            let ended = program.with_arguments(&arguments).run().await;
            assert_eq!(ended.code, Some(code), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
            assert_eq!(ended.stdout.contains("\"tls_certificate\""), code == 0, "{}", ended.stdout);
            if code != 0 {
                assert!(
                    ended.stderr.contains("--ca") || ended.stderr.contains("/nowhere"),
                    "{}",
                    ended.stderr
                );
            }
        }
        t.stop().await;
    }
}

#[tokio::test]
async fn check_config_reads_the_certificates() {
    let ca = Authority::new("ca");
    let (one, other) = (ca.issue("one"), ca.issue("other"));
    let check = async |cert: &str, key: &str| {
        let program = Program::server().var(CERT, "crt").var(KEY, "key").with_arguments(&["check-config"]);
        program.write("crt", cert);
        program.write("key", key);
        let ended = program.run().await;
        assert!(!ended.stdout.contains("PRIVATE"), "{}", ended.stdout);
        (ended.code, ended.stdout)
    };
    let (code, text) = check(&one.cert, &one.key).await;
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = check(&one.cert, &other.key).await;
    assert_eq!(code, Some(1), "{text}");
    let says = format!("\nerror: crt: its key is not that in key\n  The file is set with {CERT}.\n");
    assert!(text.ends_with(&says), "{text}");
}
