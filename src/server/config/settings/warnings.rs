//! Settings that work but are probably unintended.

use super::{PolicyPosture, Settings};
use crate::config::{
    Mode, Profile,
    unknown::unknown_names,
    value::{PdpOutage, RegistryOutage},
    variables as v,
    vars::Vars,
};

impl Settings {
    /// Lists the settings that work but are probably unintended.
    pub(super) fn warnings(&self, vars: &dyn Vars) -> Vec<String> {
        let mut warnings = self.inbound.warnings.clone();
        let mut warn_if = |holds: bool, text: &str| {
            if holds {
                warnings.push(text.to_owned());
            }
        };
        let dev_allow = self.policy == PolicyPosture::DevAllow;
        warn_if(
            self.stores.is_none(),
            "no JARVIS store is configured: the journal is the only record of runs and events",
        );
        warn_if(
            self.stores.is_none() && self.offload_outputs_bytes.is_some(),
            "JARVIS_RUN_COORDINATOR_OFFLOAD_OUTPUTS_BYTES has no effect: no Artifact Store is configured",
        );
        warn_if(
            self.pdp.is_none() && !dev_allow,
            "no PDP is configured: every run is denied (set JARVIS_PDP_URL, or \
             JARVIS_POLICY_PROFILE=dev-allow for development)",
        );
        warn_if(
            self.pdp.is_none() && dev_allow,
            "no PDP is configured and everything is allowed: use this for development only",
        );
        warn_if(self.pdp.is_some() && dev_allow, "dev-allow has no effect: the PDP decides");
        warn_if(
            !dev_allow && v::POLICY_PROFILE.given(vars).is_some(),
            "JARVIS_POLICY_PROFILE has no effect: its only value is dev-allow",
        );
        warn_if(
            !dev_allow && v::POLICY_MODE.given(vars).is_some(),
            "ARP_POLICY_MODE has no effect: its only value is allow_all",
        );
        warn_if(
            self.node_registry.is_some() && self.registry_outage == RegistryOutage::Open,
            "the constraints of node types are ignored during outages of the Node Registry",
        );
        warn_if(
            self.pdp.is_none() && self.pdp_outage == PdpOutage::Hold,
            "JARVIS_RUN_COORDINATOR_PDP_OUTAGE has no effect: no PDP is configured",
        );
        warn_if(!self.auto_dispatch, "auto-dispatch is off: nodes stay queued");
        warn_if(
            self.auto_dispatch && self.atomic_executor.is_none(),
            "no Atomic Executor is configured: atomic nodes fail",
        );
        warn_if(
            self.auto_dispatch && self.composite_executor.is_none(),
            "no Composite Executor is configured: composite nodes fail",
        );
        warn_if(
            self.auto_dispatch && self.composite_executor.is_some() && self.public_url.is_none(),
            "composite nodes fail: JARVIS_RUN_COORDINATOR_PUBLIC_URL is not set",
        );
        warn_if(
            self.inbound.mode == Mode::Disabled && !is_loopback(&self.listen.host),
            "inbound authentication is disabled, and the address is reachable from other machines",
        );
        let operator_reachable =
            self.operator.as_ref().is_some_and(|operator| !is_loopback(&operator.listen.host));
        warn_if(
            self.inbound.mode == Mode::Disabled && operator_reachable,
            "inbound authentication is disabled, and the operator API is reachable from other machines",
        );
        warn_if(
            self.operator.is_none() && v::OPERATOR_HOSTS.given(vars).is_some(),
            "JARVIS_RUN_COORDINATOR_OPERATOR_HOSTS has no effect: JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN is \
             not set",
        );
        warn_if(
            self.tls.is_none()
                && self.inbound.profile == Some(Profile::Enterprise)
                && !is_loopback(&self.listen.host),
            "the listener speaks plain HTTP, and the address is reachable from other machines: set \
             JARVIS_RUN_COORDINATOR_TLS_CERT and JARVIS_RUN_COORDINATOR_TLS_KEY, or put a proxy with TLS in front",
        );
        warn_if(
            self.exchange_key.is_some() && self.inbound.mode == Mode::Disabled,
            "JARVIS_RUN_COORDINATOR_TOKEN_EXCHANGE has no effect: callers have no tokens",
        );
        warn_if(
            self.deadlines.node > self.deadlines.run,
            "JARVIS_RUN_COORDINATOR_NODE_TIMEOUT_SECS has no effect: \
             JARVIS_RUN_COORDINATOR_RUN_TIMEOUT_SECS is shorter and also ends the nodes of a run",
        );
        warn_if(
            self.limits.per_principal.rate.is_none() && v::RATE_BURST.given(vars).is_some(),
            "JARVIS_RUN_COORDINATOR_RATE_BURST has no effect: \
             JARVIS_RUN_COORDINATOR_RATE_PER_PRINCIPAL is not set",
        );
        warnings.extend(unknown_names(vars).iter().map(ToString::to_string));
        warnings
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
