//! The syntax of env files, and the precedence of layers.

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use super::*;

#[test]
fn shell_syntax_is_supported() {
    let text = "\u{feff}# comment\nA=1\n\nexport B = 'two $x # words'\nC=\"x\\ny\"   # note\nD=\nA=3\nE=end ";
    let Layer { values, lines } = parse(text).expect("readable");
    let expected = [("A", "3"), ("B", "two $x # words"), ("C", "x\ny"), ("D", ""), ("E", "end")];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    // The line of the value that counts.
    let expected = [("A", 7), ("B", 4), ("C", 5), ("D", 6), ("E", 8)];
    assert_eq!(lines, expected.map(|(name, line)| (name.to_owned(), line)).into());
}

#[test]
fn invalid_line_is_named_and_not_quoted() {
    for (text, line) in [
        ("oops", 1),
        ("A=1\n\n# comment\n  oops\nB=2", 4),
        ("A=1\nB=two words\n", 2),
        ("A='1\n2'\nB='open\nC=3\n\n", 3),
        ("A=1\n1B=2", 2),
        ("A=1\n=2\n", 2),
    ] {
        assert_eq!(parse(text), Err(line), "{text}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(".env.local");
    fs::write(&path, "A=1\nhush hush\n").expect("written");
    let error = LayeredVars::load(directory.path()).expect_err("broken").to_string();
    assert_eq!(
        error,
        format!(
            "{}:2: not a NAME=value line (quote values with blanks, # or $; close every quote)",
            path.display()
        )
    );
}

#[test]
fn unreadable_file_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join(".env")).expect("a directory in its place");
    let error = LayeredVars::load(directory.path()).expect_err("unreadable").to_string();
    assert!(error.starts_with(&format!("cannot read {}/.env: ", directory.path().display())), "{error}");
}

#[test]
fn first_layer_decides_even_with_an_empty_value() {
    let layer = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let vars = LayeredVars::new(vec![
        (Source::Environment, layer(&[("A", "env"), ("EMPTY", "")])),
        (Source::EnvLocal, layer(&[("A", "local"), ("B", "local"), ("EMPTY", "local")])),
        (Source::EnvFile, layer(&[("A", "file"), ("B", "file"), ("C", "file")])),
    ]);
    for (name, value, source) in [
        ("A", Some("env"), Some(Source::Environment)),
        ("B", Some("local"), Some(Source::EnvLocal)),
        ("C", Some("file"), Some(Source::EnvFile)),
        ("EMPTY", None, Some(Source::Environment)),
        ("D", None, None),
    ] {
        assert_eq!(vars.trimmed(name).as_deref(), value, "{name}");
        assert_eq!(vars.source(name), source, "{name}");
    }
}

#[test]
fn files_are_read_from_the_given_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let none = LayeredVars::load(directory.path()).expect("no files");
    assert_eq!(none.source("ENV_FILE_TEST_A"), None);
    fs::write(directory.path().join(".env"), "ENV_FILE_TEST_A=1\nENV_FILE_TEST_B=1").expect("written");
    fs::write(directory.path().join(".env.local"), "ENV_FILE_TEST_B=2").expect("written");
    let vars = LayeredVars::load(directory.path()).expect("two files");
    assert_eq!(vars.get("ENV_FILE_TEST_A").as_deref(), Some("1"));
    assert_eq!(vars.get("ENV_FILE_TEST_B").as_deref(), Some("2"));
    assert_eq!(vars.source("ENV_FILE_TEST_B"), Some(Source::EnvLocal));
    // The process environment has a PATH, and is not changed.
    assert_eq!(vars.source("PATH"), Some(Source::Environment));
    assert!(std::env::var_os("ENV_FILE_TEST_A").is_none());
}

#[test]
fn only_known_variables_must_be_utf8() {
    let odd = || OsString::from_vec(vec![0xff]);
    let values = environment([("OTHER".into(), odd()), (odd(), "x".into())].into_iter());
    assert!(values.expect("ignored").is_empty());
    let error = environment([("ARP_PDP_URL".into(), odd())].into_iter()).expect_err("ours");
    assert_eq!(error.to_string(), "the environment variable ARP_PDP_URL is not valid UTF-8");
}
