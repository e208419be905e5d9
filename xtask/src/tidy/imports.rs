//! What of our own a file names: every path that begins with `crate`, `super`
//! or `self`, in a `use` or in the midst of code, written out from the root.

use super::tokens::Token;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) line: usize,
    /// `["store", "JournalError", "Conflict"]`
    pub(super) path: Vec<String>,
}

/// The module that a file of `src/` is: `src/server/journal/sqlite.rs` →
/// `journal`, `sqlite`. None for other files. The crate root re-exports the
/// rooms of `src/server`, which is a folder for the sake of one `cfg`.
pub(super) fn module_of(path: &str) -> Option<Vec<String>> {
    let path = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let path = path.strip_prefix("server/").unwrap_or(path);
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    let is_root = module.len() == 1 && module[0] == "lib";
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    Some(module)
}

/// What code outside of tests names, in a file that is `module`.
pub(super) fn imports(module: &[String], tokens: &[Token]) -> Vec<Import> {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut imports = Vec::new();
    // The module that we are in, and the number of open braces at which it ends.
    let (mut here, mut ends, mut depth) = (module.to_vec(), Vec::new(), 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "mod" if text(at + 2) == "{" => {
                here.push(text(at + 1).to_owned());
                ends.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if ends.last() == Some(&depth) {
                    ends.pop();
                    here.pop();
                }
            }
            "crate" | "super" | "self"
                if !token.test && text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") =>
            {
                let base = match token.text {
                    "crate" => Vec::new(),
                    "self" => here.clone(),
                    _ => parent(&here),
                };
                let mut paths = Vec::new();
                tree(tokens, at + 2, base, &mut paths);
                imports.extend(paths.into_iter().map(|path| Import { line: token.line, path }));
            }
            _ => {}
        }
    }
    for import in &mut imports {
        // Visibility (`pub(in …)`) cannot go through the re-export.
        if import.path.first().is_some_and(|first| first == "server") {
            import.path.remove(0);
        }
    }
    imports
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default()
}

/// Reads what follows a `::`: a name, a path, `*` or `{…}`. Returns where it
/// ends.
fn tree(tokens: &[Token], at: usize, mut prefix: Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    match text(at) {
        "{" => {
            let mut at = at + 1;
            while at < tokens.len() && text(at) != "}" {
                at = tree(tokens, at, prefix.clone(), out);
                // `as` and its name.
                while at < tokens.len() && !matches!(text(at), "," | "}") {
                    at += 1;
                }
                if text(at) == "," {
                    at += 1;
                }
            }
            at + 1
        }
        name => {
            match name {
                "super" => _ = prefix.pop(),
                "self" => {}
                // The `r#` of a raw identifier.
                "r#" => return tree(tokens, at + 1, prefix, out),
                name => prefix.push(name.to_owned()),
            }
            let goes_on = text(at + 1) == "::" && text(at + 2) != "<";
            if goes_on {
                return tree(tokens, at + 2, prefix, out);
            }
            out.push(prefix);
            at + 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tokens::tokens, *};

    fn paths(file: &str, text: &str) -> Vec<String> {
        let module = module_of(file).unwrap();
        imports(&module, &tokens(file, text)).into_iter().map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn a_path_is_found_in_whatever_way_it_is_written() {
        for (text, expected) in [
            ("use crate::ids::RunId;", vec!["ids::RunId"]),
            (
                "use crate::{ids::{NodeRunId as N, RunId}, time, model::*};",
                vec!["ids::NodeRunId", "ids::RunId", "time", "model::*"],
            ),
            ("use crate::journal::{self, JournalError};", vec!["journal", "journal::JournalError"]),
            (
                "pub(crate) fn f() -> crate::journal::JournalError { crate::api::f::<u8>() }",
                vec!["journal::JournalError", "api::f"],
            ),
            ("macro_rules! m { () => { $crate::app::start() } }", vec!["app::start"]),
            ("use super::sibling;", vec!["journal::sibling"]),
            ("use super::super::app::Server;", vec!["app::Server"]),
            ("mod inner { use super::super::super::app; } use super::other;", vec!["app", "journal::other"]),
            ("use self::x::y;", vec!["journal::sqlite::x::y"]),
            ("use crate::{\n    api,\n};", vec!["api"]),
            ("#[cfg(test)] mod tests { use crate::server; }", vec![]),
            ("/// [`crate::server`]\nfn f() { \"crate::server\"; self.x() }", vec![]),
        ] {
            assert_eq!(paths("src/server/journal/sqlite.rs", text), expected, "{text}");
        }
        assert_eq!(paths("src/server/record.rs", "use super::app::Server;"), ["app::Server"]);
    }

    #[test]
    fn files_are_modules() {
        for (file, module) in [
            ("src/lib.rs", ""),
            ("src/types/ids.rs", "types::ids"),
            ("src/server/journal/mod.rs", "journal"),
            ("src/server/mod.rs", ""),
            ("src/server/journal/sqlite.rs", "journal::sqlite"),
        ] {
            assert_eq!(module_of(file).unwrap().join("::"), module);
        }
        assert_eq!(module_of("tests/integration/main.rs"), None);
    }
}
