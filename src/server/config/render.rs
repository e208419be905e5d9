//! Writes the table of variables as documents: help, `.env.example`,
//! `docs/configuration.md`.

use std::fmt::Write as _;

use super::{
    kind::Kind,
    variable::{Fallback, Variable},
    variables,
};

/// The width of everything that is printed.
pub const WIDTH: usize = 100;

/// The end of `--help`: the variables and the exit codes.
pub fn after_help(exits: &[(u8, &str)]) -> String {
    let mut help = String::from(
        "Environment variables, also read from .env.local and .env in the working directory.\n\
         The environment overrides .env.local, which overrides .env. Blanks around a value are\n\
         removed; an empty value counts as unset. The maximum of every number of seconds is ten years.\n",
    );
    for group in variables::groups() {
        let _ = write!(help, "\n{}:\n", group.title);
        for variable in group.variables {
            let _ = writeln!(help, "  {} [{}]", names(variable, " | "), default_text(variable));
            for line in wrapped(&about(variable), WIDTH - 10) {
                let _ = writeln!(help, "          {line}");
            }
        }
    }
    help.push_str("\nExit codes:\n");
    for (code, meaning) in exits {
        let _ = writeln!(help, "  {code}  {meaning}");
    }
    help.pop();
    help
}

/// The variables that `.env.example` sets, so that a copy starts a server; the
/// others are commented out.
const STARTS_WITH: [&str; 3] =
    [variables::AUTH_PROFILE.name, variables::POLICY_PROFILE.name, variables::OPERATOR_LISTEN.name];

/// The text of `.env.example`: every variable.
pub fn env_example() -> String {
    let mut file = String::from(
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
    );
    for group in variables::groups() {
        let _ = write!(file, "\n# --- {} ---\n", group.title);
        for variable in group.variables {
            file.push('\n');
            for line in wrapped(&about(variable), WIDTH - 2) {
                let _ = writeln!(file, "# {line}");
            }
            if !variable.aliases.is_empty() {
                let _ = writeln!(file, "# Also: {}", variable.aliases.join(", "));
            }
            if let Fallback::Description(text) = variable.fallback {
                let _ = writeln!(file, "# If unset: {text}");
            }
            let off = if STARTS_WITH.contains(&variable.name) { "" } else { "#" };
            let example = example(variable);
            let quote = if example.contains('"') { "'" } else { "" };
            let _ = writeln!(file, "{off}{}={quote}{example}{quote}", variable.name);
        }
    }
    file
}

/// The tables of `docs/configuration.md`.
pub fn markdown() -> String {
    let mut table = String::new();
    for group in variables::groups() {
        if !table.is_empty() {
            table.push('\n');
        }
        let _ = writeln!(table, "### {}\n", group.title);
        table.push_str("| variable | default | value | meaning | contract |\n|---|---|---|---|---|\n");
        for variable in group.variables {
            let default = match variable.fallback {
                Fallback::Value(value) => format!("`{value}`"),
                Fallback::Description(text) => text.to_owned(),
            };
            let _ = writeln!(
                table,
                "| `{}` | {default} | {} | {} | {} |",
                names(variable, "`<br>`"),
                variable.unit(),
                variable.about,
                contract_links(variable.contract),
            );
        }
    }
    table
}

/// Formats `§1, §18` as links into the contract; "own" has none.
fn contract_links(sections: &str) -> String {
    let link = |section: &str| format!("[§{section}](contract.md#section-{})", section.replace('.', "-"));
    let cited = sections.split(", ").filter_map(|section| section.strip_prefix('§'));
    cited.map(link).collect::<Vec<_>>().join(", ")
}

fn names(variable: &Variable, separator: &str) -> String {
    let mut names = variable.name.to_owned();
    for alias in variable.aliases {
        names.push_str(separator);
        names.push_str(alias);
    }
    names
}

/// The default, in brackets after the name.
fn default_text(variable: &Variable) -> String {
    match variable.fallback {
        Fallback::Value(value) => format!("default: {value}"),
        Fallback::Description(text) => format!("unset: {text}"),
    }
}

/// The description, with the unit where the text does not show it.
fn about(variable: &Variable) -> String {
    let unit = match variable.kind {
        Kind::Text
        | Kind::Secret
        | Kind::Path
        | Kind::BaseUrl
        | Kind::BaseUrls
        | Kind::Url
        | Kind::HostPort
        | Kind::Age
        | Kind::Switch
        | Kind::Constraints
        | Kind::Usage
        | Kind::Targets => String::new(),
        Kind::Bytes | Kind::Seconds | Kind::SecondsOrNone => format!(" In {}.", variable.unit()),
        Kind::Count | Kind::Number => match variable.bounds {
            Some(bounds) => format!(" A number {}.", bounds.describe(variable.kind)),
            None => String::new(),
        },
        Kind::Choice(values) => format!(" One of {}.", values.join(", ")),
    };
    format!("{}{unit}", variable.about)
}

fn example(variable: &Variable) -> &'static str {
    match variable.fallback {
        Fallback::Value(value) => value,
        Fallback::Description(_) => variable.example.unwrap_or_default(),
    }
}

/// Wraps `text` at blanks into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::config::{
        Endpoint, ExecutorUrls, Executors, Flags, LayeredVars, Mode, PolicyPosture, Settings, Vars,
        settings::Limits,
    };

    #[test]
    fn variables_have_unique_names_and_descriptions() {
        let mut names = BTreeSet::new();
        for variable in variables::all() {
            for name in std::iter::once(variable.name).chain(variable.aliases.iter().copied()) {
                assert!(names.insert(name), "{name} twice");
            }
            assert!(variable.about.ends_with('.'), "{}", variable.name);
            assert!(!example(variable).is_empty(), "{} has no example", variable.name);
            if let (Kind::Choice(values), Fallback::Value(value)) = (variable.kind, variable.fallback) {
                assert!(values.contains(&value), "{}", variable.name);
            }
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
        assert_eq!(set.map(|variable| variable.name).collect::<BTreeSet<_>>(), BTreeSet::from(STARTS_WITH));
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
        assert_eq!(settings.journal.path, default.journal.path);
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

    #[test]
    fn configuration_document_has_the_table() {
        const PATH: &str = "docs/configuration.md";
        let document = std::fs::read_to_string(PATH).expect("the document");
        let after = |text: &str, mark: &str| {
            let found = text.split_once(mark).map(|(before, after)| (before.to_owned(), after.to_owned()));
            found.unwrap_or_else(|| panic!("{PATH} has no {mark:?}"))
        };
        let (before, rest) = after(&document, "<!-- config-table: ");
        let (mark, rest) = after(&rest, "-->\n");
        let (_, rest) = after(&rest, "<!-- end -->");
        let wanted = format!("{before}<!-- config-table: {mark}-->\n{}<!-- end -->{rest}", markdown());
        expectorate::assert_contents(PATH, &wanted);
    }

    #[test]
    fn wrapping_breaks_at_blanks() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable", 3), ["unbreakable"]);
    }
}
