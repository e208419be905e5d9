//! The table of all variables, behind parsing, `--help`, `check-config`,
//! `.env.example` and the documentation.
//!
//! To add a variable: add an entry here, read it in [`super::settings`], and
//! update the documents with `EXPECTORATE=overwrite cargo test --lib config::`.

use super::{
    kind::Kind,
    variable::{Group, Variable},
};

/// Declares each variable as a constant and adds it to a table of groups, so that
/// every variable that can be used is documented.
macro_rules! variables {
    ($table:ident: $($title:literal { $($constant:ident = $variable:expr;)* })*) => {
        $($(pub const $constant: Variable = $variable;)*)*

        /// The groups of this table, in the order of the documentation.
        pub(super) const $table: &[Group] = &[
            $(Group { title: $title, variables: &[$($constant),*] }),*
        ];
    };
}

mod callers;
mod journal;
mod traces;

pub use callers::*;
pub use journal::*;
pub use traces::*;

/// All groups, in the order of the documentation.
pub fn groups() -> impl Iterator<Item = &'static Group> {
    journal::JOURNAL_GROUP.iter().chain(SERVER).chain(callers::CALLERS).chain(traces::TRACES)
}

/// All variables, without their groups.
pub fn all() -> impl Iterator<Item = &'static Variable> {
    groups().flat_map(|group| group.variables)
}

/// Whether `name` is a variable or an alias of one.
pub fn is_known(name: &str) -> bool {
    all().any(|variable| variable.name == name || variable.aliases.contains(&name))
}

/// The prefix of the program's own variables.
pub const PREFIX: &str = "JARVIS_RUN_COORDINATOR_";

const OWN: &str = "own";

pub(super) const LEVELS: &[&str] = &["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

const fn base_url(name: &'static str, about: &'static str) -> Variable {
    Variable::new(name, Kind::BaseUrl, about)
}

const fn base_urls(name: &'static str, about: &'static str) -> Variable {
    Variable::new(name, Kind::BaseUrls, about)
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
    SERVER:
    "Transport: certificates and keys as PEM files, reloaded when they change" {
        TLS_CERT = own("JARVIS_RUN_COORDINATOR_TLS_CERT", Kind::Path,
            "Certificate of the server, followed by its intermediate certificates. With it, the server speaks \
             HTTPS only (TLS 1.2 or newer). Requires JARVIS_RUN_COORDINATOR_TLS_KEY.")
            .unset("plain HTTP").example("/etc/run-coordinator/tls.crt");
        TLS_KEY = own("JARVIS_RUN_COORDINATOR_TLS_KEY", Kind::Path,
            "Private key of the certificate: PKCS #8, PKCS #1 or SEC 1, not encrypted.")
            .example("/etc/run-coordinator/tls.key");
        TLS_CLIENT_CA = own("JARVIS_RUN_COORDINATOR_TLS_CLIENT_CA", Kind::Path,
            "Certificates that sign those of clients. With it, only clients with such a certificate can connect; \
             they need a token as well.")
            .unset("clients need no certificate").example("/etc/run-coordinator/client-ca.pem");
        CA_BUNDLE = own("JARVIS_RUN_COORDINATOR_CA_BUNDLE", Kind::Path,
            "Root certificates that are trusted besides the system's when this program calls others: services, \
             executors, token and key endpoints; for commands, the server.")
            .unset("the system's").example("/etc/run-coordinator/ca.pem");
        CLIENT_CERT = own("JARVIS_RUN_COORDINATOR_CLIENT_CERT", Kind::Path,
            "Certificate that this program shows when it calls others, with its intermediate certificates. \
             Requires JARVIS_RUN_COORDINATOR_CLIENT_KEY.")
            .example("/etc/run-coordinator/client.crt");
        CLIENT_KEY = own("JARVIS_RUN_COORDINATOR_CLIENT_KEY", Kind::Path,
            "Private key of that certificate.")
            .example("/etc/run-coordinator/client.key");
        TLS_RELOAD_SECS = own("JARVIS_RUN_COORDINATOR_TLS_RELOAD_SECS", Kind::Seconds,
            "Time between two looks at these files. Changed ones are taken over if they are valid.")
            .default("5");
    }
    "JARVIS stores: all three URLs, or none to run embedded on the journal alone" {
        RUN_STORE_URL = base_url("JARVIS_RUN_STORE_URL", "Run Store, from which other services read runs.")
            .unset("embedded").example("http://127.0.0.1:8091");
        EVENT_STREAM_URL = base_url("JARVIS_EVENT_STREAM_URL", "Event Stream, from which other services read events.")
            .unset("embedded").example("http://127.0.0.1:8093");
        ARTIFACT_STORE_URL = base_url("JARVIS_ARTIFACT_STORE_URL",
            "Artifact Store. Required together with the other two.")
            .unset("embedded").example("http://127.0.0.1:8092");
        STORE_LAG_SECS = own("JARVIS_RUN_COORDINATOR_STORE_LAG_SECS", Kind::SecondsOrNone,
            "How far Run Store and Event Stream may lag behind before answers wait for them. With 0 each answer \
             waits, so that what it says can be read from the stores.").default("0");
        STORE_WAIT_SECS = own("JARVIS_RUN_COORDINATOR_STORE_WAIT_SECS", Kind::SecondsOrNone,
            "Maximum time that an answer waits until Run Store and Event Stream have accepted the change or have \
             caught up; may be 0. After that the change is sent in the background.").default("2");
        WITHOUT_STORES = own("JARVIS_RUN_COORDINATOR_WITHOUT_STORES",
            Kind::Choice(&["refuse", "owe", "forget"]),
            "Start without these URLs on a journal that was used with the stores: refuse to start (refuse), keep \
             the outbox and send it once they are configured again (owe), or discard it for good (forget).")
            .default("refuse");
        RUN_STORE_AUDIENCE = audience("JARVIS_RUN_STORE_AUDIENCE",
            "Audience of tokens for the Run Store.", "arp-jarvis-runstore");
        EVENT_STREAM_AUDIENCE = audience("JARVIS_EVENT_STREAM_AUDIENCE",
            "Audience of tokens for the Event Stream.", "arp-jarvis-eventstream");
        ARTIFACT_STORE_AUDIENCE = audience("JARVIS_ARTIFACT_STORE_AUDIENCE",
            "Audience of tokens for the Artifact Store.", "arp-jarvis-artifactstore");
        OFFLOAD_OUTPUTS_BYTES = own("JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES", Kind::Bytes,
            "Offloads outputs of a node that are larger than this as JSON to the Artifact Store, and replaces \
             their largest members by a reference. Less than 1k counts as 1k.")
            .between(1, 1 << 30).unset("off").example("256k");
    }
    "Other services" {
        ATOMIC_EXECUTOR_URL = base_urls("JARVIS_ATOMIC_EXECUTOR_URL",
            "Atomic Executor; without it, atomic nodes fail. A list (URL,URL or NAME=URL,NAME=URL) is a pool: each \
             node goes to the least loaded of them.")
            .aliases(&["ARP_ATOMIC_EXECUTOR_URL"]).unset("off").example("http://127.0.0.1:8082");
        COMPOSITE_EXECUTOR_URL = base_urls("JARVIS_COMPOSITE_EXECUTOR_URL",
            "Composite Executor; without it, composite nodes fail. A list is a pool, as for the Atomic Executor.")
            .aliases(&["ARP_COMPOSITE_EXECUTOR_URL"]).unset("off").example("http://127.0.0.1:8083");
        NODE_REGISTRY_URL = base_url("JARVIS_NODE_REGISTRY_URL",
            "Node Registry. Without it, the prefix of a node's type (atomic. or composite.) determines its kind.")
            .aliases(&["ARP_NODE_REGISTRY_URL"]).unset("off").example("http://127.0.0.1:8084");
        PDP_URL = base_url("JARVIS_PDP_URL",
            "Policy Decision Point. Without it, JARVIS_POLICY_PROFILE decides.")
            .aliases(&["ARP_PDP_URL"]).unset("off").example("http://127.0.0.1:8086");
        SELECTION_URL = base_url("JARVIS_SELECTION_URL", "Selection. Accepted for compatibility, and never called.")
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
            "URL by which composite executors reach this coordinator. Without it, composite nodes fail.")
            .aliases(&["JARVIS_RUN_COORDINATOR_URL"]).example("http://127.0.0.1:8081");
        AUTO_DISPATCH = Variable::new("JARVIS_RUN_COORDINATOR_AUTO_DISPATCH", Kind::Switch,
            "Whether nodes are dispatched to executors. If off (false, no, off or 0), they stay queued.")
            .default("true");
        REGISTRY_OUTAGE = own("JARVIS_RUN_COORDINATOR_REGISTRY_OUTAGE", Kind::Choice(&["closed", "open"]),
            "During an outage of the Node Registry: refuse node types that are not cached with 503 and delay \
             dispatch (closed), or derive the kind from the prefix of the type and ignore the type's constraints \
             (open), as the Python coordinator does.").default("closed");
        PDP_OUTAGE = own("JARVIS_RUN_COORDINATOR_PDP_OUTAGE", Kind::Choice(&["deny", "hold"]),
            "During an outage of the PDP: deny nodes (deny), as the Python coordinator does, or hold them until \
             the PDP answers or their deadline passes, and refuse new runs with 503 (hold).")
            .default("deny");
        APPROVALS = own("JARVIS_RUN_COORDINATOR_APPROVALS", Kind::Choice(&["fail", "park"]),
            "A node that requires an approval: it fails (fail), or waits until it is approved or denied (park).")
            .default("fail").contract("§9.2");
        APPROVAL_TIMEOUT = own("JARVIS_RUN_COORDINATOR_APPROVAL_TIMEOUT", Kind::Age,
            "How long a node waits for an approval at most, and not beyond its deadline and its run's. Then it fails.")
            .default("24h").contract("§9.2");
        IRREVERSIBLE_CHECKPOINT = own("JARVIS_RUN_COORDINATOR_IRREVERSIBLE_CHECKPOINT", Kind::Switch,
            "Whether the PDP is asked with the action node.run.irreversible as well, after it has allowed \
             node.run.execute, before atomic nodes with irreversible effects. A PDP that does not know this \
             action may deny it.")
            .contract("§10").default("false");
        UNKNOWN_SIDE_EFFECT = own("JARVIS_RUN_COORDINATOR_UNKNOWN_SIDE_EFFECT",
            Kind::Choice(&["irreversible", "write", "read"]),
            "What the effects of a node type count as that does not declare them in jarvis.side_effect. Whether \
             a node may be executed twice does not depend on this.")
            .contract("§7.2").default("irreversible");
        CANDIDATE_SETS = own("JARVIS_RUN_COORDINATOR_CANDIDATE_SETS", Kind::Choice(&["trusted", "required"]),
            "Whether the candidate set that a binding decision quotes must come with it, in \
             jarvis.candidate_set of the create spec (required), or is checked if it comes (trusted).")
            .contract("§6.6").default("trusted");
        SCHEMAS = own("JARVIS_RUN_COORDINATOR_SCHEMAS", Kind::Choice(&["off", "record", "enforce"]),
            "Whether the inputs and outputs of nodes are judged by the JSON Schemas of their types: not at all, \
             violations are noted on the NodeRun and logged (record), or inputs are refused with 422 and nodes \
             with such outputs fail (enforce). Requires a Node Registry.")
            .contract("§7.5").default("off");
        POLICY_PROFILE = Variable::new("JARVIS_POLICY_PROFILE", Kind::Text,
            "dev-allow: allow everything if no PDP is configured. For development only.")
            .unset("deny").example("dev-allow").contract("§10");
        POLICY_MODE = Variable::new("ARP_POLICY_MODE", Kind::Text,
            "allow_all: the older equivalent of dev-allow.")
            .unset("deny").example("allow_all").contract("§10");
    }
    "Wire format" {
        STRICT_EXTENSION_KEYS = own("JARVIS_RUN_COORDINATOR_STRICT_EXTENSION_KEYS", Kind::Switch,
            "Write the coordinator's extension keys as jarvis.KEY, which the schema requires, instead of as \
             documented.")
            .default("false");
    }
    "Limits" {
        MAX_BODY_BYTES = own("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES", Kind::Bytes,
            "Maximum size of a request body; a larger one is refused with 413.").between(1, 1 << 30).default("8m");
        MAX_BODY_VALUES = own("JARVIS_RUN_COORDINATOR_MAX_BODY_VALUES", Kind::Count,
            "Maximum number of JSON values in a request body (each object, list, string, number, … counts); a \
             body with more is refused with 400. Each value costs memory and time, however short it is.")
            .between(10, 100_000_000).default("200000");
        MAX_STRING_BYTES = own("JARVIS_RUN_COORDINATOR_MAX_STRING_BYTES", Kind::Bytes,
            "Maximum length of a string in a request body, names of members included; a body with a longer one \
             is refused with 400.")
            .between(1 << 10, 1 << 30).unset("JARVIS_RUN_COORDINATOR_MAX_BODY_BYTES").example("8m");
        MAX_ARRAY_ITEMS = own("JARVIS_RUN_COORDINATOR_MAX_ARRAY_ITEMS", Kind::Count,
            "Maximum number of items of an array, and of members of an object, in a request body; a body with a \
             larger one is refused with 400.")
            .between(100, 100_000_000).unset("JARVIS_RUN_COORDINATOR_MAX_BODY_VALUES").example("200000");
        MAX_ANSWER_BYTES = own("JARVIS_RUN_COORDINATOR_MAX_ANSWER_BYTES", Kind::Bytes,
            "Maximum size of an answer of another service; a larger one is not read to its end. If it is an \
             Atomic Executor's, the node fails with atomic_executor_invalid_result.")
            .between(1 << 10, 1 << 30).default("32m");
        BODY_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS", Kind::Seconds,
            "Time limit for a request body to arrive; a slower one is refused with 408.").default("30");
        IDLE_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_IDLE_TIMEOUT_SECS", Kind::Seconds,
            "Time after which a connection without a request in progress is closed.")
            .unset("JARVIS_RUN_COORDINATOR_BODY_TIMEOUT_SECS").example("30");
        ANSWER_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_ANSWER_TIMEOUT_SECS", Kind::Seconds,
            "Time limit for a caller to take its answer; then the connection is closed. An event stream has no \
             limit while its reader takes something within this time.").default("120");
        MAX_WAIT_SECS = own("JARVIS_RUN_COORDINATOR_MAX_WAIT_SECS", Kind::SecondsOrNone,
            "The longest time that a request with Prefer: wait waits for the end of its run; 0: such requests \
             are answered at once.").default("60");
        MAX_CONNECTIONS = own("JARVIS_RUN_COORDINATOR_MAX_CONNECTIONS", Kind::Count,
            "Maximum number of open connections; more are answered with 503 and closed. It is lowered to what \
             the limit of open files (ulimit -n) leaves room for.")
            .between(16, 1_000_000).default("10000");
        MAX_REQUESTS = own("JARVIS_RUN_COORDINATOR_MAX_REQUESTS", Kind::Count,
            "Maximum number of concurrent requests; more are refused with 503 overloaded. Health is always \
             answered; another quarter is reserved for cancels, completions and evaluations, and another for \
             reads of a run or a node run.")
            .between(1, 100_000).default("512");
        MAX_STREAMS = own("JARVIS_RUN_COORDINATOR_MAX_STREAMS", Kind::Count,
            "Maximum number of open event streams; more are refused with 503 overloaded.")
            .between(1, 1_000_000).default("1000");
        RATE_PER_PRINCIPAL = own("JARVIS_RUN_COORDINATOR_RATE_PER_PRINCIPAL", Kind::Count,
            "Maximum number of requests per second of one principal (issuer, subject and client of a token; one \
             node run of an assignment token; all callers without a token); more are refused with 429 \
             rate_limited. A quarter more is reserved for cancels, completions and evaluations, and another \
             for reads. The Run Gateway may be one principal with the traffic of all.")
            .between(1, 1_000_000).unset("no limit").example("200");
        RATE_BURST = own("JARVIS_RUN_COORDINATOR_RATE_BURST", Kind::Count,
            "Number of requests that a principal may make at once, after a pause.")
            .between(1, 1_000_000).unset("JARVIS_RUN_COORDINATOR_RATE_PER_PRINCIPAL").example("400");
        MAX_REQUESTS_PER_PRINCIPAL = own("JARVIS_RUN_COORDINATOR_MAX_REQUESTS_PER_PRINCIPAL", Kind::Count,
            "Maximum number of concurrent requests of one principal, with reserves as above; more are refused \
             with 429 rate_limited.")
            .between(1, 100_000).unset("JARVIS_RUN_COORDINATOR_MAX_REQUESTS").example("128");
        MAX_STREAMS_PER_PRINCIPAL = own("JARVIS_RUN_COORDINATOR_MAX_STREAMS_PER_PRINCIPAL", Kind::Count,
            "Maximum number of open event streams of one principal; more are refused with 429 rate_limited.")
            .between(1, 1_000_000).unset("JARVIS_RUN_COORDINATOR_MAX_STREAMS").example("250");
        NODE_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS", Kind::Seconds,
            "Maximum time of an atomic node at its executor, over all attempts. max_wall_time_ms in its \
             constraints or its type's can lower it, not raise it.").default("3600");
        RUN_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS", Kind::Seconds,
            "Maximum duration of a run and of each node in it. max_wall_time_ms in its constraints can lower it, \
             not raise it.").default("86400");
        COMPOSITE_SILENCE_SECS = own("JARVIS_RUN_COORDINATOR_COMPOSITE_SILENCE_SECS", Kind::Seconds,
            "Time after which the executor of a composite is considered lost if it is silent and none of its \
             descendants is active. The composite is then dispatched once more if it has no children, otherwise \
             it fails. 0: only its deadline ends it.").default("600");
        DEFAULT_CONSTRAINTS = own("JARVIS_RUN_COORDINATOR_DEFAULT_CONSTRAINTS", Kind::Constraints,
            "Constraints of runs: a ConstraintEnvelope as JSON, or @ and the path of a file with one. Each of its \
             members holds for every new run in which neither the request nor the type of the root sets that \
             member. Where nothing limits them, a run has a depth of at most 32 and at most 100,000 node runs.")
            .contract("§7.3").unset("ceilings of the tree only")
            .example(r#"{"structural": {"max_total_nodes_per_run": 1000}}"#);
        MAX_CONSTRAINTS = own("JARVIS_RUN_COORDINATOR_MAX_CONSTRAINTS", Kind::Constraints,
            "Bounds on the constraints of every new run, in the same form: the constraints of a request, a type \
             or a default are narrowed by them.")
            .contract("§7.3").unset("no bounds").example(r#"{"structural": {"max_depth": 8}}"#);
        DEFAULT_USAGE = own("JARVIS_RUN_COORDINATOR_DEFAULT_USAGE", Kind::Usage,
            "What an atomic node is expected to use if neither its constraints nor its type say: it is reserved \
             from the budgets of its run, and counted if its executor reports nothing. A cost of 0 is not \
             reserved; it counts when it is reported.")
            .contract("§7.4").default(r#"{"external_calls":1,"cost":0}"#);
        MAX_IN_FLIGHT = own("JARVIS_RUN_COORDINATOR_MAX_IN_FLIGHT", Kind::Count,
            "Maximum number of concurrent calls to an executor (to each member of a pool), of which one run gets at \
             most three quarters.")
            .between(1, 100_000).default("256");
        MAX_RETRIES = own("JARVIS_RUN_COORDINATOR_MAX_RETRIES", Kind::Number,
            "Maximum number of retries of a failed dispatch that is safe to retry, with exponential backoff. 0: \
             no retries.").between(0, 1_000_000).default("5");
        CONNECT_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_CONNECT_TIMEOUT_SECS", Kind::Seconds,
            "Time limit for connecting to another service.").default("5");
        CALL_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_CALL_TIMEOUT_SECS", Kind::Seconds,
            "Time limit of calls to the PDP, the Node Registry and the stores, and of begin and cancel.").default("10");
        SHUTDOWN_TIMEOUT_SECS = own("JARVIS_RUN_COORDINATOR_SHUTDOWN_TIMEOUT_SECS", Kind::Seconds,
            "Time limit of a shutdown, in which work in progress may finish.").default("10");
    }
    "Logging" {
        LOG_LEVEL = Variable::new("LOG_LEVEL", Kind::Choice(LEVELS),
            "Minimum level of log messages, in upper or lower case. FATAL, WARN, TRACE and NOTSET are accepted, too.").default("INFO");
        LOG_FORMAT = own("JARVIS_RUN_COORDINATOR_LOG_FORMAT", Kind::Choice(&["text", "json"]),
            "Format of the log on stdout.").default("text");
        LOG_RUNS = own("JARVIS_RUN_COORDINATOR_LOG_RUNS", Kind::Switch,
            "Log a line when a run starts, and one when it ends.").default("true");
        WAITING_DEGRADED_SECS = own("JARVIS_RUN_COORDINATOR_WAITING_DEGRADED_SECS", Kind::Seconds,
            "Health is degraded when a node has waited longer than this for its executor. Nodes that wait for an \
             approval do not count. 0: however long it waits.").default("300");
    }
    "Redaction" {
        REDACT = own("JARVIS_RUN_COORDINATOR_REDACT", Kind::Text,
            "Names whose values are masked in logs and in what services and executors say about errors, separated \
             by commas, besides password, secret, token, authorization, api_key, access_key, private_key, \
             credential, cookie and the like. Names that end so count as well; case, - and _ do not matter.")
            .unset("the built-in names").example("customer_id,iban");
    }
    "Outbound authentication: tokens for the services above" {
        AUTH_CLIENT_ID = Variable::new("ARP_AUTH_CLIENT_ID", Kind::Text,
            "Client id. Required if any service is configured, unless inbound authentication is disabled.")
            .example("arp-run-coordinator").contract("§18, §20");
        AUTH_CLIENT_SECRET = Variable::new("ARP_AUTH_CLIENT_SECRET", Kind::Secret,
            "Client secret. Required with the client id.")
            .example("arp-run-coordinator-secret").contract("§18, §20");
        AUTH_CLIENT_SECRET_FILE = Variable::new("ARP_AUTH_CLIENT_SECRET_FILE", Kind::Path,
            "File with the client secret, instead of the secret itself. Read for each token request, so that it \
             can be replaced.")
            .example("/run/secrets/client-secret").contract(OWN);
        AUTH_TOKEN_ENDPOINT = Variable::new("ARP_AUTH_TOKEN_ENDPOINT", Kind::Url,
            "URL that issues tokens.")
            .unset("ARP_AUTH_ISSUER + /protocol/openid-connect/token")
            .example("http://localhost:8080/realms/arp-dev/protocol/openid-connect/token")
            .contract("§18, §20");
        AUTH_TIMEOUT_SECS = Variable::new("ARP_AUTH_TIMEOUT_SECS", Kind::Seconds,
            "Time limit of a token request.").default("10").contract("§18, §20");
        AUTH_SCOPE = Variable::new("ARP_AUTH_SCOPE", Kind::Text,
            "Scope to request, for token services that ignore the audience field.")
            .example("openid").contract("§20");
        TOKEN_AUDIENCE_FIELD = own("JARVIS_RUN_COORDINATOR_TOKEN_AUDIENCE_FIELD",
            Kind::Choice(&["audience", "resource"]),
            "Field of the token request that names the audience. resource is for token services that support \
             only RFC 8707; most of those require audiences that are URIs.").default("audience");
    }
    "Token exchange: calls for a run on behalf of its starter" {
        TOKEN_EXCHANGE = own("JARVIS_RUN_COORDINATOR_TOKEN_EXCHANGE", Kind::Switch,
            "Whether executors and the PDP are called with tokens that the token service makes of the caller's \
             (RFC 8693), instead of the coordinator's own. Requires ARP_AUTH_CLIENT_ID and \
             JARVIS_RUN_COORDINATOR_SECRETS_KEY.")
            .default("false");
        SECRETS_KEY = own("JARVIS_RUN_COORDINATOR_SECRETS_KEY", Kind::Secret,
            "Key that encrypts callers' tokens in the journal: 32 random bytes in base64. With another key the \
             nodes of unfinished runs fail.")
            .example("base64-of-32-random-bytes");
        SECRETS_KEY_FILE = own("JARVIS_RUN_COORDINATOR_SECRETS_KEY_FILE", Kind::Path,
            "File with that key.")
            .example("/run/secrets/key");
    }
}
