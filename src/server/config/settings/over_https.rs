//! Whether this server calls others over HTTPS: only then does it need root certificates.

use super::{Endpoint, Executors, Settings};
use crate::config::{ExecutorUrls, KeySource, variables as v};

impl Settings {
    /// The first variable because of which this server calls others over HTTPS.
    pub fn over_https(&self) -> Option<&'static str> {
        let stores = self.stores.as_ref();
        let endpoints = [
            (v::RUN_STORE_URL.name, stores.map(|stores| &stores.run_store)),
            (v::EVENT_STREAM_URL.name, stores.map(|stores| &stores.event_stream)),
            (v::ARTIFACT_STORE_URL.name, stores.map(|stores| &stores.artifact_store)),
            (v::NODE_REGISTRY_URL.name, self.node_registry.as_ref()),
            (v::PDP_URL.name, self.pdp.as_ref()),
        ];
        let executors = [
            (v::ATOMIC_EXECUTOR_URL.name, self.atomic_executor.as_ref()),
            (v::COMPOSITE_EXECUTOR_URL.name, self.composite_executor.as_ref()),
        ];
        let keys = self.inbound.keys.as_ref().map(|keys| match keys {
            KeySource::Jwks(url) => (v::AUTH_JWKS_URI.name, url.as_str()),
            // It is made of the issuer, if it is not set itself.
            KeySource::Discovery(url) => (v::AUTH_ISSUER.name, url.as_str()),
        });
        let outbound = self.outbound.as_ref();
        let token_endpoint =
            outbound.map(|outbound| (v::AUTH_TOKEN_ENDPOINT.name, outbound.token_endpoint.as_str()));
        let traces = self.traces.as_ref().map(|traces| (v::OTLP_ENDPOINT.name, traces.endpoint.as_str()));

        let mut urls: Vec<(&'static str, &str)> = Vec::new();
        urls.extend(endpoints.into_iter().filter_map(|(name, endpoint)| Some((name, url(endpoint?)))));
        for (name, executors) in executors {
            urls.extend(executors.into_iter().flat_map(members).map(|url| (name, url)));
        }
        urls.extend(keys.into_iter().chain(token_endpoint).chain(traces));
        let found = urls.into_iter().find(|(_, url)| is_https(url)).map(|(name, _)| name);
        // Their URLs become known later, and any target may be called over HTTPS.
        found.or_else(|| self.webhooks.as_ref().map(|_| v::WEBHOOK_TARGETS.name))
    }
}

fn url(endpoint: &Endpoint) -> &str {
    endpoint.url.as_str()
}

fn members(executors: &Executors) -> Vec<&str> {
    match &executors.urls {
        ExecutorUrls::Single(url) => vec![url.as_str()],
        ExecutorUrls::Addresses(members) | ExecutorUrls::Named(members) => {
            members.iter().map(|member| member.url.as_str()).collect()
        }
    }
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::{Flags, Settings};

    fn over_https(vars: &[(&str, &str)]) -> Option<&'static str> {
        let always = [("ARP_AUTH_PROFILE", "dev-insecure")];
        let vars: BTreeMap<String, String> =
            always.iter().chain(vars).map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Settings::from_vars(&vars, &Flags::default()).expect("usable").over_https()
    }

    #[test]
    fn variable_that_needs_https_is_named() {
        assert_eq!(over_https(&[]), None);
        let (plain, tls) = ("http://a.example", "https://a.example");
        for name in [
            "JARVIS_PDP_URL",
            "JARVIS_NODE_REGISTRY_URL",
            "JARVIS_ATOMIC_EXECUTOR_URL",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ] {
            assert_eq!((over_https(&[(name, plain)]), over_https(&[(name, tls)])), (None, Some(name)));
        }
        let pool = [("JARVIS_ATOMIC_EXECUTOR_URL", "http://a.example, HTTPS://b.example")];
        assert_eq!(over_https(&pool), Some("JARVIS_ATOMIC_EXECUTOR_URL"));
        let stores = ["JARVIS_RUN_STORE_URL", "JARVIS_EVENT_STREAM_URL", "JARVIS_ARTIFACT_STORE_URL"];
        let stores = stores.map(|name| (name, if name.contains("ARTIFACT") { tls } else { plain }));
        assert_eq!(over_https(&stores), Some("JARVIS_ARTIFACT_STORE_URL"));
        // Others call it; we do not.
        assert_eq!(over_https(&[("JARVIS_RUN_COORDINATOR_PUBLIC_URL", tls)]), None);
    }

    #[test]
    fn tokens_over_https_need_roots() {
        let enterprise = [
            ("ARP_AUTH_PROFILE", "enterprise"),
            ("ARP_AUTH_ISSUER", "https://sts.example/realms/arp"),
            ("ARP_AUTH_AUDIENCE", "arp-run-coordinator"),
        ];
        assert_eq!(over_https(&enterprise), Some("ARP_AUTH_ISSUER"));
    }
}
