//! The environment variables of each part of a stack.

use crate::{
    blueprint::{Blueprint, Coordinator},
    part::{Part, Profile, Var, client_of, secret_of},
};

/// The policy of the PDP: it denies types that use the network, and suspended
/// tenants.
const POLICY: &str = "policy.json";

impl Blueprint {
    /// The variables of the `arp-jarvis` command line.
    pub fn client_variables(&self) -> Vec<Var> {
        let mut vars = vec![
            ("ARP_JARVIS_STACK_ROOT", self.folder.display().to_string()),
            ("ARP_JARVIS_GATEWAY_URL", self.url(Part::Gateway)),
            ("ARP_JARVIS_COORDINATOR_URL", self.url(Part::Coordinator)),
        ];
        vars.extend(match self.profile {
            Profile::DevInsecure => vec![("ARP_AUTH_PROFILE", "dev-insecure".into())],
            Profile::Jwt => {
                vec![("ARP_AUTH_PROFILE", "enterprise".into()), ("ARP_AUTH_ISSUER", self.url(Part::Sts))]
            }
        });
        owned(vars)
    }

    /// The environment of a part.
    pub(crate) fn variables(&self, part: Part) -> Vec<Var> {
        let url = |part: Part| self.url(part);
        let database = |file: &str| format!("sqlite:///{}", self.folder.join(file).display());
        let vars: Vec<(&str, String)> = match part {
            Part::Sts | Part::Model => vec![("PYTHONDONTWRITEBYTECODE", "1".into())],
            Part::RunStore => vec![("JARVIS_RUN_STORE_DB_URL", database("run-store.sqlite"))],
            Part::EventStream => vec![("JARVIS_EVENT_STORE_DB_URL", database("event-stream.sqlite"))],
            Part::ArtifactStore => {
                vec![("JARVIS_ARTIFACT_DIR", self.folder.join("artifacts").display().to_string())]
            }
            Part::NodeRegistry => vec![
                ("JARVIS_NODE_REGISTRY_DB_URL", database("node-registry.sqlite")),
                ("JARVIS_NODE_REGISTRY_SEED", "true".into()),
            ],
            Part::Pdp => vec![
                ("JARVIS_POLICY_PATH", self.venv.script(POLICY).display().to_string()),
                ("JARVIS_NODE_REGISTRY_URL", url(Part::NodeRegistry)),
                ("JARVIS_NODE_REGISTRY_AUDIENCE", Part::NodeRegistry.audience().into()),
            ],
            Part::AtomicExecutor => vec![],
            Part::CompositeExecutor => {
                let mut vars = vec![
                    ("JARVIS_SELECTION_URL", url(Part::Selection)),
                    ("JARVIS_SELECTION_AUDIENCE", Part::Selection.audience().into()),
                    ("JARVIS_NODE_REGISTRY_URL", url(Part::NodeRegistry)),
                    ("JARVIS_NODE_REGISTRY_AUDIENCE", Part::NodeRegistry.audience().into()),
                    ("JARVIS_COMPOSITE_MAX_STEPS", "8".into()),
                    ("JARVIS_COMPOSITE_MAX_DEPTH", "3".into()),
                    // The default of one second is most of a short run.
                    ("JARVIS_COMPOSITE_POLL_INTERVAL_SEC", "0.05".into()),
                ];
                vars.extend(self.model());
                vars
            }
            Part::Selection => {
                let mut vars = vec![("JARVIS_NODE_REGISTRY_URL", url(Part::NodeRegistry))];
                vars.extend(self.model());
                vars
            }
            Part::Coordinator => self.coordinator_variables(),
            Part::Gateway => vec![
                ("JARVIS_RUN_COORDINATOR_URL", url(Part::Coordinator)),
                ("JARVIS_RUN_COORDINATOR_AUDIENCE", Part::Coordinator.audience().into()),
            ],
        };
        let mut all = owned(vars);
        all.extend(owned(self.auth(part)));
        all.extend(owned(vec![("PYTHONUNBUFFERED", "1".into())]));
        all.extend(self.further.get(&part).cloned().unwrap_or_default());
        all
    }

    /// The variables of the coordinator; a few exist for ours only.
    fn coordinator_variables(&self) -> Vec<(&'static str, String)> {
        let mut vars: Vec<_> = [
            ("JARVIS_RUN_STORE_URL", Part::RunStore),
            ("JARVIS_EVENT_STREAM_URL", Part::EventStream),
            ("JARVIS_ARTIFACT_STORE_URL", Part::ArtifactStore),
            ("JARVIS_ATOMIC_EXECUTOR_URL", Part::AtomicExecutor),
            ("JARVIS_COMPOSITE_EXECUTOR_URL", Part::CompositeExecutor),
            ("JARVIS_NODE_REGISTRY_URL", Part::NodeRegistry),
            ("JARVIS_PDP_URL", Part::Pdp),
            ("JARVIS_SELECTION_URL", Part::Selection),
            ("JARVIS_RUN_COORDINATOR_PUBLIC_URL", Part::Coordinator),
        ]
        .into_iter()
        .map(|(name, part)| (name, self.url(part)))
        .collect();
        match self.coordinator {
            Coordinator::Ours(_) => {
                let journal = self.folder.join("journal.db").display().to_string();
                vars.push(("JARVIS_RUN_COORDINATOR_JOURNAL", journal));
                vars.push(("JARVIS_RUN_COORDINATOR_LOG_FORMAT", "json".into()));
            }
            Coordinator::Python => {}
        }
        vars
    }

    fn model(&self) -> [(&'static str, String); 5] {
        [
            ("ARP_LLM_PROFILE", "openai".into()),
            ("ARP_LLM_BASE_URL", self.url(Part::Model)),
            ("ARP_LLM_CHAT_MODEL", "scripted".into()),
            ("ARP_LLM_API_KEY", "none".into()),
            ("ARP_LLM_MAX_RETRIES", "0".into()),
        ]
    }

    /// How a part authenticates its callers and itself.
    fn auth(&self, part: Part) -> Vec<(&'static str, String)> {
        let client = client_of(part);
        let secret = secret_of(&client);
        let mut vars = vec![("ARP_AUTH_CLIENT_ID", client), ("ARP_AUTH_CLIENT_SECRET", secret)];
        match self.profile {
            Profile::DevInsecure => vars.extend([
                ("ARP_AUTH_PROFILE", "dev-insecure".into()),
                ("ARP_AUTH_TOKEN_ENDPOINT", self.token_endpoint()),
            ]),
            Profile::Jwt => vars.extend([
                ("ARP_AUTH_PROFILE", "enterprise".into()),
                ("ARP_AUTH_ISSUER", self.url(Part::Sts)),
                ("ARP_AUTH_AUDIENCE", part.audience().into()),
            ]),
        }
        if (self.profile, part) == (Profile::Jwt, Part::NodeRegistry) {
            // Selection 0.3.8 sends no token. Tokens of others are verified.
            vars.push(("ARP_AUTH_MODE", "optional".into()));
        }
        if (self.profile, part) == (Profile::Jwt, Part::Coordinator) {
            // In the enterprise profile runs belong to their tenant. The tests look at
            // those of all, and name tenants, also through the gateway.
            let trusted = format!("{TESTER}, {}", client_of(Part::Gateway));
            vars.push(("JARVIS_RUN_COORDINATOR_TRUSTED_CLIENTS", trusted));
        }
        vars
    }
}

/// The client of tests and measurements.
pub const TESTER: &str = "a-test";

fn owned(vars: Vec<(&str, String)>) -> Vec<Var> {
    vars.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
