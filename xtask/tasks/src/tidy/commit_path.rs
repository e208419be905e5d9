//! The commit path of the journal on PostgreSQL must not make commits wait for one
//! another (docs/adr/0045): what would is not in its files.

use super::{Report, Source};

/// The files whose statements are executed by commits.
const FILES: [&str; 3] = [
    "src/server/journal/postgres/batch.rs",
    "src/server/journal/postgres/sql.rs",
    "src/server/journal/postgres/writer.rs",
];

/// What has no place there, in lower case, and why.
const FORBIDDEN: [(&str, &str); 8] = [
    ("notify ", "a notification takes a lock of the whole cluster until the flush"),
    ("savepoint ", "more than 64 overflow a cache of the server"),
    ("advisory", "an advisory lock outlives what it is for"),
    ("for share", "a shared row lock makes multixacts"),
    ("for key share", "a shared row lock makes multixacts"),
    ("lock table", "a table lock stops everyone"),
    ("nextval", "a sequence is no order of commits"),
    ("truncate ", "it locks the whole table"),
];

/// The schema has no trigger either: every commit would execute it.
const SCHEMA: &str = "src/server/journal/postgres/schema.rs";

pub(super) fn check(source: &Source, report: &mut Report<'_>) {
    let code = || {
        let lines = source.text.lines().enumerate();
        lines
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| (at, line.to_lowercase()))
    };
    if FILES.contains(&source.path.as_str()) {
        for (at, line) in code() {
            for (word, why) in FORBIDDEN.iter().filter(|(word, _)| line.contains(word)) {
                report.error(at + 1, format!("`{}` on the commit path: {why}", word.trim_end()));
            }
        }
    }
    if source.path == SCHEMA {
        for (at, _) in code().filter(|(_, line)| line.contains("create trigger")) {
            report.error(at + 1, "a trigger: every commit would execute it".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Finding;

    fn findings(path: &str, text: &str) -> Vec<usize> {
        let source = Source { path: path.into(), text: text.into() };
        let mut found: Vec<Finding> = Vec::new();
        check(&source, &mut Report { path: &source.path, findings: &mut found });
        found.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn statements_that_make_commits_wait_are_found() {
        let sql = "src/server/journal/postgres/sql.rs";
        assert_eq!(findings(sql, "//! No savepoints.\n\"SAVEPOINT a\"\n\"SELECT 1 FOR SHARE\"\n"), [2, 3]);
        assert_eq!(findings(sql, "\"SELECT 1 FOR UPDATE SKIP LOCKED\"\n"), [0; 0]);
        assert_eq!(findings("src/server/journal/postgres/claims.rs", "\"SAVEPOINT a\""), [0; 0]);
        assert_eq!(findings(SCHEMA, "CREATE TABLE a ();\nCREATE TRIGGER b"), [2]);
    }

    #[test]
    fn the_files_exist() {
        for file in FILES.iter().chain([&SCHEMA]) {
            assert!(xtask_support::workspace::root().join(file).is_file(), "{file}");
        }
    }
}
