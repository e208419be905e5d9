//! `completions` and `man`: documents that clap makes of the command line.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{
    args::Cli,
    exit::{Exit, Failure},
};

/// Prints what the shell reads to complete our commands.
pub(super) fn completions(shell: Shell, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    // Into a buffer first: what writes directly panics if the reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    out.write_all(&script).and_then(|()| out.flush())?;
    Ok(Exit::Ok)
}

/// Prints the manual page of the program, or writes one for each command.
pub(super) fn man(directory: Option<&Path>, out: &mut dyn Write) -> Result<Exit, Failure> {
    let command = Cli::command();
    match directory {
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page).map_err(Failure::config)?;
            out.write_all(&page).and_then(|()| out.flush())?;
        }
        Some(directory) => {
            let failed = |error: io::Error| Failure::config(format!("{}: {error}", directory.display()));
            clap_mangen::generate_to(command, directory).map_err(failed)?;
        }
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_completions_of_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            completions(*shell, &mut script).expect("written");
            let script = String::from_utf8(script).expect("text");
            for word in ["jarvis-run-coordinator", "approvals", "cancel", "--operator-url"] {
                let word = if *shell == Shell::Elvish || *shell == Shell::Fish {
                    word.trim_start_matches('-')
                } else {
                    word
                };
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn manual_has_a_page_for_each_command() {
        let mut page = Vec::new();
        man(None, &mut page).expect("written");
        let page = String::from_utf8(page).expect("text");
        assert!(page.contains(".TH jarvis-run-coordinator 1") && page.contains("Exit codes"), "{page}");
        let folder = tempfile::tempdir().expect("a folder");
        man(Some(folder.path()), &mut Vec::new()).expect("written");
        for name in ["jarvis-run-coordinator", "jarvis-run-coordinator-runs-cancel"] {
            assert!(folder.path().join(format!("{name}.1")).is_file(), "{name}");
        }
    }
}
