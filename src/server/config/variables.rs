//! Every variable there is: the one table behind parsing, `--help`,
//! `check-config`, `.env.example` and `docs/configuration.md`.
//!
//! To add one: an entry here, its reading in [`super::settings`], and
//! `EXPECTORATE=overwrite cargo test --lib config::` for the documents.

use super::variable::{Group, Kind, Variable};

/// Declares each variable as a constant and puts it into [`GROUPS`], so that
/// no variable can be used without being documented.
macro_rules! variables {
    ($($title:literal { $($constant:ident = $variable:expr;)* })*) => {
        $($(pub const $constant: Variable = $variable;)*)*

        /// All variables, in the order of the documentation.
        pub const GROUPS: &[Group] = &[
            $(Group { title: $title, variables: &[$($constant),*] }),*
        ];
    };
}

/// All variables, without their groups.
pub fn all() -> impl Iterator<Item = &'static Variable> {
    GROUPS.iter().flat_map(|group| group.variables)
}

/// Whether there is a variable of this name, or one that it is an alias of.
pub fn is_known(name: &str) -> bool {
    all().any(|variable| variable.name == name || variable.aliases.contains(&name))
}

/// What the names of the program's own variables begin with.
pub const PREFIX: &str = "JARVIS_RUN_COORDINATOR_";

const OWN: &str = "own";

const LEVELS: &[&str] = &["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

const fn base_url(name: &'static str, about: &'static str) -> Variable {
    Variable::new(name, Kind::BaseUrl, about)
}

const fn audience(name: &'static str, about: &'static str, default: &'static str) -> Variable {
    Variable::new(name, Kind::Text, about).default(default).contract("§1, §18")
}

const fn inbound(name: &'static str, kind: Kind, about: &'static str) -> Variable {
    Variable::new(name, kind, about).contract("§19")
}

const fn own(name: &'static str, kind: Kind, about: &'static str) -> Variable {
    Variable::new(name, kind, about).contract(OWN)
}

variables! {
    "Journal" {
        JOURNAL = own("JARVIS_RUN_COORDINATOR_JOURNAL", Kind::Path,
            "SQLite database with everything the coordinator has decided. It is made if it is missing, its folder \
             is not. --journal wins.")
            .default("./jarvis-run-coordinator.db");
        JOURNAL_MAX_BYTES = own("JARVIS_RUN_COORDINATOR_JOURNAL_MAX_BYTES", Kind::Bytes,
            "Largest size of the journal. The last sixteenth (at least 4m, at most a quarter) is kept for what ends \
             work: before it, new runs and children are refused with 503 until there is room.")
            .between(128 << 10, 8192 << 30).because("an empty journal")
            .unset("no limit").example("10g");
        RETENTION = own("JARVIS_RUN_COORDINATOR_RETENTION", Kind::Age,
            "How long finished runs are kept, as 30d or 12h. After that they are deleted, once the JARVIS stores \
             (if there are any) have all of them.")
            .unset("for ever").example("30d");
    }
    "JARVIS stores: all three URLs, or none to run embedded on the journal alone" {
        RUN_STORE_URL = base_url("JARVIS_RUN_STORE_URL", "Run Store, which others read runs from.")
            .unset("embedded").example("http://127.0.0.1:8091");
        EVENT_STREAM_URL = base_url("JARVIS_EVENT_STREAM_URL", "Event Stream, which others read events from.")
            .unset("embedded").example("http://127.0.0.1:8093");
        ARTIFACT_STORE_URL = base_url("JARVIS_ARTIFACT_STORE_URL",
            "Artifact Store. Required with the other two.")
            .unset("embedded").example("http://127.0.0.1:8092");
        STORE_WAIT_SECS = own("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", Kind::SecondsOrNone,
            "How long an answer waits until Run Store and Event Stream have accepted what it says; 0 is \
             fine. After that they get it when they can.").default("2");
        WITHOUT_STORES = own("JARVIS_RUN_COORDINATOR_WITHOUT_STORES",
            Kind::Choice(&["refuse", "owe", "forget"]),
            "What a journal that was used with these stores does in a server without their URLs: it is not used \
             (refuse), what they are owed is noted and sent once they are set again (owe), or that is given up \
             for good (forget).").default("refuse");
        RUN_STORE_AUDIENCE = audience("JARVIS_RUN_STORE_AUDIENCE",
            "Audience of tokens for the Run Store.", "arp-jarvis-runstore");
        EVENT_STREAM_AUDIENCE = audience("JARVIS_EVENT_STREAM_AUDIENCE",
            "Audience of tokens for the Event Stream.", "arp-jarvis-eventstream");
        ARTIFACT_STORE_AUDIENCE = audience("JARVIS_ARTIFACT_STORE_AUDIENCE",
            "Audience of tokens for the Artifact Store.", "arp-jarvis-artifactstore");
        OFFLOAD_OUTPUTS_BYTES = own("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", Kind::Bytes,
            "Outputs of a node that are larger as JSON go to the Artifact Store, and a reference stands for each \
             of their largest members. Less than 1k counts as 1k.")
            .between(1, 1 << 30).unset("off").example("256k");
    }
    "Other services" {
        ATOMIC_EXECUTOR_URL = base_url("JARVIS_ATOMIC_EXECUTOR_URL",
            "Atomic Executor. Without it atomic nodes fail.")
            .aliases(&["ARP_ATOMIC_EXECUTOR_URL"]).unset("off").example("http://127.0.0.1:8082");
        COMPOSITE_EXECUTOR_URL = base_url("JARVIS_COMPOSITE_EXECUTOR_URL",
            "Composite Executor. Without it composite nodes fail.")
            .aliases(&["ARP_COMPOSITE_EXECUTOR_URL"]).unset("off").example("http://127.0.0.1:8083");
        NODE_REGISTRY_URL = base_url("JARVIS_NODE_REGISTRY_URL",
            "Node Registry. Without it the kind of a node comes from the prefix of its type, atomic. or \
             composite.")
            .aliases(&["ARP_NODE_REGISTRY_URL"]).unset("off").example("http://127.0.0.1:8084");
        PDP_URL = base_url("JARVIS_PDP_URL",
            "Policy Decision Point. Without it JARVIS_POLICY_PROFILE decides.")
            .aliases(&["ARP_PDP_URL"]).unset("off").example("http://127.0.0.1:8086");
        SELECTION_URL = base_url("JARVIS_SELECTION_URL", "Selection. Accepted, but never called.")
            .aliases(&["ARP_SELECTION_URL"]).unset("off").example("http://127.0.0.1:8085");
        ATOMIC_EXECUTOR_AUDIENCE = audience("JARVIS_ATOMIC_EXECUTOR_AUDIENCE",
            "Audience of tokens for the Atomic Executor.", "arp-jarvis-atomicexecutor");
        COMPOSITE_EXECUTOR_AUDIENCE = audience("JARVIS_COMPOSITE_EXECUTOR_AUDIENCE",
            "Audience of tokens for the Composite Executor.", "arp-jarvis-compositeexecutor");
        NODE_REGISTRY_AUDIENCE = audience("JARVIS_NODE_REGISTRY_AUDIENCE",
            "Audience of tokens for the Node Registry.", "arp-jarvis-noderegistry");
        PDP_AUDIENCE = audience("JARVIS_PDP_AUDIENCE",
            "Audience of tokens for the Policy Decision Point.", "arp-jarvis-pdp");
        SELECTION_AUDIENCE = audience("JARVIS_SELECTION_AUDIENCE",
            "Audience of tokens for Selection.", "arp-jarvis-selection");
    }
    "Dispatch and policy" {
        PUBLIC_URL = base_url("JARVIS_RUN_COORDINATOR_PUBLIC_URL",
            "Where composite executors reach this coordinator. Without it composite nodes fail.")
            .aliases(&["JARVIS_RUN_COORDINATOR_URL"]).example("http://127.0.0.1:8081");
        AUTO_DISPATCH = Variable::new("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", Kind::Switch,
            "Whether nodes are dispatched. false, no, off or 0: they stay queued; true, yes, on or 1: they are.")
            .default("true");
        REGISTRY_OUTAGE = own("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", Kind::Choice(&["closed", "open"]),
            "While the Node Registry does not answer, types that are not remembered are refused with 503 and \
             dispatch waits (closed), or the kind comes from the prefix of the type and its own constraints \
             are ignored (open), as in the Python coordinator.").default("closed");
        PDP_OUTAGE = own("JARVIS_RUN_COORDINATOR_PDP_OUTAGE", Kind::Choice(&["deny", "hold"]),
            "While the PDP cannot be asked, nodes are denied (deny), as in the Python coordinator, or they wait \
             until it decides or their time is up, and starting a run is refused with 503 (hold).")
            .default("deny");
        POLICY_PROFILE = Variable::new("JARVIS_POLICY_PROFILE", Kind::Text,
            "dev-allow: allow everything when there is no PDP. For development only.")
            .unset("deny").example("dev-allow").contract("§10");
        POLICY_MODE = Variable::new("ARP_POLICY_MODE", Kind::Text,
            "allow_all: the older way to say dev-allow.")
            .unset("deny").example("allow_all").contract("§10");
    }
    "Wire format" {
        STRICT_EXTENSION_KEYS = own("JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS", Kind::Switch,
            "Write the coordinator's extension keys as jarvis.<key>, as the schema demands, not as documented.")
            .default("false");
    }
    "Limits" {
        MAX_BODY_BYTES = own("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", Kind::Bytes,
            "Largest request body; a larger one gets 413.").between(1, 1 << 30).default("8m");
        MAX_BODY_VALUES = own("JARVIS_RUN_COORDINATOR_MAX_BODY_VALUES", Kind::Count,
            "JSON values in a request body (each object, list, string, number, … counts); more get 400. A small \
             text may be made of very many, and each costs memory and time.")
            .between(10, 100_000_000).default("200000");
        MAX_ANSWER_BYTES = own("JARVIS_RUN_COORDINATOR_MAX_ANSWER_BYTES", Kind::Bytes,
            "Largest answer of an executor or another service; a larger one is not read to its end. The node of \
             an Atomic Executor fails with atomic_executor_invalid_result then.")
            .between(1 << 10, 1 << 30).default("32m");
        BODY_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", Kind::Seconds,
            "How long a request body may take to arrive; a slower one gets 408. A connection without a request is \
             closed after this time.").default("30");
        MAX_REQUESTS = own("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", Kind::Count,
            "Requests in work at the same time; one more gets 503 overloaded. Health is always answered, and \
             a quarter more is kept for cancels, completions and evaluations.")
            .between(1, 100_000).default("512");
        MAX_STREAMS = own("JARVIS_RUN_COORDINATOR_MAX_STREAMS", Kind::Count,
            "Event streams open at the same time; one more gets 503 overloaded.")
            .between(1, 1_000_000).default("1000");
        NODE_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", Kind::Seconds,
            "The longest that an atomic node may be at its executor, all attempts together. max_wall_time_ms, of \
             its constraints or its type's, can shorten that and not lengthen it.").default("3600");
        RUN_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", Kind::Seconds,
            "The longest that a run may take, and any node in it. max_wall_time_ms of its constraints can shorten \
             that and not lengthen it.").default("86400");
        COMPOSITE_SILENCE_SECS = own("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", Kind::Seconds,
            "How long nothing may be heard from the executor of a composite while nothing below it is at work. \
             After that it is begun again, once, if it has no children; else it fails. 0: it is waited for until \
             its deadline.").default("600");
        MAX_IN_FLIGHT = own("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", Kind::Count,
            "Calls to one executor at the same time; three quarters of them at most for one run.")
            .between(1, 100_000).default("256");
        MAX_RETRIES = own("JARVIS_RUN_COORDINATOR_MAX_RETRIES", Kind::Number,
            "How often a node is handed to its executor again, with growing waits, when that came to nothing and \
             trying again does no harm. 0: never.").between(0, 1_000_000).default("5");
        CONNECT_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_CONNECT_TIMEOUT_SECS", Kind::Seconds,
            "How long connecting to another service may take.").default("5");
        CALL_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", Kind::Seconds,
            "How long a call of the PDP, the Node Registry or a store, a begin or a cancel may take.").default("10");
        SHUTDOWN_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", Kind::Seconds,
            "How long a shutdown waits for work in progress.").default("10");
    }
    "Logging" {
        LOG_LEVEL = Variable::new("LOG_LEVEL", Kind::Choice(LEVELS),
            "What is logged, in any case. FATAL, WARN, TRACE and NOTSET are known too.").default("INFO");
        LOG_FORMAT = own("JARVIS_RUN_COORDINATOR_LOG_FORMAT", Kind::Choice(&["text", "json"]),
            "How log lines on stdout are written.").default("text");
    }
    "Outbound authentication: tokens for the services above" {
        AUTH_CLIENT_ID = Variable::new("ARP_AUTH_CLIENT_ID", Kind::Text,
            "Client id. Required when a service is configured, unless the inbound mode is disabled.")
            .example("arp-run-coordinator").contract("§18, §20");
        AUTH_CLIENT_SECRET = Variable::new("ARP_AUTH_CLIENT_SECRET", Kind::Secret,
            "Client secret. Goes with the client id.")
            .example("arp-run-coordinator-secret").contract("§18, §20");
        AUTH_TOKEN_ENDPOINT = Variable::new("ARP_AUTH_TOKEN_ENDPOINT", Kind::Url,
            "Where tokens come from.")
            .unset("ARP_AUTH_ISSUER + /protocol/openid-connect/token")
            .example("http://localhost:8080/realms/arp-dev/protocol/openid-connect/token")
            .contract("§18, §20");
        AUTH_TIMEOUT_SECS = Variable::new("ARP_AUTH_TIMEOUT_SECS", Kind::Seconds,
            "How long a token request may take.").default("10").contract("§18, §20");
        AUTH_SCOPE = Variable::new("ARP_AUTH_SCOPE", Kind::Text,
            "Scope to ask for, where the token service ignores the audience field.")
            .example("openid").contract("§20");
        TOKEN_AUDIENCE_FIELD = own("JARVIS_RUN_COORDINATOR_TOKEN_AUDIENCE_FIELD",
            Kind::Choice(&["audience", "resource"]),
            "Field of the token request that names the audience. resource is for token services that know RFC \
             8707 only; most of them want audiences that are URIs.").default("audience");
    }
    "Inbound authentication: who may call" {
        AUTH_PROFILE = inbound("ARP_AUTH_PROFILE", Kind::Text,
            "dev-insecure (mode disabled), dev-secure-keycloak (required, with the issuer of the local \
             Keycloak) or enterprise (required).")
            .example("dev-insecure");
        AUTH_MODE = inbound("ARP_AUTH_MODE", Kind::Choice(&["required", "optional", "disabled"]),
            "Whether callers need a token.")
            .unset("the profile's, else required").example("required");
        AUTH_ISSUER = inbound("ARP_AUTH_ISSUER", Kind::Url,
            "Issuer of the tokens; must equal their iss to the letter.")
            .unset("the profile's").example("http://localhost:8080/realms/arp-dev");
        AUTH_AUDIENCE = inbound("ARP_AUTH_AUDIENCE", Kind::Text, "Audience that tokens must be for.")
            .aliases(&["ARP_AUTH_SERVICE_ID"]).unset("not checked").example("arp-run-coordinator");
        AUTH_REQUIRE_AUDIENCE = inbound("ARP_AUTH_REQUIRE_AUDIENCE", Kind::Switch,
            "Refuse to start without an audience. In the enterprise profile its absence is a warning.")
            .unset("false").example("true");
        AUTH_JWKS_URI = inbound("ARP_AUTH_JWKS_URI", Kind::Url, "Where the keys are.")
            .unset("found by discovery")
            .example("http://localhost:8080/realms/arp-dev/protocol/openid-connect/certs");
        AUTH_DISCOVERY_URL = inbound("ARP_AUTH_OIDC_DISCOVERY_URL", Kind::Url,
            "OpenID document that says where the keys are.")
            .unset("ARP_AUTH_ISSUER + /.well-known/openid-configuration")
            .example("http://localhost:8080/realms/arp-dev/.well-known/openid-configuration");
        AUTH_ALGORITHMS = inbound("ARP_AUTH_ALGORITHMS", Kind::Text,
            "Signature algorithms that are accepted, separated by commas.").default("RS256");
        AUTH_CLOCK_SKEW = inbound("ARP_AUTH_CLOCK_SKEW_SECONDS", Kind::SecondsOrNone,
            "How far the clocks may differ; 0 is fine, more than a day is not.").default("60");
        AUTH_EXEMPT_PATHS = inbound("ARP_AUTH_EXEMPT_PATHS", Kind::Text,
            "Paths that need no token, separated by commas.").default("/v1/health,/v1/version");
        AUTH_DEV_SUBJECT = inbound("ARP_AUTH_DEV_SUBJECT", Kind::Text,
            "Who the caller is when the mode is disabled.").default("dev");
        AUTH_ANONYMOUS_SUBJECT = inbound("ARP_AUTH_ANONYMOUS_SUBJECT", Kind::Text,
            "Who a caller without a token is when the mode is optional.").default("anonymous");
    }
    "Commands that talk to a server: send-request, health" {
        TOKEN = own("JARVIS_RUN_COORDINATOR_TOKEN", Kind::Secret,
            "Bearer token that they send. --token wins. The server itself has no use for it.")
            .example("eyJhbGciOi...");
    }
}
