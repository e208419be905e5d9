//! The settings of one server, parsed from variables and flags. Pure: the same
//! input gives the same settings or the same error.

use std::{path::PathBuf, time::Duration};

use super::{AuthSettings, Mode};

use super::{
    Flags,
    error::ConfigError,
    value::{self, AudienceField, HttpUrl, LogFormat, PdpOutage, RegistryOutage, Secret, WithoutStores},
    variable::Variable,
    variables as v,
    vars::{Vars, switch},
};

pub const DEFAULT_HOST: &str = "127.0.0.1";
pub const DEFAULT_PORT: u16 = 8081;

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: Listen,
    /// Start anew when the binary or an env file changes.
    pub reload: bool,
    pub log: LogSettings,
    pub journal: JournalSettings,
    /// `None`: embedded, the journal is the record.
    pub stores: Option<Stores>,
    /// What becomes of what a journal owes them, if there are none.
    pub without_stores: WithoutStores,
    /// Outputs of more bytes of JSON go to the Artifact Store. `None`: none do.
    pub offload_outputs_bytes: Option<usize>,
    pub atomic_executor: Option<Endpoint>,
    pub composite_executor: Option<Endpoint>,
    pub node_registry: Option<Endpoint>,
    pub registry_outage: RegistryOutage,
    pub pdp: Option<Endpoint>,
    pub pdp_outage: PdpOutage,
    /// Accepted, never called.
    pub selection: Option<Endpoint>,
    /// Where composite executors reach us.
    pub public_url: Option<HttpUrl>,
    /// Off: nodes stay queued.
    pub auto_dispatch: bool,
    pub policy: PolicyPosture,
    /// Write our extension keys as `jarvis.<key>` (contract D-01).
    pub dotted_keys: bool,
    /// `None`: calls go out without a token.
    pub outbound: Option<OutboundAuth>,
    pub inbound: AuthSettings,
    pub limits: Limits,
    pub deadlines: Deadlines,
    pub calls: CallLimits,
    /// How long a shutdown waits for work in progress.
    pub shutdown_timeout: Duration,
    /// What works but is probably not meant, a line each, for the log.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// A name or an address.
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    pub level: slog::Level,
    pub format: LogFormat,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    pub path: PathBuf,
    pub max_bytes: Option<u64>,
    /// How long a finished run is kept. `None`: for ever.
    pub retention: Option<Duration>,
}

impl JournalSettings {
    /// Where the journal is: also for commands that need to know nothing else.
    pub fn path(vars: &dyn Vars, flags: &Flags) -> Result<PathBuf, ConfigError> {
        match &flags.journal {
            Some(path) => Ok(path.clone()),
            None => v::JOURNAL.read_required(vars, |text| Some(PathBuf::from(text))),
        }
    }
}

/// Another service: where it is, and whom tokens for it are made out to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub url: HttpUrl,
    pub audience: String,
}

/// The stores that others read; there are all three or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stores {
    pub run_store: Endpoint,
    pub event_stream: Endpoint,
    pub artifact_store: Endpoint,
    /// How long an answer waits for them.
    pub wait: Duration,
}

/// What is decided when no PDP is configured (contract §10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyPosture {
    /// Allow, reason `policy_bypass`.
    DevAllow,
    /// Deny, reason `policy_unconfigured`.
    DenyUnconfigured,
}

/// How tokens for other services are asked for (contract §20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundAuth {
    pub client_id: String,
    pub client_secret: Secret,
    pub token_endpoint: HttpUrl,
    pub timeout: Duration,
    pub scope: Option<String>,
    pub audience_field: AudienceField,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub body_bytes: usize,
    /// JSON values in a request body.
    pub body_values: u64,
    /// How long a request body may take to arrive.
    pub body_timeout: Duration,
    /// Requests in work at the same time.
    pub requests: usize,
    /// Event streams open at the same time.
    pub streams: usize,
    /// Of answers of other services.
    pub answer_bytes: usize,
}

/// How long anything may take at most; constraints and node types may say less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    pub node: Duration,
    pub run: Duration,
    /// How long a composite's executor may be silent. `None`: until the deadline.
    pub composite_silence: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Calls to one executor at the same time.
    pub max_in_flight: usize,
    /// How often a node is handed over again when that came to nothing.
    pub max_retries: u32,
    pub connect_timeout: Duration,
    /// For the PDP, the Node Registry, begin and cancel. Atomic nodes take as
    /// long as their deadline allows.
    pub call_timeout: Duration,
}

impl Settings {
    /// Reads everything. What the contract names as start-up failures comes
    /// first and in its order (§18); the rest follows.
    pub fn from_vars(vars: &dyn Vars, flags: &Flags) -> Result<Self, ConfigError> {
        check_store_urls(vars)?;
        let inbound = AuthSettings::from_vars(vars);
        let outbound = outbound(vars, inbound.as_ref().ok())?;
        let inbound = inbound.map_err(|message| ConfigError::inbound(&message))?;

        let endpoint = |url: &Variable, audience: &Variable| endpoint(vars, url, audience);
        let mut settings = Self {
            listen: Listen {
                host: flags.host.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned()),
                port: flags.port.unwrap_or(DEFAULT_PORT),
            },
            reload: flags.reload,
            stores: stores(vars)?,
            without_stores: v::WITHOUT_STORES.read_required(vars, WithoutStores::parse)?,
            offload_outputs_bytes: v::OFFLOAD_OUTPUTS_BYTES.read(vars, offload_bytes)?,
            atomic_executor: endpoint(&v::ATOMIC_EXECUTOR_URL, &v::ATOMIC_EXECUTOR_AUDIENCE)?,
            composite_executor: endpoint(&v::COMPOSITE_EXECUTOR_URL, &v::COMPOSITE_EXECUTOR_AUDIENCE)?,
            node_registry: endpoint(&v::NODE_REGISTRY_URL, &v::NODE_REGISTRY_AUDIENCE)?,
            registry_outage: v::REGISTRY_OUTAGE.read_required(vars, RegistryOutage::parse)?,
            pdp: endpoint(&v::PDP_URL, &v::PDP_AUDIENCE)?,
            pdp_outage: v::PDP_OUTAGE.read_required(vars, PdpOutage::parse)?,
            selection: endpoint(&v::SELECTION_URL, &v::SELECTION_AUDIENCE)?,
            public_url: v::PUBLIC_URL.read(vars, HttpUrl::base)?,
            auto_dispatch: v::AUTO_DISPATCH.read_required(vars, switch)?,
            policy: policy(vars),
            dotted_keys: v::STRICT_EXTENSION_KEYS.read_required(vars, switch)?,
            log: LogSettings {
                level: v::LOG_LEVEL.read_required(vars, value::log_level)?,
                format: v::LOG_FORMAT.read_required(vars, LogFormat::parse)?,
            },
            journal: JournalSettings {
                path: JournalSettings::path(vars, flags)?,
                max_bytes: v::JOURNAL_MAX_BYTES.read(vars, value::bytes)?,
                retention: v::RETENTION.read(vars, value::age)?,
            },
            limits: Limits {
                body_bytes: v::MAX_BODY_BYTES
                    .read_required(vars, |text| usize::try_from(value::bytes(text)?).ok())?,
                body_values: v::MAX_BODY_VALUES.read_required(vars, value::count)? as u64,
                body_timeout: v::BODY_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                requests: v::MAX_REQUESTS.read_required(vars, value::count)?,
                streams: v::MAX_STREAMS.read_required(vars, value::count)?,
                answer_bytes: v::MAX_ANSWER_BYTES
                    .read_required(vars, |text| usize::try_from(value::bytes(text)?).ok())?,
            },
            deadlines: Deadlines {
                node: v::NODE_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                run: v::RUN_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                composite_silence: Some(
                    v::COMPOSITE_SILENCE_SECS.read_required(vars, value::seconds_or_none)?,
                )
                .filter(|silence| !silence.is_zero()),
            },
            calls: CallLimits {
                max_in_flight: v::MAX_IN_FLIGHT.read_required(vars, value::count)?,
                max_retries: v::MAX_RETRIES.read_required(vars, value::number)?,
                connect_timeout: v::CONNECT_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                call_timeout: v::CALL_TIMEOUT_SECS.read_required(vars, value::seconds)?,
            },
            shutdown_timeout: v::SHUTDOWN_TIMEOUT_SECS.read_required(vars, value::seconds)?,
            outbound,
            inbound,
            warnings: Vec::new(),
        };
        settings.warnings = settings.doubts(vars);
        Ok(settings)
    }

    /// What works but is probably not meant.
    fn doubts(&self, vars: &dyn Vars) -> Vec<String> {
        let mut doubts = self.inbound.warnings.clone();
        let mut doubt = |holds: bool, text: &str| {
            if holds {
                doubts.push(text.to_owned());
            }
        };
        let dev_allow = self.policy == PolicyPosture::DevAllow;
        doubt(
            self.stores.is_none(),
            "no JARVIS store is configured: the journal is the only record of runs and events",
        );
        doubt(
            self.stores.is_none() && self.offload_outputs_bytes.is_some(),
            "JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES has no effect: no Artifact Store is configured",
        );
        doubt(
            self.pdp.is_none() && !dev_allow,
            "no PDP is configured: every run is denied (set JARVIS_PDP_URL, or \
             JARVIS_POLICY_PROFILE=dev-allow for development)",
        );
        doubt(
            self.pdp.is_none() && dev_allow,
            "no PDP is configured and everything is allowed: for development only",
        );
        doubt(self.pdp.is_some() && dev_allow, "the PDP decides: dev-allow has no effect");
        doubt(
            !dev_allow && v::POLICY_PROFILE.given(vars).is_some(),
            "JARVIS_POLICY_PROFILE has no effect: only dev-allow is known",
        );
        doubt(
            !dev_allow && v::POLICY_MODE.given(vars).is_some(),
            "ARP_POLICY_MODE has no effect: only allow_all is known",
        );
        doubt(
            self.node_registry.is_some() && self.registry_outage == RegistryOutage::Open,
            "while the Node Registry does not answer, the constraints of node types are ignored",
        );
        doubt(
            self.pdp.is_none() && self.pdp_outage == PdpOutage::Hold,
            "JARVIS_RUN_COORDINATOR_PDP_OUTAGE has no effect: no PDP is configured",
        );
        doubt(!self.auto_dispatch, "nodes are not dispatched: auto-dispatch is off");
        doubt(
            self.auto_dispatch && self.atomic_executor.is_none(),
            "no Atomic Executor is configured: atomic nodes fail",
        );
        doubt(
            self.auto_dispatch && self.composite_executor.is_none(),
            "no Composite Executor is configured: composite nodes fail",
        );
        doubt(
            self.auto_dispatch && self.composite_executor.is_some() && self.public_url.is_none(),
            "composite nodes fail: JARVIS_RUN_COORDINATOR_PUBLIC_URL is not set",
        );
        doubt(
            self.inbound.mode == Mode::Disabled && !is_loopback(&self.listen.host),
            "inbound authentication is disabled on an address that others can reach",
        );
        doubt(
            self.deadlines.node > self.deadlines.run,
            "JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS has no effect: a node's time is up with its run's, and \
             JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS is shorter",
        );
        // A name with a mistake in it would leave the default in effect.
        let unknown = |name: &String| name.starts_with(v::PREFIX) && !v::is_known(name);
        doubts.extend(
            vars.names()
                .iter()
                .filter(|name| unknown(name))
                .map(|name| format!("{name} is no variable of this program")),
        );
        doubts
    }
}

/// Start-up failure 1: some of the stores, but not all. None at all is fine:
/// the coordinator then runs embedded.
fn check_store_urls(vars: &dyn Vars) -> Result<(), ConfigError> {
    let urls = [v::RUN_STORE_URL, v::EVENT_STREAM_URL, v::ARTIFACT_STORE_URL];
    let missing: Vec<_> = urls.iter().filter(|url| url.given(vars).is_none()).collect();
    match missing.first() {
        Some(first) if missing.len() < urls.len() => Err(ConfigError::StoreUrlMissing(first.name)),
        Some(_) | None => Ok(()),
    }
}

/// The stores, after [`check_store_urls`].
fn stores(vars: &dyn Vars) -> Result<Option<Stores>, ConfigError> {
    let run_store = endpoint(vars, &v::RUN_STORE_URL, &v::RUN_STORE_AUDIENCE)?;
    let event_stream = endpoint(vars, &v::EVENT_STREAM_URL, &v::EVENT_STREAM_AUDIENCE)?;
    let artifact_store = endpoint(vars, &v::ARTIFACT_STORE_URL, &v::ARTIFACT_STORE_AUDIENCE)?;
    let wait = v::STORE_WAIT_SECS.read_required(vars, value::seconds_or_none)?;
    Ok(run_store.zip(event_stream).zip(artifact_store).map(|((run_store, event_stream), artifact_store)| {
        Stores { run_store, event_stream, artifact_store, wait }
    }))
}

/// A reference must be small beside what it stands for.
fn offload_bytes(text: &str) -> Option<usize> {
    usize::try_from(value::bytes(text)?).ok().map(|bytes| bytes.max(1024))
}

fn endpoint(vars: &dyn Vars, url: &Variable, audience: &Variable) -> Result<Option<Endpoint>, ConfigError> {
    let Some(url) = url.read(vars, HttpUrl::base)? else { return Ok(None) };
    let audience = audience.read_required(vars, |text| Some(text.to_owned()))?;
    Ok(Some(Endpoint { url, audience }))
}

/// Start-up failures 2 and 3: credentials for the services that we call.
///
/// They may be left out when nothing is called, or when callers need no token
/// either (FIX G43). Half of them is always a mistake. `inbound` is `None` if
/// its settings are broken: that is failure 4, and reported after these.
fn outbound(vars: &dyn Vars, inbound: Option<&AuthSettings>) -> Result<Option<OutboundAuth>, ConfigError> {
    let (client_id, client_secret) = match (v::AUTH_CLIENT_ID.text(vars), v::AUTH_CLIENT_SECRET.text(vars)) {
        (Some(id), Some(secret)) => (id, Secret::new(secret)),
        (None, None) if !credentials_needed(vars, inbound) => return Ok(None),
        _ => return Err(ConfigError::CredentialsMissing),
    };
    // The same order as in the reference: it reads the timeout first.
    let timeout = v::AUTH_TIMEOUT_SECS.text(vars).unwrap_or_default();
    if timeout.parse::<f64>().is_err() {
        return Err(ConfigError::TimeoutNotANumber);
    }
    let token_endpoint = match (v::AUTH_TOKEN_ENDPOINT.given(vars), v::AUTH_ISSUER.given(vars)) {
        (Some(endpoint), _) => {
            HttpUrl::exact(&endpoint.text).ok_or_else(|| v::AUTH_TOKEN_ENDPOINT.invalid(&endpoint))?
        }
        (None, Some(issuer)) => {
            let base = issuer.text.trim_end_matches('/');
            HttpUrl::exact(&format!("{base}/protocol/openid-connect/token"))
                .ok_or_else(|| v::AUTH_ISSUER.invalid(&issuer))?
        }
        (None, None) => return Err(ConfigError::TokenEndpointMissing),
    };
    Ok(Some(OutboundAuth {
        client_id,
        client_secret,
        token_endpoint,
        timeout: v::AUTH_TIMEOUT_SECS.read_required(vars, value::seconds)?,
        scope: v::AUTH_SCOPE.text(vars),
        audience_field: v::TOKEN_AUDIENCE_FIELD.read_required(vars, AudienceField::parse)?,
    }))
}

fn credentials_needed(vars: &dyn Vars, inbound: Option<&AuthSettings>) -> bool {
    let services = [
        v::RUN_STORE_URL,
        v::EVENT_STREAM_URL,
        v::ARTIFACT_STORE_URL,
        v::ATOMIC_EXECUTOR_URL,
        v::COMPOSITE_EXECUTOR_URL,
        v::NODE_REGISTRY_URL,
        v::PDP_URL,
        v::SELECTION_URL,
    ];
    let disabled = inbound.is_some_and(|inbound| inbound.mode == Mode::Disabled);
    !disabled && services.iter().any(|url| url.given(vars).is_some())
}

fn policy(vars: &dyn Vars) -> PolicyPosture {
    let says = |variable: &Variable, word: &str| {
        variable.text(vars).is_some_and(|text| text.eq_ignore_ascii_case(word))
    };
    if says(&v::POLICY_PROFILE, "dev-allow") || says(&v::POLICY_MODE, "allow_all") {
        PolicyPosture::DevAllow
    } else {
        PolicyPosture::DenyUnconfigured
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
