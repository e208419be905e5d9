//! From flags and variables to a server, and a command that calls it.
//!
//! ```text
//!   flags, .env.local, .env, environment ──▶ Remote ──▶ command ──▶ Printer
//! ```

use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use super::{
    args::{OperatorTarget, Servers, Target},
    exit::{Exit, Failure},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
};
use crate::config::{Flags, LayeredVars};

/// Which certificate of the server a command accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certificate {
    Verified,
    /// Any, of the server of this machine: what is sent is not secret.
    AnyOnLoopback,
}

/// A server and its operator API.
pub(super) struct Both {
    pub(super) server: Remote,
    pub(super) operator: Remote<OperatorClient>,
}

/// Sends a request to a running server, prints the answer, and ends as that says.
/// Every failure without an answer is of one class.
pub(super) fn call(
    target: &Target,
    flags: &Flags,
    certificate: Certificate,
    request: impl AsyncFnOnce(&Remote) -> Result<(String, Result<Exit, Failure>), RemoteError>,
) -> Result<Exit, Failure> {
    let failed = |error: RemoteError| Failure::new(Exit::Remote, error);
    let vars = vars()?;
    let runtime = runtime()?;
    let remote = server(target, flags, certificate, &vars)?.map_err(failed)?;
    let (answer, ended) = runtime.block_on(request(&remote)).map_err(failed)?;
    Printer::stdout().line(&answer)?;
    ended
}

/// Runs a command that calls an operator API.
pub(super) fn with_operator(
    target: &OperatorTarget,
    command: impl AsyncFnOnce(&Remote<OperatorClient>, Printer) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let vars = vars()?;
    let runtime = runtime()?;
    let remote = operator(target, &vars)?;
    runtime.block_on(command(&remote, Printer::stdout()))
}

/// Runs a command that calls a server and its operator API.
pub(super) fn with_both(
    servers: &Servers,
    flags: &Flags,
    command: impl AsyncFnOnce(&Both, Printer) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let vars = vars()?;
    let runtime = runtime()?;
    let server = server(&servers.server(), flags, Certificate::Verified, &vars)??;
    let both = Both { server, operator: operator(&servers.operator, &vars)? };
    runtime.block_on(command(&both, Printer::stdout()))
}

fn vars() -> Result<LayeredVars, Failure> {
    LayeredVars::load(Path::new(".")).map_err(Failure::config)
}

fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(Failure::config)
}

fn server(
    target: &Target,
    flags: &Flags,
    certificate: Certificate,
    vars: &LayeredVars,
) -> Result<Result<Remote, RemoteError>, Failure> {
    let tls = target.tls(vars).map_err(Failure::config)?;
    let url = target.url(vars, flags);
    if certificate == Certificate::AnyOnLoopback && target.is_own(vars, flags) {
        return Ok(Remote::own(&tls, &url));
    }
    let token = target.token(vars).map_err(Failure::config)?;
    let token = token.map(|token| token.read()).transpose().map_err(Failure::config)?;
    Ok(Remote::over(&tls, &url, token.as_ref()))
}

fn operator(target: &OperatorTarget, vars: &LayeredVars) -> Result<Remote<OperatorClient>, Failure> {
    let url = target.url(vars).map_err(Failure::config)?;
    let tls = target.tls(vars).map_err(Failure::config)?;
    let token = target.token(vars).map_err(Failure::config)?;
    let token = token.map(|token| token.read()).transpose().map_err(Failure::config)?;
    Ok(Remote::operator(&tls, &url, token.as_ref())?)
}
