//! Env files to begin with, one for each profile: every variable with its explanation,
//! and values for those that the profile needs. `.env.example` is the one for development.

use clap::ValueEnum;

use super::{
    render::{WIDTH, env_file, wrapped},
    variable::Variable,
    variables as v,
};

/// The profile that a file is for; it has the name that `ARP_AUTH_PROFILE` has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Development: callers need no token, and everything is allowed
    #[default]
    DevInsecure,
    /// Development with the tokens of the JARVIS Keycloak on this machine
    DevSecureKeycloak,
    /// Production: tokens of your issuer, decisions of your PDP
    Enterprise,
}

impl Template {
    /// The name of the profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::DevInsecure => "dev-insecure",
            Self::DevSecureKeycloak => "dev-secure-keycloak",
            Self::Enterprise => "enterprise",
        }
    }

    /// The value of a variable in the file of this profile. `None`: it is commented out.
    pub(super) fn value(self, variable: &Variable) -> Option<&'static str> {
        self.values().iter().find(|(name, _)| *name == variable.name).map(|(_, value)| *value)
    }

    /// What the file sets.
    pub fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::DevInsecure => &[
                (v::AUTH_PROFILE.name, "dev-insecure"),
                (v::POLICY_PROFILE.name, "dev-allow"),
                (v::OPERATOR_LISTEN.name, "127.0.0.1:8089"),
            ],
            Self::DevSecureKeycloak => &[
                (v::AUTH_PROFILE.name, "dev-secure-keycloak"),
                (v::AUTH_ISSUER.name, "http://localhost:8080/realms/arp-dev"),
                (v::AUTH_AUDIENCE.name, "arp-run-coordinator"),
                (v::AUTH_CLIENT_ID.name, "arp-run-coordinator"),
                (v::AUTH_CLIENT_SECRET.name, "arp-run-coordinator-secret"),
                (v::POLICY_PROFILE.name, "dev-allow"),
                (v::OPERATOR_LISTEN.name, "127.0.0.1:8089"),
            ],
            Self::Enterprise => &[
                (v::AUTH_PROFILE.name, "enterprise"),
                (v::AUTH_ISSUER.name, "https://issuer.example.com"),
                (v::AUTH_AUDIENCE.name, "arp-run-coordinator"),
                (v::AUTH_TOKEN_ENDPOINT.name, "https://issuer.example.com/token"),
                (v::AUTH_CLIENT_ID.name, "arp-run-coordinator"),
                (v::AUTH_CLIENT_SECRET_FILE.name, "/run/secrets/client-secret"),
                (v::PDP_URL.name, "https://pdp.example.com"),
                (v::ATOMIC_EXECUTOR_URL.name, "https://atomic-executor.example.com"),
                (v::OPERATOR_LISTEN.name, "127.0.0.1:8089"),
            ],
        }
    }

    /// What is left to do before the file is good for a server.
    pub fn advice(self) -> &'static str {
        match self {
            Self::DevInsecure => {
                "Callers need no token, and everything is allowed: use it for development only."
            }
            Self::DevSecureKeycloak => {
                "Tokens come from the JARVIS Keycloak on this machine, and everything is allowed: use it for \
                 development only."
            }
            Self::Enterprise => {
                "Replace each value that has example.com in it, and put the client's secret into the file that \
                 ARP_AUTH_CLIENT_SECRET_FILE names."
            }
        }
    }

    /// The text of the file.
    pub fn text(self) -> String {
        let about = format!(
            "Settings of the JARVIS Run Coordinator for the profile {}, written by `jarvis-run-coordinator init`. {}",
            self.name(),
            self.advice(),
        );
        let mut head: String = wrapped(&about, WIDTH - 2).iter().map(|line| format!("# {line}\n")).collect();
        head.push_str(
            "#\n\
             # The environment overrides this file, which overrides .env. What begins with # and a name is not\n\
             # set: the line has the default, or an example. Write values with blanks, # or $ in single quotes.\n\
             # `jarvis-run-coordinator doctor` checks what is set.\n",
        );
        env_file(&head, &|variable| self.value(variable))
    }
}

/// The text of `.env.example`: every variable. It sets what a server for development
/// needs, so that a copy starts one.
pub fn env_example() -> String {
    env_file(
        "# Settings of the JARVIS Run Coordinator. Copy to .env.local (or .env). The environment overrides\n\
         # .env.local, which overrides .env. Write values with blanks, # or $ in single quotes.\n\
         #\n\
         # Unchanged, this starts a stand-alone server for development: it requires no token and allows\n\
         # everything. Remove the # of what else you want to set:\n\
         # - for an executor of atomic nodes: JARVIS_ATOMIC_EXECUTOR_URL.\n\
         # - for the JARVIS services on this machine: all of \"JARVIS stores\" and \"Other services\", and\n\
         #   JARVIS_RUN_COORDINATOR_PUBLIC_URL. The ports are the services' defaults.\n\
         # - for tokens of the JARVIS Keycloak, also: ARP_AUTH_PROFILE=dev-secure-keycloak, and\n\
         #   ARP_AUTH_ISSUER, ARP_AUTH_AUDIENCE, ARP_AUTH_CLIENT_ID and ARP_AUTH_CLIENT_SECRET as given\n\
         #   here. The audience of each service must be the one that the service itself requires.\n\
         # - for production: ARP_AUTH_PROFILE=enterprise with its issuer and audience, and JARVIS_PDP_URL\n\
         #   instead of JARVIS_POLICY_PROFILE.\n\
         #\n\
         # More about each in docs/configuration.md. Written by a test from src/server/config/variables.rs.\n",
        &|variable| Template::DevInsecure.value(variable),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::{
        Endpoint, ExecutorUrls, Executors, Flags, LayeredVars, Mode, PolicyPosture, Settings, Vars,
        settings::Limits, variables,
    };

    #[test]
    fn file_of_each_profile_starts_a_server() {
        for (template, mode, policy, has_pdp) in [
            (Template::DevInsecure, Mode::Disabled, PolicyPosture::DevAllow, false),
            (Template::DevSecureKeycloak, Mode::Required, PolicyPosture::DevAllow, false),
            (Template::Enterprise, Mode::Required, PolicyPosture::DenyUnconfigured, true),
        ] {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join(".env.local"), template.text()).expect("written");
            let vars = LayeredVars::load_files(directory.path()).expect("readable");
            let set: BTreeSet<String> = vars.names().into_iter().collect();
            let expected = template.values().iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(set, expected, "{template:?}");
            for (name, value) in template.values() {
                assert_eq!(vars.get(name).as_deref(), Some(*value));
            }
            let settings = Settings::from_vars(&vars, &Flags::default()).expect("usable");
            assert_eq!((settings.inbound.mode, settings.policy), (mode, policy), "{template:?}");
            assert_eq!(settings.pdp.is_some(), has_pdp, "{template:?}");
            assert_eq!(
                settings.inbound.profile.map(|profile| profile.to_string()).as_deref(),
                Some(template.name())
            );
            assert_eq!(template.to_possible_value().expect("a word").get_name(), template.name());
        }
    }

    #[test]
    fn head_of_a_file_fits_a_terminal() {
        for template in Template::value_variants() {
            let text = template.text();
            let head = text.lines().take_while(|line| line.starts_with('#'));
            let long: Vec<&str> = head.filter(|line| line.chars().count() > WIDTH + 2).collect();
            assert_eq!(long, [""; 0], "{template:?}");
            assert!(text.contains("# --- Journal ---") && text.contains("\n#LOG_LEVEL=INFO\n"), "{text}");
        }
    }

    #[test]
    fn env_example_is_up_to_date_and_loads() {
        let file = env_example();
        expectorate::assert_contents(".env.example", &file);

        // Unchanged, it sets what a server needs to start, and nothing else.
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(".env");
        std::fs::write(&path, &file).expect("written");
        let vars = LayeredVars::load_files(directory.path()).expect("readable");
        let set = variables::all().filter(|variable| vars.source(variable.name).is_some());
        let starts_with =
            ["ARP_AUTH_PROFILE", "JARVIS_POLICY_PROFILE", "JARVIS_RUN_COORDINATOR_OPERATOR_LISTEN"];
        assert_eq!(set.map(|variable| variable.name).collect::<BTreeSet<_>>(), BTreeSet::from(starts_with));
        let settings = Settings::from_vars(&vars, &Flags::default()).expect("usable");
        assert_eq!((settings.inbound.mode, settings.policy), (Mode::Disabled, PolicyPosture::DevAllow));

        // With every # removed, it sets everything to a working value; a secret is
        // given as a file or as it is.
        let is_file = |name: &str| name.ends_with("_FILE");
        let line = |line: &str| match line.strip_prefix('#') {
            Some(set)
                if set
                    .split_once('=')
                    .is_some_and(|(name, _)| variables::is_known(name) && !is_file(name)) =>
            {
                format!("{set}\n")
            }
            Some(_) | None => format!("{line}\n"),
        };
        std::fs::write(&path, file.lines().map(line).collect::<String>()).expect("written");
        let vars = LayeredVars::load_files(directory.path()).expect("readable");
        let set = |name| vars.source(name).is_some();
        assert!(variables::all().all(|variable| set(variable.name) != is_file(variable.name)));
        let settings = Settings::from_vars(&vars, &Flags::default()).expect("usable");

        // Its defaults are those of a server without it.
        let none = BTreeMap::from([("ARP_AUTH_PROFILE".to_owned(), "dev-insecure".to_owned())]);
        let default = Settings::from_vars(&none, &Flags::default()).expect("usable");
        // Principals have no limits of their own by default.
        let per_principal = default.limits.per_principal;
        assert_eq!(Limits { per_principal, ..settings.limits }, default.limits);
        assert_eq!(settings.deadlines, default.deadlines);
        assert_eq!(settings.calls, default.calls);
        assert_eq!(settings.log, default.log);
        assert_eq!(settings.journal.place, default.journal.place);
    }

    /// Follows the advice in its head.
    #[test]
    fn env_example_works_with_the_jarvis_services() {
        let on = |names: &[&str]| {
            let mut file = env_example();
            for name in names {
                let before = file.clone();
                file = file.replace(&format!("\n#{name}="), &format!("\n{name}="));
                assert_ne!(file, before, "{name}");
            }
            file
        };
        let settings = |file: &str| {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join(".env"), file).expect("written");
            let vars = LayeredVars::load_files(directory.path()).expect("readable");
            Settings::from_vars(&vars, &Flags::default()).expect("usable")
        };
        let services = variables::groups()
            .filter(|group| group.title.starts_with("JARVIS stores") || group.title == "Other services");
        let services = services.flat_map(|group| group.variables).map(|variable| variable.name);
        let with_services: Vec<&str> = services.chain(["JARVIS_RUN_COORDINATOR_PUBLIC_URL"]).collect();
        let all = settings(&on(&with_services));
        let url = |endpoint: Option<Endpoint>| endpoint.expect("an endpoint").url.as_str().to_owned();
        let stores = all.stores.expect("stores");
        assert_eq!(stores.run_store.url.as_str(), "http://127.0.0.1:8091");
        assert_eq!(stores.artifact_store.url.as_str(), "http://127.0.0.1:8092");
        assert_eq!(stores.event_stream.url.as_str(), "http://127.0.0.1:8093");
        let single = |executors: Option<Executors>| match executors.expect("executors").urls {
            ExecutorUrls::Single(url) => url.as_str().to_owned(),
            list @ (ExecutorUrls::Addresses(_) | ExecutorUrls::Named(_)) => panic!("a list: {list:?}"),
        };
        assert_eq!(single(all.atomic_executor), "http://127.0.0.1:8082");
        assert_eq!(single(all.composite_executor), "http://127.0.0.1:8083");
        assert_eq!(url(all.node_registry), "http://127.0.0.1:8084");
        assert_eq!(url(all.selection), "http://127.0.0.1:8085");
        assert_eq!(url(all.pdp), "http://127.0.0.1:8086");
        assert_eq!(all.public_url.expect("a URL").as_str(), "http://127.0.0.1:8081");
        assert_eq!(all.outbound, None);

        let credentials =
            ["ARP_AUTH_ISSUER", "ARP_AUTH_AUDIENCE", "ARP_AUTH_CLIENT_ID", "ARP_AUTH_CLIENT_SECRET"];
        let file = on(&[&with_services[..], &credentials].concat());
        let file = file.replace("ARP_AUTH_PROFILE=dev-insecure", "ARP_AUTH_PROFILE=dev-secure-keycloak");
        let secure = settings(&file);
        assert_eq!(secure.inbound.mode, Mode::Required);
        assert_eq!(secure.inbound.audience.as_deref(), Some("arp-run-coordinator"));
        let endpoint = secure.outbound.expect("credentials").token_endpoint;
        assert_eq!(endpoint.as_str(), "http://localhost:8080/realms/arp-dev/protocol/openid-connect/token");
    }
}
