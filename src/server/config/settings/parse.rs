//! Variables and flags to settings. Pure: the same input gives the same settings
//! or the same error.

use slog::Level;

use super::{
    ApprovalSettings, CallLimits, DEFAULT_HOST, DEFAULT_OPERATOR_PORT, DEFAULT_PORT, Deadlines, Endpoint,
    Executors, Gates, InboundTls, JournalSettings, Listen, LogSettings, Operator, OutboundTls, PolicyPosture,
    RunBounds, Settings, Stores, TraceSettings, Webhooks,
    every_error::every_error,
    in_effect::in_effect,
    outbound::{exchange_key, outbound, secret_source},
};
use crate::config::{
    AuthSettings,
    error::ConfigError,
    errors::ConfigErrors,
    flags::Flags,
    kind::Kind,
    value::{
        self, ExecutorUrls, HttpUrl, JournalPlace, LogFormat, OnApproval, PdpOutage, RegistryOutage,
        SchemaMode, SecretSource, WebhookTargets, WithoutStores, switch,
    },
    variable::Variable,
    variables as v,
    vars::Vars,
};

impl Settings {
    /// The settings, and what they look like to people; or everything that is wrong.
    pub fn from_vars(vars: &dyn Vars, flags: &Flags) -> Result<Self, ConfigErrors> {
        let mut settings = Self::read(vars, flags).map_err(|first| every_error(vars, flags, first))?;
        settings.in_effect = in_effect(vars, flags, Some(&settings));
        Ok(settings)
    }

    /// Reads everything, up to the first error. The start-up failures that the
    /// contract names come first, in its order (contract §18).
    pub(super) fn read(vars: &dyn Vars, flags: &Flags) -> Result<Self, ConfigError> {
        check_store_urls(vars)?;
        let inbound = AuthSettings::from_vars(vars);
        let outbound = outbound(vars, inbound.as_ref().ok())?;
        let inbound = inbound?;
        let exchange_key = exchange_key(vars, outbound.is_some())?;

        let endpoint = |url: &Variable, audience: &Variable| endpoint(vars, url, audience);
        let (traces, ignored) = TraceSettings::from_vars(vars);
        let mut settings = Self {
            listen: Listen {
                host: flags.host.clone().unwrap_or_else(|| DEFAULT_HOST.to_owned()),
                port: flags.port.unwrap_or(DEFAULT_PORT),
            },
            operator: operator(vars)?,
            webhooks: webhooks(vars)?,
            tls: InboundTls::from_vars(vars)?,
            outbound_tls: OutboundTls::from_vars(vars)?,
            tls_reload: v::TLS_RELOAD_SECS.read_required(vars, value::seconds)?,
            reload: flags.reload,
            stores: stores(vars)?,
            without_stores: v::WITHOUT_STORES.read_required(vars, WithoutStores::parse)?,
            offload_outputs_bytes: v::OFFLOAD_OUTPUTS_BYTES.read(vars, offload_bytes)?,
            atomic_executor: executors(vars, &v::ATOMIC_EXECUTOR_URL, &v::ATOMIC_EXECUTOR_AUDIENCE)?,
            composite_executor: executors(vars, &v::COMPOSITE_EXECUTOR_URL, &v::COMPOSITE_EXECUTOR_AUDIENCE)?,
            node_registry: endpoint(&v::NODE_REGISTRY_URL, &v::NODE_REGISTRY_AUDIENCE)?,
            registry_outage: v::REGISTRY_OUTAGE.read_required(vars, RegistryOutage::parse)?,
            pdp: endpoint(&v::PDP_URL, &v::PDP_AUDIENCE)?,
            pdp_outage: v::PDP_OUTAGE.read_required(vars, PdpOutage::parse)?,
            approvals: ApprovalSettings {
                then: v::APPROVALS.read_required(vars, OnApproval::parse)?,
                timeout: v::APPROVAL_TIMEOUT.read_required(vars, value::age)?,
            },
            gates: Gates {
                irreversible_checkpoint: v::IRREVERSIBLE_CHECKPOINT.read_required(vars, switch)?,
                unknown_side_effect: v::UNKNOWN_SIDE_EFFECT.read_required(vars, value::lower_case)?,
                candidate_sets_required: v::CANDIDATE_SETS.read_required(vars, value::candidate_sets)?,
            },
            schemas: v::SCHEMAS.read_required(vars, SchemaMode::parse)?,
            selection: endpoint(&v::SELECTION_URL, &v::SELECTION_AUDIENCE)?,
            public_url: v::PUBLIC_URL.read(vars, HttpUrl::base)?,
            auto_dispatch: v::AUTO_DISPATCH.read_required(vars, switch)?,
            policy: policy(vars),
            dotted_keys: v::STRICT_EXTENSION_KEYS.read_required(vars, switch)?,
            redact: v::REDACT
                .text(vars)
                .map(|list| value::items(&list).map(str::to_owned).collect())
                .unwrap_or_default(),
            log: LogSettings {
                level: log_level(vars, flags)?,
                format: v::LOG_FORMAT.read_required(vars, LogFormat::parse)?,
                runs: v::LOG_RUNS.read_required(vars, switch)?,
            },
            journal: JournalSettings {
                place: JournalSettings::place(vars, flags)?,
                password: JournalSettings::password(vars)?,
                writers: v::JOURNAL_WRITERS.read_required(vars, connections)?,
                readers: v::JOURNAL_READERS.read_required(vars, connections)?,
                news: v::JOURNAL_NEWS.read_required(vars, switch)?,
                max_bytes: v::JOURNAL_MAX_BYTES.read(vars, value::bytes)?,
                retention: v::RETENTION.read(vars, value::age)?,
                audit_retention: v::AUDIT_RETENTION.read_required(vars, value::age)?,
            },
            limits: Self::limits(vars)?,
            deadlines: Deadlines {
                node: v::NODE_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                run: v::RUN_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                composite_silence: Some(
                    v::COMPOSITE_SILENCE_SECS.read_required(vars, value::seconds_or_none)?,
                )
                .filter(|silence| !silence.is_zero()),
            },
            bounds: RunBounds {
                defaults: v::DEFAULT_CONSTRAINTS.read_explained(vars, value::constraints)?,
                maxima: v::MAX_CONSTRAINTS.read_explained(vars, value::constraints)?,
            },
            default_usage: v::DEFAULT_USAGE.read_explained(vars, value::usage)?.unwrap_or_default(),
            calls: CallLimits {
                max_in_flight: v::MAX_IN_FLIGHT.read_required(vars, value::count)?,
                max_retries: v::MAX_RETRIES.read_required(vars, value::number)?,
                connect_timeout: v::CONNECT_TIMEOUT_SECS.read_required(vars, value::seconds)?,
                call_timeout: v::CALL_TIMEOUT_SECS.read_required(vars, value::seconds)?,
            },
            waiting_degraded_after: Some(
                v::WAITING_DEGRADED_SECS.read_required(vars, value::seconds_or_none)?,
            )
            .filter(|after| !after.is_zero()),
            shutdown_timeout: v::SHUTDOWN_TIMEOUT_SECS.read_required(vars, value::seconds)?,
            outbound,
            inbound,
            exchange_key,
            traces,
            warnings: Vec::new(),
            in_effect: Vec::new(),
        };
        settings.warnings = settings.warnings(vars);
        settings.warnings.extend(ignored);
        Ok(settings)
    }
}

impl JournalSettings {
    /// Where the journal is, for commands that need no other setting.
    pub fn place(vars: &dyn Vars, flags: &Flags) -> Result<JournalPlace, ConfigError> {
        match &flags.journal {
            Some(given) => flag_place(given),
            None => {
                let place = v::JOURNAL.read_explained(vars, JournalPlace::parse)?;
                // It has a default.
                place.ok_or(ConfigError::StoreUrlMissing(v::JOURNAL.name))
            }
        }
    }

    /// The password of the database, if it is set apart from the URL.
    pub fn password(vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
        secret_source(vars, &v::JOURNAL_PASSWORD, &v::JOURNAL_PASSWORD_FILE)
    }
}

/// The place that the flag says. A list of processes shows it to every user.
fn flag_place(given: &str) -> Result<JournalPlace, ConfigError> {
    let wrong = |why: String| ConfigError::Explained {
        name: "--journal",
        expected: Kind::Journal.expected().into_owned(),
        why,
    };
    match JournalPlace::parse(given).map_err(wrong)? {
        JournalPlace::Database(url) if url.has_password() => Err(wrong(format!(
            "a list of processes would show the password: set {} or {} instead",
            v::JOURNAL_PASSWORD.name,
            v::JOURNAL_PASSWORD_FILE.name
        ))),
        place @ (JournalPlace::File(_) | JournalPlace::Database(_)) => Ok(place),
    }
}

/// A number of connections, whose bounds are the variable's.
fn connections(text: &str) -> Option<u8> {
    value::count(text).and_then(|count| u8::try_from(count).ok())
}

/// The least level that is logged: `-v` and `--log-level` precede the variable, which
/// must be right all the same.
fn log_level(vars: &dyn Vars, flags: &Flags) -> Result<Level, ConfigError> {
    let level = v::LOG_LEVEL.read_required(vars, value::log_level)?;
    Ok(flags.level().unwrap_or(level))
}

/// The bearer token of commands that call a server.
pub fn client_token(vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
    secret_source(vars, &v::TOKEN, &v::TOKEN_FILE)
}

/// Whether the server of these variables speaks HTTPS, for commands that call it.
pub fn serves_https(vars: &dyn Vars) -> bool {
    v::TLS_CERT.given(vars).is_some()
}

/// The URL of the operator API of these variables, for commands that call it.
pub fn operator_url(vars: &dyn Vars) -> Result<String, ConfigError> {
    if let Some(url) = v::OPERATOR_URL.read(vars, HttpUrl::base)? {
        return Ok(url.as_str().to_owned());
    }
    let listen = v::OPERATOR_LISTEN.read(vars, value::host_port)?;
    let (host, port) = listen.unwrap_or_else(|| (DEFAULT_HOST.to_owned(), DEFAULT_OPERATOR_PORT));
    Ok(value::loopback_url(serves_https(vars), &host, port))
}

fn operator(vars: &dyn Vars) -> Result<Option<Operator>, ConfigError> {
    let Some((host, port)) = v::OPERATOR_LISTEN.read(vars, value::host_port)? else { return Ok(None) };
    let hosts = v::OPERATOR_HOSTS.text(vars).unwrap_or_default();
    let hosts = value::items(&hosts).map(str::to_owned).collect();
    Ok(Some(Operator { listen: Listen { host, port }, hosts }))
}

fn webhooks(vars: &dyn Vars) -> Result<Option<Webhooks>, ConfigError> {
    let secrets_key = secret_source(vars, &v::SECRETS_KEY, &v::SECRETS_KEY_FILE)?;
    let targets = v::WEBHOOK_TARGETS.read_explained(vars, WebhookTargets::parse)?;
    let targets = targets.filter(|targets| *targets != WebhookTargets::default());
    Ok(targets.map(|targets| Webhooks { targets, secrets_key }))
}

/// Start-up failure 1: some of the stores, but not all. Without any, the
/// coordinator runs embedded.
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
    let lag = v::STORE_LAG_SECS.read_required(vars, value::seconds_or_none)?;
    let wait = v::STORE_WAIT_SECS.read_required(vars, value::seconds_or_none)?;
    Ok(run_store.zip(event_stream).zip(artifact_store).map(|((run_store, event_stream), artifact_store)| {
        Stores { run_store, event_stream, artifact_store, lag, wait }
    }))
}

/// At least 1 KiB: a reference must be smaller than what it replaces.
fn offload_bytes(text: &str) -> Option<usize> {
    usize::try_from(value::bytes(text)?).ok().map(|bytes| bytes.max(1024))
}

fn endpoint(vars: &dyn Vars, url: &Variable, audience: &Variable) -> Result<Option<Endpoint>, ConfigError> {
    let Some(url) = url.read(vars, HttpUrl::base)? else { return Ok(None) };
    let audience = audience.read_required(vars, |text| Some(text.to_owned()))?;
    Ok(Some(Endpoint { url, audience }))
}

fn executors(
    vars: &dyn Vars,
    urls: &Variable,
    audience: &Variable,
) -> Result<Option<Executors>, ConfigError> {
    let Some(urls) = urls.read_explained(vars, ExecutorUrls::parse)? else { return Ok(None) };
    let audience = audience.read_required(vars, |text| Some(text.to_owned()))?;
    Ok(Some(Executors { urls, audience }))
}

fn policy(vars: &dyn Vars) -> PolicyPosture {
    let is = |variable: &Variable, value: &str| {
        variable.text(vars).is_some_and(|text| text.eq_ignore_ascii_case(value))
    };
    if is(&v::POLICY_PROFILE, "dev-allow") || is(&v::POLICY_MODE, "allow_all") {
        PolicyPosture::DevAllow
    } else {
        PolicyPosture::DenyUnconfigured
    }
}
