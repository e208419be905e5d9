//! The question before a change of more than one thing.
//!
//! | | on a terminal | without one |
//! |---|---|---|
//! | one thing, or `--yes`, or `--dry-run` | goes on | goes on |
//! | several | asks | refuses: a script says `--yes` |

use std::io::{self, BufRead, IsTerminal, Write};

use super::{
    args::Care,
    exit::{Exit, Failure},
};

/// Asks on the terminal, if it has to.
pub(super) fn confirm(care: Care, what: &str, count: usize) -> Result<(), Failure> {
    let stdin = io::stdin();
    let is_terminal = stdin.is_terminal() && io::stderr().is_terminal();
    ask(care, what, count, is_terminal.then(|| stdin.lock()).as_mut(), &mut io::stderr())
}

/// `what` has the verb and the things: `cancel 3 runs`.
fn ask(
    care: Care,
    what: &str,
    count: usize,
    terminal: Option<&mut impl BufRead>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if count <= 1 || care.yes || care.dry_run {
        return Ok(());
    }
    let Some(terminal) = terminal else {
        let message =
            format!("{what}: there is no terminal to ask on. Say --yes, or look first with --dry-run.");
        return Err(Failure::new(Exit::Usage, message));
    };
    write!(out, "{what}? [y/N] ").and_then(|()| out.flush()).map_err(Failure::config)?;
    let mut answer = String::new();
    io::Read::take(terminal, 64).read_line(&mut answer).map_err(Failure::config)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Declined, "nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Care = Care { dry_run: false, yes: false };

    fn asked(care: Care, count: usize, answer: Option<&str>) -> (Option<Exit>, String) {
        let mut out = Vec::new();
        let mut answer = answer.map(str::as_bytes);
        let end = ask(care, "cancel 3 runs", count, answer.as_mut(), &mut out);
        (end.err().map(|failure| failure.exit), String::from_utf8(out).expect("text"))
    }

    #[test]
    fn several_things_need_a_yes() {
        let question = "cancel 3 runs? [y/N] ".to_owned();
        for answer in ["y\n", "Yes\n"] {
            assert_eq!(asked(ASK, 3, Some(answer)), (None, question.clone()));
        }
        for answer in ["", "\n", "n\n", "yes please\n"] {
            assert_eq!(asked(ASK, 3, Some(answer)), (Some(Exit::Declined), question.clone()), "{answer:?}");
        }
    }

    #[test]
    fn script_must_say_yes_for_several_things() {
        assert_eq!(asked(ASK, 3, None), (Some(Exit::Usage), String::new()));
        for (care, count) in
            [(ASK, 1), (ASK, 0), (Care { yes: true, ..ASK }, 3), (Care { dry_run: true, ..ASK }, 3)]
        {
            assert_eq!(asked(care, count, None), (None, String::new()));
        }
    }
}
