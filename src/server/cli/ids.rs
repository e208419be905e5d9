//! The ids that a command is given: as arguments, and on stdin for `-`.
//!
//! ```text
//!   runs list --state running -o ids | runs cancel - --yes --reason "…"
//! ```

use std::io::BufRead;

use super::exit::{Exit, Failure};

/// What stands for the ids on stdin.
const STDIN: &str = "-";
/// More than this is work for the server: `bulk start`.
const MOST: usize = 10_000;
/// Longer than any id that the API accepts.
const LONGEST: u64 = 4096;

/// The ids, each once, in the order in which they were given.
pub(super) fn ids(given: &[String], stdin: &mut dyn BufRead) -> Result<Vec<String>, Failure> {
    let mut ids = Ids::default();
    let mut reads_stdin = false;
    for word in given {
        if word != STDIN {
            ids.add(word.trim())?;
        } else if !std::mem::replace(&mut reads_stdin, true) {
            read(stdin, &mut ids)?;
        }
    }
    if ids.ordered.is_empty() && !reads_stdin {
        return Err(usage("an id is empty"));
    }
    Ok(ids.ordered)
}

#[derive(Default)]
struct Ids {
    ordered: Vec<String>,
    known: std::collections::HashSet<String>,
}

impl Ids {
    fn add(&mut self, id: &str) -> Result<(), Failure> {
        if id.is_empty() || !self.known.insert(id.to_owned()) {
            return Ok(());
        }
        if self.ordered.len() == MOST {
            return Err(usage(format!("more than {MOST} ids: `bulk start` does it on the server")));
        }
        self.ordered.push(id.to_owned());
        Ok(())
    }
}

fn read(stdin: &mut dyn BufRead, ids: &mut Ids) -> Result<(), Failure> {
    for number in 1.. {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut *stdin, LONGEST);
        let length = limited.read_until(b'\n', &mut line);
        let length = length.map_err(|error| Failure::config(format!("cannot read stdin: {error}")))?;
        if length == 0 {
            break;
        }
        let line = std::str::from_utf8(&line).map_err(|_| usage(format!("line {number} is not UTF-8")))?;
        let line = line.trim();
        if line.starts_with('{') {
            return Err(usage(format!(
                "line {number} of stdin is JSON, not an id: use `-o ids` in the command that writes it"
            )));
        }
        if length as u64 == LONGEST {
            return Err(usage(format!("line {number} of stdin is longer than an id can be")));
        }
        ids.add(line)?;
    }
    Ok(())
}

fn usage(message: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(given: &[&str], stdin: &str) -> Result<Vec<String>, String> {
        let given: Vec<String> = given.iter().map(|&word| word.to_owned()).collect();
        ids(&given, &mut stdin.as_bytes()).map_err(|failure| {
            assert_eq!(failure.exit, Exit::Usage);
            failure.message
        })
    }

    #[test]
    fn ids_come_from_arguments_and_stdin_each_once() {
        let found = of(&["a", "-", "b", "-", "a"], "c\n\n b \r\nd").expect("ids");
        assert_eq!(found, ["a", "c", "b", "d"]);
        assert_eq!(of(&["-"], ""), Ok(vec![]));
        assert_eq!(of(&[" "], ""), Err("an id is empty".into()));
    }

    #[test]
    fn lines_that_are_no_ids_are_refused() {
        for (stdin, part) in [
            ("a\n{\"run_id\": \"b\"}\n", "line 2 of stdin is JSON"),
            (&"x".repeat(5000), "line 1 of stdin is longer than an id can be"),
        ] {
            let error = of(&["-"], stdin).expect_err("refused");
            assert!(error.starts_with(part), "{error}");
        }
        let many: String = (0..=MOST).map(|number| format!("run-{number}\n")).collect();
        assert!(of(&["-"], &many).expect_err("refused").contains("bulk start"));
    }
}
