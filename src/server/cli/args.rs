//! The command line. The commands that use the operator API: `operator`.

mod operator;

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

pub use self::operator::{ApprovalsCommand, Decision, OperatorTarget, Output};
use super::exit::Exit;
use crate::{
    config::{
        ConfigError, Flags, HttpUrl, Kind, OutboundTls, Secret, SecretSource, Vars, render,
        settings::{DEFAULT_HOST, DEFAULT_PORT, client_token, serves_https},
        value::{self, is_loopback_url, loopback_url},
    },
    record::AuditOutcome,
    time::Timestamp,
    types::RunId,
};

/// ARP Run Coordinator: starts runs, dispatches their nodes, enforces their
/// limits, streams their events.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "jarvis-run-coordinator",
    version,
    after_help = "Configured by environment variables, also from .env.local and .env: --help lists them.",
    after_long_help = render::after_help(&Exit::MEANINGS.map(|(exit, meaning)| (exit.code(), meaning))),
    // A fixed width keeps the help the same everywhere, and testable.
    term_width = render::WIDTH,
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

impl Cli {
    /// The command, by default serving.
    pub fn chosen(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the server (the default)
    Serve,
    /// Print the OpenAPI document of the server
    Openapi {
        /// Of the operator API instead
        #[arg(long)]
        operator: bool,
    },
    /// Print the effective configuration and what is wrong with it
    CheckConfig,
    /// Run a built-in example from start to end, without any other service
    Demo {
        /// Keep the server running afterwards, to be tried with curl, and keep its journal
        #[arg(long)]
        keep: bool,
    },
    /// Send a JSON file with a run or node runs to a server, and fetch one back
    SendRequest {
        /// The file to send; examples/node-runs.json is an example
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Query the health of a server
    Health {
        #[command(flatten)]
        target: Target,
    },
    /// List what waits for an approval, and decide about it (operator API)
    Approvals {
        #[command(subcommand)]
        command: ApprovalsCommand,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Maintain a journal: back it up, check it, compact it, rotate its key, print its audit trail
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// Examine exported runs: verify a file, compare two
    Runs {
        #[command(subcommand)]
        command: RunsCommand,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum RunsCommand {
    /// Check that an exported run is whole and unchanged
    Verify {
        /// A file that `journal export` made
        file: PathBuf,
        /// The hash that the export printed: without it, a file that was written again from the start is not noticed
        #[arg(long, value_name = "HASH")]
        hash: Option<String>,
    },
    /// Show where two exported runs part
    Diff { first: PathBuf, second: PathBuf },
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum JournalCommand {
    /// Copy the journal to a new file; the server may run
    Backup {
        /// Destination; must not exist. It contains secrets, as the journal does
        file: PathBuf,
    },
    /// Check the integrity of a journal and its records; the server may run
    Check {
        /// The journal to check, such as a backup, instead of --journal
        file: Option<PathBuf>,
    },
    /// Print the audit trail: who asked for what, and what a rule refused; the server may run
    Audit {
        /// Only about this run
        #[arg(long, value_name = "RUN")]
        run: Option<RunId>,
        /// Only from this time on, such as 2026-11-28T12:00:00Z, or this long ago, such as 12h
        #[arg(long, value_name = "TIME", value_parser = since)]
        since: Option<Since>,
        /// Only of this actor: a subject, the node run of an executor, coordinator or command_line
        #[arg(long, value_name = "SUBJECT")]
        actor: Option<String>,
        /// Only with this outcome
        #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(["applied", "refused"]).map(outcome))]
        outcome: Option<AuditOutcome>,
        /// Format: a table, or a JSON object a line
        #[arg(short, long, value_name = "FORMAT", default_value = "table")]
        output: Output,
    },
    /// Reclaim free space (VACUUM); the server must not run
    Compact {
        /// First delete runs that finished longer ago than this, such as 30d or 12h
        #[arg(long, value_name = "AGE", value_parser = age)]
        finished_before: Option<Duration>,
    },
    /// Write all that is recorded about a run to a file that shows changes; the server may run
    Export {
        run: RunId,
        /// Destination; must not exist
        file: PathBuf,
    },
    /// Sign assignment tokens with a new key; the server may run
    RotateKey {
        /// Delete the old keys at once, because one has leaked: running composites fail
        #[arg(long)]
        revoke_old: bool,
    },
}

/// The time of the first record to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    At(Timestamp),
    Ago(Duration),
}

impl Since {
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => now - age,
        }
    }
}

/// The server that a command calls.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Base URL of the server [default: derived from --host and --port]
    #[arg(long, value_name = "URL", value_parser = base_url)]
    url: Option<HttpUrl>,
    /// Bearer token; visible to other processes, unlike JARVIS_RUN_COORDINATOR_TOKEN
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    token: Option<Secret>,
    /// PEM file with root certificates to trust, instead of JARVIS_RUN_COORDINATOR_CA_BUNDLE
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Target {
    pub fn url(&self, vars: &dyn Vars, flags: &Flags) -> String {
        self.url.as_ref().map_or_else(
            || {
                let host = flags.host.as_deref().unwrap_or(DEFAULT_HOST);
                loopback_url(serves_https(vars), host, flags.port.unwrap_or(DEFAULT_PORT))
            },
            |url| url.as_str().to_owned(),
        )
    }

    /// Whether it is a server with HTTPS on a loopback address, found by its own
    /// settings.
    pub fn is_own(&self, vars: &dyn Vars, flags: &Flags) -> bool {
        let loopback = is_loopback_url(&self.url(vars, flags));
        self.url.is_none() && self.ca.is_none() && serves_https(vars) && loopback
    }

    /// The certificates to trust and to show.
    pub fn tls(&self, vars: &dyn Vars) -> Result<OutboundTls, ConfigError> {
        let configured = OutboundTls::from_vars(vars)?;
        Ok(OutboundTls { ca_bundle: self.ca.clone().or(configured.ca_bundle), ..configured })
    }

    pub fn token(&self, vars: &dyn Vars) -> Result<Option<SecretSource>, ConfigError> {
        match &self.token {
            Some(token) => Ok(Some(SecretSource::Value(token.clone()))),
            None => client_token(vars),
        }
    }
}

fn base_url(text: &str) -> Result<HttpUrl, String> {
    HttpUrl::base(text).ok_or_else(|| "not an http:// or https:// URL without a query".to_owned())
}

fn since(text: &str) -> Result<Since, String> {
    let ago = || value::age(text).map(Since::Ago);
    let found = text.parse().ok().map(Since::At).or_else(ago);
    found.ok_or_else(|| "not a time such as 2026-11-28T12:00:00Z, nor an age such as 12h".to_owned())
}

/// The outcome of that name, which is one of two.
#[expect(clippy::needless_pass_by_value, reason = "the signature that clap needs")]
fn outcome(name: String) -> AuditOutcome {
    if name == AuditOutcome::Refused.as_str() { AuditOutcome::Refused } else { AuditOutcome::Applied }
}

fn age(text: &str) -> Result<Duration, String> {
    value::age(text).ok_or_else(|| format!("not {}", Kind::Age.expected()))
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory;

    use super::*;
    use crate::config::variables;

    #[test]
    fn command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_accepted_before_and_after_the_command() {
        let flags = Flags {
            host: Some("0.0.0.0".into()),
            port: Some(8082),
            reload: true,
            journal: Some("/data/j.db".into()),
        };
        let given = ["--host", "0.0.0.0", "--port", "8082", "--reload", "--journal", "/data/j.db"];
        for command in [None, Some("serve")] {
            for before in [true, false] {
                let mut line = vec!["jarvis-run-coordinator"];
                line.extend(before.then_some(&given).into_iter().flatten());
                line.extend(command);
                line.extend((!before).then_some(&given).into_iter().flatten());
                let cli = Cli::try_parse_from(&line).expect("understood");
                assert_eq!((cli.chosen(), &cli.flags), (Command::Serve, &flags), "{line:?}");
            }
        }
    }

    #[test]
    fn only_known_commands_are_accepted() {
        let command = |line: &str| {
            Cli::try_parse_from(line.split(' ')).map(|cli| cli.chosen()).map_err(|error| error.exit_code())
        };
        assert_eq!(command("x"), Ok(Command::Serve));
        assert_eq!(command("x openapi"), Ok(Command::Openapi { operator: false }));
        assert_eq!(command("x check-config"), Ok(Command::CheckConfig));
        assert_eq!(command("x demo"), Ok(Command::Demo { keep: false }));
        assert_eq!(command("x demo --keep"), Ok(Command::Demo { keep: true }));
        assert_eq!(command("x health"), Ok(Command::Health { target: Target::default() }));
        let journal = |command| Ok(Command::Journal { command });
        assert_eq!(command("x journal check"), journal(JournalCommand::Check { file: None }));
        let backup = JournalCommand::Backup { file: "b.db".into() };
        assert_eq!(command("x journal backup b.db"), journal(backup));
        let month = Some(Duration::from_secs(30 * 24 * 3600));
        let compact = JournalCommand::Compact { finished_before: month };
        assert_eq!(command("x journal compact --finished-before 30d"), journal(compact));
        for (line, revoke_old) in
            [("x journal rotate-key", false), ("x journal rotate-key --revoke-old", true)]
        {
            assert_eq!(command(line), journal(JournalCommand::RotateKey { revoke_old }), "{line}");
        }
        let sent = Command::SendRequest { request: "a.json".into(), target: Target::default() };
        assert_eq!(command("x send-request --request a.json"), Ok(sent));
        let usage = i32::from(Exit::Usage.code());
        for line in [
            "x nothing",
            "x --port high",
            "x --port 65536",
            "x --journal",
            "x serve --keep",
            "x send-request",
            "x journal",
            "x journal backup",
            "x journal compact --finished-before long",
        ] {
            assert_eq!(command(line), Err(usage), "{line}");
        }
        assert_eq!(command("x --version"), Err(0));
    }

    #[test]
    fn target_is_derived_from_flags_or_a_url() {
        let target = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).expect("understood");
            let Command::Health { target } = cli.chosen() else { panic!("{line}") };
            (target.url(&BTreeMap::new(), &cli.flags), target)
        };
        for (line, url) in [
            ("x health", "http://127.0.0.1:8081"),
            ("x health --host 0.0.0.0 --port 9000", "http://127.0.0.1:9000"),
            ("x health --port 9000 --url https://host/arp/v1/", "https://host/arp"),
        ] {
            assert_eq!(target(line).0, url, "{line}");
        }
        let error = Cli::try_parse_from(["x", "health", "--url", "host:8081"]).expect_err("no URL");
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()));
        assert!(error.to_string().contains("not an http:// or https:// URL"), "{error}");

        let vars = BTreeMap::from([(variables::TOKEN.name.to_owned(), " v ".to_owned())]);
        for (line, token) in [("x health", "v"), ("x health --token flag", "flag")] {
            let token = SecretSource::Value(Secret::new(token.into()));
            assert_eq!(target(line).1.token(&vars), Ok(Some(token)), "{line}");
        }
        assert_eq!(Target::default().token(&BTreeMap::new()), Ok(None));
    }

    #[test]
    fn own_server_is_that_of_the_settings_on_loopback() {
        let https = BTreeMap::from([(variables::TLS_CERT.name.to_owned(), "cert.pem".to_owned())]);
        for (line, vars, url, own) in [
            ("x health", &BTreeMap::new(), "http://127.0.0.1:8081", false),
            ("x health", &https, "https://127.0.0.1:8081", true),
            ("x health --host ::", &https, "https://[::1]:8081", true),
            ("x health --host localhost", &https, "https://localhost:8081", true),
            ("x health --host 10.0.0.7", &https, "https://10.0.0.7:8081", false),
            ("x health --ca ca.pem", &https, "https://127.0.0.1:8081", false),
            ("x health --url https://127.0.0.1:8081", &https, "https://127.0.0.1:8081", false),
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).expect("understood");
            let Command::Health { target } = cli.chosen() else { panic!("{line}") };
            assert_eq!(target.url(vars, &cli.flags), url, "{line}");
            assert_eq!(target.is_own(vars, &cli.flags), own, "{line}");
        }
    }

    #[test]
    fn help_matches_the_golden_files() {
        let long = Cli::command().render_long_help().to_string();
        expectorate::assert_contents("tests/output/help.txt", &long);
        assert!(long.contains(&format!("[default: {DEFAULT_HOST}]")));
        assert!(long.contains(&format!("[default: {DEFAULT_PORT}]")));
        let short = Cli::command().render_help().to_string();
        expectorate::assert_contents("tests/output/help-short.txt", &short);
    }
}
