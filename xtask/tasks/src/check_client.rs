//! `cargo xtask check-client`: the library as others use it, with the feature
//! `client` or without any. The library must compile by itself (features add up, so
//! no other check would notice), and must not depend on what only the server needs.

use anyhow::{Context, Result, ensure};

use xtask_support::workspace;

/// The feature sets in use.
const USES: [&[&str]; 2] = [&["--no-default-features"], &["--no-default-features", "--features", "client"]];

/// Dependencies that only the server needs: enough to notice when one of them is no
/// longer optional.
const SERVERS: [&str; 10] = [
    "clap",
    "dotenvy",
    "dropshot",
    "jsonwebtoken",
    "libsqlite3-sys",
    "quick_cache",
    "rusqlite",
    "slog",
    "slog-async",
    "slog-term",
];

pub fn run() -> Result<()> {
    for features in USES {
        let words = features.join(" ");
        let clippy = ["clippy", "--quiet", "--locked", "--lib"];
        let status = workspace::cargo(clippy.iter().chain(features).chain(&["--", "-D", "warnings"]))
            .status()
            .context("run cargo clippy")?;
        ensure!(status.success(), "the library with {words}: {status}");

        let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
        let output = workspace::cargo(tree.iter().chain(features)).output().context("run cargo tree")?;
        ensure!(
            output.status.success(),
            "cargo tree: {}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        let tree = String::from_utf8(output.stdout).context("cargo writes UTF-8")?;
        let brought = of_the_server(&tree);
        ensure!(
            brought.is_empty(),
            "the library with {words} depends on what only the server needs: {}",
            brought.join(", ")
        );
        println!("{words}: {} packages, none that only the server needs", packages(&tree).len());
    }
    Ok(())
}

/// The names in the output of `cargo tree`, sorted, each once.
fn packages(tree: &str) -> Vec<&str> {
    let mut names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn of_the_server(tree: &str) -> Vec<&str> {
    packages(tree).into_iter().filter(|name| SERVERS.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_dependencies_are_found_in_a_tree() {
        let tree = "ours v0.1.0 (/ours)\nbytes v1.0.0\nslog v2.8.2\nrusqlite v0.41.1\nslog v2.8.2 (*)\n\nslogan v1.0.0\n";
        assert_eq!(of_the_server(tree), ["rusqlite", "slog"]);
        assert_eq!(packages(tree).len(), 5);
    }

    #[test]
    fn every_name_is_a_dependency() {
        let lock = include_str!("../../../Cargo.lock");
        for name in SERVERS {
            assert!(lock.contains(&format!("name = \"{name}\"\n")), "{name}");
        }
    }
}
