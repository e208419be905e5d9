//! What the tools of `xtask/` share, and what the tests among the real JARVIS
//! services need of them. No tool depends on another for these.
//!
//! ```text
//!  workspace      where it is, its files, its cargo
//!  pinned_folder  folders below `target/`, made from pinned files
//!     ├─ venv     the Python environments of `tests/stack`
//!     ├─ postgres its programs, for private servers
//!     └─ npm      packages of Node
//!         ├─ openid   its OpenID provider, a Node program
//!         └─ browser  Chromium and axe, for `tests/ui`
//!  process        a child process: its log, and its end with ours
//! ```

pub mod browser;
pub mod npm;
pub mod openid;
pub mod pinned_folder;
pub mod postgres;
pub mod process;
pub mod venv;
pub mod workspace;

use std::process::ExitCode;

/// How a tool ends. Its errors are about the project, so there is no backtrace
/// of the tool.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
