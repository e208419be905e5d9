//! Certificates, keys and roots.

use std::path::PathBuf;

use super::{EMBEDDED, error, settings};
use crate::config::{KeyPair, OutboundTls, settings::InboundTls};

const CERT: &str = "JARVIS_RUN_COORDINATOR_TLS_CERT";
const KEY: &str = "JARVIS_RUN_COORDINATOR_TLS_KEY";
const CLIENT_CA: &str = "JARVIS_RUN_COORDINATOR_TLS_CLIENT_CA";
const OWN_CERT: &str = "JARVIS_RUN_COORDINATOR_CLIENT_CERT";
const OWN_KEY: &str = "JARVIS_RUN_COORDINATOR_CLIENT_KEY";

#[test]
fn certificates_come_with_their_keys() {
    let pair = KeyPair { cert: "c".into(), key: "k".into() };
    let inbound = |client_ca: Option<&str>| {
        Some(InboundTls { pair: pair.clone(), client_ca: client_ca.map(PathBuf::from) })
    };
    assert_eq!(settings(EMBEDDED, &[]).tls, None);
    assert!(settings(EMBEDDED, &[]).outbound_tls.is_default());
    assert_eq!(settings(EMBEDDED, &[(CERT, "c"), (KEY, "k")]).tls, inbound(None));
    assert_eq!(settings(EMBEDDED, &[(CERT, "c"), (KEY, "k"), (CLIENT_CA, "a")]).tls, inbound(Some("a")));
    let outbound = OutboundTls { ca_bundle: Some("a".into()), identity: Some(pair.clone()) };
    let bundle = ("JARVIS_RUN_COORDINATOR_CA_BUNDLE", "a");
    assert_eq!(settings(EMBEDDED, &[bundle, (OWN_CERT, "c"), (OWN_KEY, "k")]).outbound_tls, outbound);
    for (given, missing) in
        [(CERT, KEY), (KEY, CERT), (CLIENT_CA, CERT), (OWN_CERT, OWN_KEY), (OWN_KEY, OWN_CERT)]
    {
        assert_eq!(error(EMBEDDED, &[(given, "x")]), format!("{given} requires {missing}"));
    }
}
