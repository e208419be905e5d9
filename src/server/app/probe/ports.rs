//! The addresses to listen on: whether they are free, or a server of ours has them.

use std::{io, net::SocketAddr, time::Duration};

use super::{
    super::listeners::{Purpose, address_of},
    ask::Asker,
    finding::Finding,
};
use crate::{
    clients,
    config::{Settings, settings::Listen, value::loopback_url},
    time::SystemClock,
    transport::unverified,
};

/// The name of this service (contract §6.2).
const SERVICE: &str = "arp-jarvis-run-coordinator";
/// For the program that has the port: it is on this machine.
const LIMIT: Duration = Duration::from_secs(3);

/// Tries both addresses.
pub(super) async fn ports(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![port(settings, "port", &settings.listen, Purpose::Api).await];
    if let Some(operator) = &settings.operator {
        findings.push(port(settings, "operator_port", &operator.listen, Purpose::Operator).await);
    }
    findings
}

async fn port(settings: &Settings, check: &str, listen: &Listen, purpose: Purpose) -> Finding {
    let shown = format!("{}:{}", listen.host, listen.port);
    let set_by = purpose.set_by();
    let address = match address_of(listen).await {
        Ok(address) => address,
        Err(reason) => {
            let remedy = format!("Set a name or an address of this machine with {set_by}.");
            return Finding::failed(check, format!("{shown}: {reason}"), remedy);
        }
    };
    match bind(address) {
        Ok(()) if listen.port == 0 => Finding::ok(check, format!("{shown}: any free port")),
        Ok(()) => Finding::ok(check, format!("{shown} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match holder(settings, address, purpose).await {
                Some(holder) => Finding::ok(check, format!("{shown}: {holder} listens there")),
                None => {
                    let remedy = format!("End that program, or set another address with {set_by}.");
                    Finding::failed(check, format!("{shown} is in use by another program"), remedy)
                }
            }
        }
        Err(error) => {
            let remedy = if error.kind() == io::ErrorKind::PermissionDenied {
                format!("Set a port from 1024 on with {set_by}.")
            } else {
                format!("Set an address of this machine with {set_by}.")
            };
            Finding::failed(check, format!("{shown}: {error}"), remedy)
        }
    }
}

/// As a server does: a port whose last connections are not over yet can be had.
fn bind(address: SocketAddr) -> io::Result<()> {
    std::net::TcpListener::bind(address).map(drop)
}

/// The server of ours that has the port, if it is one.
async fn holder(settings: &Settings, address: SocketAddr, purpose: Purpose) -> Option<String> {
    let url = loopback_url(settings.tls.is_some(), &address.ip().to_string(), address.port());
    // Its certificate is not issued for this address, and nothing secret is sent.
    let tls = unverified(&settings.outbound_tls).ok()?;
    let http = clients::http_client_with_tls(LIMIT, tls).ok()?;
    let asker = Asker { http, limit: LIMIT, clock: &SystemClock };
    match purpose {
        Purpose::Api => {
            let answer = asker.get(&format!("{url}/v1/version"), None).await.ok()?;
            let version = answer.text("service_version").unwrap_or("of unknown version");
            (answer.text("service_name") == Some(SERVICE)).then(|| format!("a run coordinator {version}"))
        }
        Purpose::Operator => {
            let answer = asker.get(&format!("{url}/livez"), None).await.ok()?;
            (answer.text("status") == Some("ok")).then(|| "an operator API".to_owned())
        }
    }
}
