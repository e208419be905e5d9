//! Checks the files of `src/` against the tables of [`super::rules`].

use super::{
    Report,
    imports::Import,
    modules::Module,
    rules::{
        CHANGE_SET, CHANGE_SET_MAKERS, CHANGE_SET_TESTERS, COMMITTERS, EVERYTHING, LAYERS, Layer, Place,
        TABLE, WORDS,
    },
    tokens::Token,
};

pub(super) fn check(module: &Module, imports: &[Import], tokens: &[Token], report: &mut Report<'_>) {
    // The root only lists modules, and the program may use all of the library.
    let Some(top) = module.path.first().filter(|top| *top != "main") else { return };
    let name = module.name();
    match row_of(&name) {
        Some(layer) => check_imports(layer, imports, report),
        None => report.error(0, format!("module `{top}` has no row: state in {TABLE} what it may import")),
    }
    check_words(&name, tokens, report);
    check_change_sets(&name, tokens, report);
    check_commits(&name, tokens, report);
}

/// The row for a module: its own, or that of the closest module around it.
fn row_of(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().filter(|layer| is_in(name, layer.module)).max_by_key(|layer| layer.module.len())
}

/// `name` is `scope` or in it.
fn is_in(name: &str, scope: &str) -> bool {
    scope == EVERYTHING
        || name.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_in_any(name: &str, scopes: &[&str]) -> bool {
    scopes.iter().any(|scope| is_in(name, scope))
}

fn check_imports(layer: &Layer, imports: &[Import], report: &mut Report<'_>) {
    let Layer { module: own, may } = layer;
    for import in imports {
        // Exported macros stand at the root, wherever they were written.
        let [first, rest @ ..] = import.path.as_slice() else { continue };
        if rest.is_empty() && row_of(first).is_none() {
            continue;
        }
        let path = import.path.join("::");
        if is_in(&path, own) || is_in_any(&path, may) {
            continue;
        }
        let may = if may.is_empty() { "nothing of ours".into() } else { may.join(", ") };
        report.error(
            import.line,
            format!(
                "`{own}` may not import `crate::{path}`, only: {may}. Move what both need further down, or \
                 pass it in behind a trait of `{own}` (the table: {TABLE})"
            ),
        );
    }
}

fn check_words(name: &str, tokens: &[Token], report: &mut Report<'_>) {
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| !token.test) {
        let Some(word) = WORDS.iter().find(|word| word.word == token.text) else { continue };
        if is_name_of_something_else(tokens, at) {
            continue;
        }
        let (allowed, rule) = match word.place {
            Place::Only(scopes) => (is_in_any(name, scopes), format!("only {} may", scopes.join(", "))),
            Place::Never(scopes) => (!is_in_any(name, scopes), format!("{} may not", scopes.join(", "))),
        };
        if !allowed {
            report.error(token.line, format!("`{}` in `{name}`: {rule}; {}", word.word, word.why));
        }
    }
}

/// Whether the word is a name of something else: `x::rand`, `x.rand`. But
/// `::rand` is the crate, and `.await` is the word itself.
fn is_name_of_something_else(tokens: &[Token], at: usize) -> bool {
    let before = |steps| at.checked_sub(steps).map_or("", |at: usize| tokens[at].text.as_str());
    let is_path =
        |text: &str| text != "use" && text.starts_with(|c: char| c.is_alphanumeric() || "_>".contains(c));
    match before(1) {
        "." => tokens[at].text != "await",
        "::" => is_path(before(2)),
        _ => false,
    }
}

/// Finds literals (`ChangeSet { … }`) and constructors (`ChangeSet::new`). Any
/// module may destructure one with `let`.
fn check_change_sets(name: &str, tokens: &[Token], report: &mut Report<'_>) {
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.text == CHANGE_SET) {
        let text =
            |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", |token| token.text.as_str());
        // Declarations, patterns, and the result of a function before its body.
        let is_other = matches!(text(at.checked_sub(1)), "struct" | "impl" | "for" | "let" | ">");
        let is_made = matches!(text(Some(at + 1)), "{" | "::") && !is_other;
        let may = is_in_any(name, &CHANGE_SET_MAKERS) || token.test && is_in_any(name, &CHANGE_SET_TESTERS);
        if is_made && !may {
            report.error(
                token.line,
                format!(
                    "`{name}` makes a {CHANGE_SET}: only `engine` does, because decisions are made there. \
                     Have the engine decide it (to destructure one, use `let`)"
                ),
            );
        }
    }
}

fn check_commits(name: &str, tokens: &[Token], report: &mut Report<'_>) {
    let code: Vec<&Token> = tokens.iter().filter(|token| !token.test).collect();
    for window in code.windows(3) {
        let is_commit = window.iter().map(|token| token.text.as_str()).eq([".", "commit", "("]);
        if is_commit && !is_in_any(name, &COMMITTERS) {
            report.error(
                window[1].line,
                format!("`{name}` commits: only {} may; call the coordinator", COMMITTERS.join(", ")),
            );
        }
    }
}
