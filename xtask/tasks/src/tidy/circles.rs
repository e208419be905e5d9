//! Circles of imports between the files of a crate.
//!
//! ```text
//!   imports ──▶ which file has what is imported ──▶ graph ──▶ its circles
//!                  (through re-exports)
//! ```
//!
//! Imports between a file and the modules around it do not count: a `mod.rs`
//! lists its files, and they share what it defines. An import of a re-export counts
//! as one of the file that it is from.

use std::collections::{HashMap, VecDeque};

use super::{Finding, imports::Import, modules::Module};

/// A file, and what it imports.
pub(super) struct File<'s> {
    pub(super) path: &'s str,
    pub(super) module: Module,
    pub(super) imports: Vec<Import>,
}

/// Longer chains of re-exports are not followed.
const CHAIN: usize = 8;

/// The circles, each at the first of its files.
pub(super) fn check(files: &[File<'_>]) -> Vec<Finding> {
    let graph = graph(files);
    let reaches: Vec<Vec<bool>> = (0..files.len()).map(|from| reached(&graph, from)).collect();
    let mut findings = Vec::new();
    let mut is_reported = vec![false; files.len()];
    for first in 0..files.len() {
        if is_reported[first] || !reaches[first][first] {
            continue;
        }
        let members: Vec<usize> =
            (0..files.len()).filter(|other| reaches[first][*other] && reaches[*other][first]).collect();
        members.iter().for_each(|member| is_reported[*member] = true);
        let shortest = members.iter().filter_map(|member| circle(&graph, *member)).min_by_key(Vec::len);
        let shown: Vec<&str> = shortest.iter().flatten().map(|member| files[*member].path).collect();
        findings.push(Finding {
            path: files[first].path.to_owned(),
            line: 0,
            message: format!(
                "{} files import each other in a circle, the shortest way: {}. Move what they share into a file \
                 that imports none of them",
                members.len(),
                shown.join(" → ")
            ),
        });
    }
    findings
}

/// The files that each file imports.
fn graph(files: &[File<'_>]) -> Vec<Vec<usize>> {
    let places: HashMap<(&str, &[String]), usize> = files
        .iter()
        .enumerate()
        .map(|(index, file)| ((file.module.krate, file.module.path.as_slice()), index))
        .collect();
    let targets = |file: &File<'_>| {
        let is_apart = |target: &usize| {
            let (own, other) = (&file.module.path, &files[*target].module.path);
            !own.starts_with(other) && !other.starts_with(own)
        };
        let target = |import: &Import| target(files, &places, file.module.krate, import.path.clone());
        file.imports.iter().filter_map(target).filter(is_apart).collect()
    };
    files.iter().map(targets).collect()
}

/// The file that has what is at this path.
fn target(
    files: &[File<'_>],
    places: &HashMap<(&str, &[String]), usize>,
    krate: &'static str,
    mut path: Vec<String>,
) -> Option<usize> {
    let mut found = None;
    for _ in 0..CHAIN {
        let place = |length: usize| Some((length, *places.get(&(krate, &path[..length]))?));
        let (length, index) = (0..=path.len()).rev().find_map(place)?;
        found = Some(index);
        let item = path.get(length)?;
        let is_export = |import: &&Import| import.name.as_ref() == Some(item);
        let Some(export) = files[index].imports.iter().find(is_export) else { break };
        let further = [export.path.as_slice(), &path[length + 1..]].concat();
        if further == path {
            break;
        }
        path = further;
    }
    found
}

fn reached(graph: &[Vec<usize>], from: usize) -> Vec<bool> {
    let mut seen = vec![false; graph.len()];
    let mut next = graph[from].clone();
    while let Some(file) = next.pop() {
        if !std::mem::replace(&mut seen[file], true) {
            next.extend(&graph[file]);
        }
    }
    seen
}

/// The shortest circle through a file.
fn circle(graph: &[Vec<usize>], start: usize) -> Option<Vec<usize>> {
    let mut before = vec![None; graph.len()];
    let mut next = VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for target in &graph[file] {
            if *target == start {
                let mut way = vec![start, file];
                while let Some(earlier) = before[way[way.len() - 1]] {
                    way.push(earlier);
                }
                way.reverse();
                way.dedup();
                way.push(start);
                way.dedup();
                return Some(way);
            }
            if *target != start && before[*target].is_none() {
                before[*target] = Some(file);
                next.push_back(*target);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{
        super::{imports::imports, tokens::tokens},
        *,
    };

    fn messages(texts: &[(&'static str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&'static str, &str)| {
            let module = Module::of_file(path).unwrap();
            let imports = imports(&module.path, &tokens(path, text).unwrap());
            File { path, module, imports }
        };
        let files: Vec<File<'_>> = texts.iter().map(file).collect();
        check(&files).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn circles_are_found_through_siblings_and_re_exports() {
        let mut files = vec![
            ("src/server/api/mod.rs", "mod a; mod b; mod c; pub use c::C;"),
            ("src/server/api/a.rs", "use super::b::B;"),
            ("src/server/api/b.rs", "use super::C;"),
            ("src/server/api/c.rs", "fn f() {}"),
        ];
        assert_eq!(messages(&files), [""; 0]);
        files[3].1 = "fn f() { super::a::g() }";
        let found = messages(&files);
        let circle = "src/server/api/a.rs → src/server/api/b.rs → src/server/api/c.rs → src/server/api/a.rs";
        assert!(
            found.len() == 1 && found[0].starts_with("3 files") && found[0].contains(circle),
            "{found:?}"
        );
    }

    #[test]
    fn a_module_and_its_own_files_are_no_circle() {
        let files = [
            ("src/server/api/mod.rs", "mod a; use a::A; pub struct Shared;"),
            ("src/server/api/a.rs", "use super::Shared;"),
        ];
        assert_eq!(messages(&files), [""; 0]);
    }
}
