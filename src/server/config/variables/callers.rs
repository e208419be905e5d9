//! The variables about callers: of this server, of its operator API, and of others
//! by the commands.

use super::{inbound, own};
use crate::config::{
    kind::Kind,
    variable::{Group, Variable},
};

variables! {
    CALLERS:
    "Inbound authentication: callers of this server" {
        AUTH_PROFILE = inbound("ARP_AUTH_PROFILE", Kind::Text,
            "dev-insecure (mode disabled), dev-secure-keycloak (required, with the issuer of the local \
             Keycloak) or enterprise (required).")
            .example("dev-insecure");
        AUTH_MODE = inbound("ARP_AUTH_MODE", Kind::Choice(&["required", "optional", "disabled"]),
            "Whether callers need a token.")
            .unset("from the profile, else required").example("required");
        AUTH_ISSUER = inbound("ARP_AUTH_ISSUER", Kind::Url,
            "Issuer of the tokens; must equal their iss claim exactly.")
            .unset("from the profile, else not checked").example("http://localhost:8080/realms/arp-dev");
        AUTH_AUDIENCE = inbound("ARP_AUTH_AUDIENCE", Kind::Text, "Audience that tokens must have.")
            .aliases(&["ARP_AUTH_SERVICE_ID"]).unset("not checked").example("arp-run-coordinator");
        AUTH_REQUIRE_AUDIENCE = inbound("ARP_AUTH_REQUIRE_AUDIENCE", Kind::Switch,
            "Refuse to start without an audience. In the enterprise profile its absence is a warning.")
            .default("false");
        AUTH_JWKS_URI = inbound("ARP_AUTH_JWKS_URI", Kind::Url, "URL of the signing keys.")
            .unset("from the discovery document")
            .example("http://localhost:8080/realms/arp-dev/protocol/openid-connect/certs");
        AUTH_DISCOVERY_URL = inbound("ARP_AUTH_OIDC_DISCOVERY_URL", Kind::Url,
            "URL of the OpenID discovery document, which names the URL of the signing keys.")
            .unset("ARP_AUTH_ISSUER + /.well-known/openid-configuration")
            .example("http://localhost:8080/realms/arp-dev/.well-known/openid-configuration");
        AUTH_ALGORITHMS = inbound("ARP_AUTH_ALGORITHMS", Kind::Text,
            "Accepted signature algorithms, separated by commas.").default("RS256");
        AUTH_CLOCK_SKEW = inbound("ARP_AUTH_CLOCK_SKEW_SECONDS", Kind::SecondsOrNone,
            "Tolerated difference between clocks, from 0 to one day.").default("60");
        AUTH_EXEMPT_PATHS = inbound("ARP_AUTH_EXEMPT_PATHS", Kind::Text,
            "Paths that need no token, separated by commas.").default("/v1/health,/v1/version");
        AUTH_DEV_SUBJECT = inbound("ARP_AUTH_DEV_SUBJECT", Kind::Text,
            "Subject of every caller if the mode is disabled.").default("dev");
        AUTH_ANONYMOUS_SUBJECT = inbound("ARP_AUTH_ANONYMOUS_SUBJECT", Kind::Text,
            "Subject of callers without a token if the mode is optional.").default("anonymous");
    }
    "Authorization: who may do what" {
        AUTHORIZATION = inbound("JARVIS_RUN_COORDINATOR_AUTHORIZATION", Kind::Choice(&["open", "owner", "tenant"]),
            "Whom a run belongs to: every caller that is admitted (open), the principal that started it (owner), \
             or its tenant (tenant). With owner and tenant a foreign run does not exist for a caller.")
            .unset("tenant in the enterprise profile, else open").example("tenant");
        TENANT_CLAIM = inbound("JARVIS_RUN_COORDINATOR_TENANT_CLAIM", Kind::Text,
            "Claim of a token that names the tenant of its subject. A name with dots also finds a member of an \
             object: a.b.").default("tenant_id");
        ROLES_CLAIM = inbound("JARVIS_RUN_COORDINATOR_ROLES_CLAIM", Kind::Text,
            "Claim of a token that has the roles of its subject (arp.run.read, arp.run.operate, arp.admin), as a \
             list or as one string with spaces. Keycloak: realm_access.roles.").default("roles");
        APPROVAL_BY_STARTER = inbound("JARVIS_RUN_COORDINATOR_APPROVAL_BY_STARTER", Kind::Switch,
            "Whether the principal that started a run may decide about its approvals, with the role for it.")
            .default("false");
        TRUSTED_CLIENTS = inbound("JARVIS_RUN_COORDINATOR_TRUSTED_CLIENTS", Kind::Text,
            "Clients (azp or client_id of a token) that act for others, separated by commas: their tokens reach \
             every run, and the tenant that they name in a run context is believed.")
            .example("arp-run-gateway");
    }
    "Operator API: what the server does, for people and machines that look after it" {
        OPERATOR_LISTEN = own("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN", Kind::HostPort,
            "Address on which the operator API is served, with the certificates, tokens and limits of the first \
             listener. It should not be reachable from outside.")
            .unset("off").example("127.0.0.1:8089").contract("§25");
        OPERATOR_HOSTS = own("JARVIS_RUN_COORDINATOR_OPERATOR_HOSTS", Kind::Text,
            "Names under which the operator API may be asked for (Host header) besides localhost, loopback \
             addresses and the address that it listens on, separated by commas. Pages of these hosts may call it.")
            .unset("none").example("operator.example.com").contract("§25");
    }
    "Webhooks: reports to systems of yours" {
        WEBHOOK_TARGETS = own("JARVIS_RUN_COORDINATOR_WEBHOOK_TARGETS", Kind::Targets,
            "Hosts that webhooks may call, separated by commas: a name, *.name for all names below it, with a port \
             if that is not the scheme's own, an address, or a range of addresses. Only https, unless http:// is \
             before the entry. A name that resolves to an address that is not public is called only if the list has \
             that address, too. With JARVIS_RUN_COORDINATOR_SECRETS_KEY their secrets are encrypted in the journal.")
            .unset("webhooks are off").example("hooks.example.com,*.alerts.example.com:8443").contract("§26");
    }
    "Commands that call a server: send-request, health, approvals" {
        OPERATOR_URL = own("JARVIS_RUN_COORDINATOR_OPERATOR_URL", Kind::BaseUrl,
            "Base URL of the operator API, for commands that use it. --operator-url overrides this.")
            .unset("JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN, else http://127.0.0.1:8089")
            .example("http://127.0.0.1:8089");
        TOKEN = own("JARVIS_RUN_COORDINATOR_TOKEN", Kind::Secret,
            "Bearer token that they send. --token overrides this. The server itself does not use it.")
            .example("eyJhbGciOi...");
        TOKEN_FILE = own("JARVIS_RUN_COORDINATOR_TOKEN_FILE", Kind::Path,
            "File with that token.")
            .example("/run/secrets/token");
    }
}
