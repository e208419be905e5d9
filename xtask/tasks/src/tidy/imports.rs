//! What a file imports of its own crate: every path that begins with `crate`,
//! `super` or `self`, in a `use` or inside code, and every `use` of a child
//! module, written out from the root.

use std::collections::HashSet;

use super::tokens::Token;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) line: usize,
    /// `["journal", "JournalError", "Conflict"]`
    pub(super) path: Vec<String>,
    /// The name that a `use` gives to it in this module, from where others may
    /// import it.
    pub(super) name: Option<String>,
}

/// The imports of code outside of tests, in a file that is `module`.
pub(super) fn imports(module: &[String], tokens: &[Token]) -> Vec<Import> {
    let mut reader =
        Reader { tokens, here: module.to_vec(), children: children(tokens), imports: Vec::new() };
    // The number of open braces at which each inline module ends.
    let (mut ends, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    while at < tokens.len() {
        let mut next = at + 1;
        match reader.text(at) {
            "mod" if reader.text(at + 2) == "{" => {
                reader.here.push(reader.text(at + 1).to_owned());
                ends.push(depth);
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if ends.last() == Some(&depth) {
                    ends.pop();
                    reader.here.pop();
                }
            }
            "use" => next = reader.used(at + 1),
            // `pub(in path)` says who may see it, and imports nothing.
            "in" if at > 1 && reader.text(at - 1) == "(" && reader.text(at - 2) == "pub" => {
                while reader.text(next) != ")" && next < tokens.len() {
                    next += 1;
                }
            }
            "crate" | "super" | "self" if reader.text(at + 1) == "::" && !reader.is_after_path(at) => {
                next = reader.path(at, false);
            }
            _ => {}
        }
        at = next;
    }
    reader.imports
}

/// The modules that a file declares.
fn children(tokens: &[Token]) -> HashSet<String> {
    let declared = tokens.windows(3).filter(|window| window[0].text == "mod");
    let is_module = |window: &&[Token]| matches!(window[2].text.as_str(), ";" | "{");
    declared.filter(is_module).map(|window| window[1].text.clone()).collect()
}

struct Reader<'t> {
    tokens: &'t [Token],
    /// The module that the reader is in.
    here: Vec<String>,
    children: HashSet<String>,
    imports: Vec<Import>,
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| token.text.as_str())
    }

    fn is_after_path(&self, at: usize) -> bool {
        at > 0 && self.text(at - 1) == "::"
    }

    /// Reads what follows `use`; returns where it ends.
    fn used(&mut self, at: usize) -> usize {
        if self.text(at) != "{" {
            return self.path(at, true);
        }
        let mut at = at + 1;
        while !matches!(self.text(at), "}" | "") {
            at = self.path(at, true);
            at += usize::from(self.text(at) == ",");
        }
        at + 1
    }

    /// Reads a path of ours, or skips one of another crate; returns where it
    /// ends.
    fn path(&mut self, at: usize, is_use: bool) -> usize {
        let (base, from) = match self.text(at) {
            // The folder `server` is no room of its own: see `Module::of_file`.
            "crate" if self.text(at + 2) == "server" => (Vec::new(), at + 4),
            "crate" => (Vec::new(), at + 2),
            "self" => (self.here.clone(), at + 2),
            "super" => (parent(&self.here), at + 2),
            child if self.children.contains(child) => (self.here.clone(), at),
            _ => return self.skip(at),
        };
        self.tree(from, base, is_use)
    }

    /// Where a path of another crate ends.
    fn skip(&self, mut at: usize) -> usize {
        let mut depth = 0_usize;
        loop {
            match self.text(at) {
                "" => return at,
                ";" | "," | "}" if depth == 0 => return at,
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads what follows a `::`: a name, a path, `*` or `{…}`. Returns where it
    /// ends.
    fn tree(&mut self, at: usize, mut prefix: Vec<String>, is_use: bool) -> usize {
        if self.text(at) == "{" {
            let mut at = at + 1;
            while !matches!(self.text(at), "}" | "") {
                at = self.tree(at, prefix.clone(), is_use);
                at += usize::from(self.text(at) == ",");
            }
            return at + 1;
        }
        match self.text(at) {
            "super" => _ = prefix.pop(),
            "self" => {}
            name => prefix.push(name.to_owned()),
        }
        if self.text(at + 1) == "::" && self.text(at + 2) != "<" {
            return self.tree(at + 2, prefix, is_use);
        }
        let is_renamed = is_use && self.text(at + 1) == "as";
        let renamed = if is_renamed { Some(self.text(at + 2).to_owned()) } else { prefix.last().cloned() };
        let name = renamed.filter(|_| is_use);
        let token = &self.tokens[at];
        if !token.test {
            self.imports.push(Import { line: token.line, path: prefix, name });
        }
        at + if is_renamed { 3 } else { 1 }
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module.split_last().map(|(_, parent)| parent.to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{modules::Module, tokens::tokens},
        *,
    };

    fn found(file: &str, text: &str) -> Vec<Import> {
        imports(&Module::of_file(file).unwrap().path, &tokens(file, text).unwrap())
    }

    fn paths(file: &str, text: &str) -> Vec<String> {
        found(file, text).into_iter().map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn paths_are_found_however_they_are_written() {
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
            ("mod x; pub use x::y; use z::w;", vec!["journal::sqlite::x::y"]),
            ("use {std::{fmt, io}, crate::api};", vec!["api"]),
            ("use crate::{\n    api,\n};", vec!["api"]),
            ("pub(in crate::server::journal) fn f() {} use crate::api;", vec!["api"]),
            ("#[cfg(test)] mod tests { use crate::app; }", vec![]),
            ("/// [`crate::app`]\nfn f() { \"crate::app\"; self.x() }", vec![]),
        ] {
            assert_eq!(paths("src/server/journal/sqlite.rs", text), expected, "{text}");
        }
        assert_eq!(paths("src/server/record.rs", "use super::app::Server;"), ["app::Server"]);
    }

    #[test]
    fn uses_name_what_they_import() {
        let found =
            found("src/server/api/mod.rs", "use crate::{time, ids::RunId as Id}; fn f(x: crate::X) {}");
        let names: Vec<_> = found.iter().map(|import| import.name.as_deref()).collect();
        assert_eq!(names, [Some("time"), Some("Id"), None]);
    }
}
