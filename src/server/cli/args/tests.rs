//! What the command line accepts, and its help.

use std::{collections::BTreeMap, time::Duration};

use clap::CommandFactory;

use super::*;
use crate::config::{
    Secret, SecretSource,
    settings::{DEFAULT_HOST, DEFAULT_PORT},
    variables,
};

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
        log_level: Some(slog::Level::Warning),
        verbose: 0,
    };
    let given =
        ["--host", "0.0.0.0", "--port", "8082", "--reload", "--journal", "/data/j.db", "--log-level", "warn"];
    for command in [None, Some("serve")] {
        for before in [true, false] {
            let mut line = vec!["jarvis-run-coordinator"];
            line.extend(before.then_some(&given).into_iter().flatten());
            line.extend(command);
            line.extend((!before).then_some(&given).into_iter().flatten());
            let cli = Cli::try_parse_from(&line).expect("understood");
            assert!(matches!(cli.chosen(), Command::Serve { .. }), "{line:?}");
            assert_eq!(cli.flags(), flags, "{line:?}");
        }
    }
}

#[test]
fn only_known_commands_are_accepted() {
    let command = |line: &str| {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.chosen()).map_err(|error| error.exit_code())
    };
    assert_eq!(command("x"), Ok(Command::Serve { flags: Flags::default() }));
    assert_eq!(command("x openapi"), Ok(Command::Openapi { operator: false }));
    for (line, probe) in [("x check-config", false), ("x check-config --probe", true)] {
        assert_eq!(command(line), Ok(Command::CheckConfig { probe, flags: Flags::default() }));
    }
    for (line, keep) in [("x demo", false), ("x demo --keep", true)] {
        assert_eq!(command(line), Ok(Command::Demo { keep, place: DemoPlace::default() }));
    }
    let init = |profile, force| Ok(Command::Init { profile, force });
    assert_eq!(command("x init"), init(Template::DevInsecure, false));
    assert_eq!(command("x init --profile enterprise --force"), init(Template::Enterprise, true));
    assert!(matches!(command("x doctor -o json --port 1"), Ok(Command::Doctor { .. })));
    assert_eq!(command("x health"), Ok(Command::Health { target: Target::default() }));
    let journal = |command| Ok(Command::Journal { command, journal: None });
    assert_eq!(command("x journal check"), journal(JournalCommand::Check { file: None }));
    let backup = JournalCommand::Backup { file: "b.db".into() };
    assert_eq!(command("x journal backup b.db"), journal(backup));
    let month = Some(Duration::from_secs(30 * 24 * 3600));
    let compact = JournalCommand::Compact { finished_before: month };
    assert_eq!(command("x journal compact --finished-before 30d"), journal(compact));
    for (line, revoke_old) in [("x journal rotate-key", false), ("x journal rotate-key --revoke-old", true)] {
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
        "x demo --reload",
        "x init --profile strict",
        "x serve -v --log-level info",
        "x serve --log-level loud",
        "x openapi --port 80",
        "x approvals list --journal j.db",
        "x runs list --reload",
        "x runs cancel r",
        "x runs cancel --reason why",
        "x runs tree r --follow --output json",
        "x nodes attempts n --output ids",
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
        (target.url(&BTreeMap::new(), &cli.flags()), target)
    };
    for (line, url) in [
        ("x health", "http://127.0.0.1:8081"),
        ("x health --host 0.0.0.0 --port 9000", "http://127.0.0.1:9000"),
        ("x --port 9000 health", "http://127.0.0.1:9000"),
        ("x --port 9000 health --port 9001", "http://127.0.0.1:9001"),
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
        assert_eq!(target.url(vars, &cli.flags()), url, "{line}");
        assert_eq!(target.is_own(vars, &cli.flags()), own, "{line}");
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

/// What `explain` prints can be typed as it is.
#[test]
fn suggested_commands_are_understood() {
    let commands = crate::explain::suggested_commands();
    assert!(commands.len() >= 2, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let understood = Cli::try_parse_from(&words);
        assert!(understood.is_ok(), "{command}: {:?}", understood.err().map(|error| error.to_string()));
    }
}

/// `docs/command-line.md`, from the same definitions as the help.
#[test]
fn documented_command_line_is_the_help() {
    let mut page = String::from(INTRODUCTION);
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        document(command, &mut page);
    }
    expectorate::assert_contents("docs/command-line.md", &page);
}

const INTRODUCTION: &str = include_str!("introduction.md");

/// A section for each command that does something, in the order of the help.
fn document(command: &clap::Command, page: &mut String) {
    if command.has_subcommands() {
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            document(command, page);
        }
        return;
    }
    let path = command.get_bin_name().expect("built").split_once(' ').expect("below the program").1;
    let help = command.clone().render_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
}
