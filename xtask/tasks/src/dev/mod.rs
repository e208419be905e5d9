//! `cargo xtask dev`: the server for development, rebuilt and restarted as files
//! change.
//!
//! ```text
//!   sources, env files ──▶ Watch ──▶ cargo build ──▶ binary ──▶ server --reload
//!                                                      └─ noticed by the server ─┘
//! ```
//!
//! With `--reload` the running server replaces itself with the new binary and reads
//! changed env files. This command builds, and starts a server when none is running,
//! because the first build failed or because the server ended with an unusable
//! configuration.

mod env_file;
mod watch;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use xtask_support::workspace;

use self::watch::Watch;

const PROGRAM: &str = "jarvis-run-coordinator";
const POLL: Duration = Duration::from_millis(300);

#[derive(clap::Args, Debug, Default)]
pub struct Args {
    /// Flags of the server, such as --port 9000
    #[arg(value_name = "FLAG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub flags: Vec<OsString>,
}

pub fn run(args: &Args) -> Result<()> {
    let root = workspace::root();
    if let Some(made) = env_file::make_if_missing(&root)? {
        say(&format!("created {} for development; it lists all settings", made.display()));
    }
    let (sender, events) = mpsc::channel();
    let stop = sender.clone();
    ctrlc::set_handler(move || {
        // The receiver is gone when the session has ended.
        let _ended = stop.send(Event::Stop);
    })
    .context("catch signals")?;
    Session {
        watch: Watch::new(&root),
        poll: POLL,
        build: &mut build,
        start: &mut |program: &Path| {
            let mut command = Command::new(program);
            command.arg("--reload").args(&args.flags).current_dir(&root).stdin(Stdio::null());
            command.spawn().with_context(|| format!("start {}", program.display()))
        },
        sender,
        events,
    }
    .run()
}

enum Event {
    /// Ctrl-C or SIGTERM.
    Stop,
    ServerEnded(ExitStatus),
}

/// Keeps a server running.
struct Session<'a> {
    watch: Watch,
    /// The polling interval of files.
    poll: Duration,
    /// Builds the program; `None` if that failed.
    build: &'a mut dyn FnMut() -> Result<Option<PathBuf>>,
    start: &'a mut dyn FnMut(&Path) -> Result<Child>,
    sender: Sender<Event>,
    events: Receiver<Event>,
}

/// The process id of the running server, if there is one.
type Server = Option<u32>;

impl Session<'_> {
    fn run(mut self) -> Result<()> {
        let mut server = None;
        loop {
            self.watch.remember();
            let built = (self.build)()?;
            match (built, server) {
                (Some(program), None) => server = Some(self.start(&program)?),
                (Some(_), Some(_)) => {}
                (None, Some(_)) => say("build failed: the running server stays"),
                (None, None) => say("build failed: no server is running"),
            }
            if !self.wait(&mut server)? {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to build; `false` if the session ends.
    fn wait(&mut self, server: &mut Server) -> Result<bool> {
        loop {
            match self.events.recv_timeout(self.poll) {
                Err(RecvTimeoutError::Timeout) if self.watch.changed() => return Ok(true),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Ok(Event::Stop) => return self.stop(*server).map(|()| false),
                // Another process asked the server to end.
                Ok(Event::ServerEnded(status)) if status.success() => return Ok(false),
                Ok(Event::ServerEnded(status)) => {
                    *server = None;
                    say(&format!("the server ended ({status}); the next change of a file starts another"));
                }
            }
        }
    }

    fn start(&mut self, program: &Path) -> Result<u32> {
        let mut child = (self.start)(program)?;
        let (id, sender) = (child.id(), self.sender.clone());
        thread::spawn(move || {
            if let Ok(status) = child.wait() {
                // The receiver is gone when the session has ended.
                let _ended = sender.send(Event::ServerEnded(status));
            }
        });
        Ok(id)
    }

    /// Lets the server drain. Ctrl-C in a terminal reaches the server as well; a
    /// second signal does no harm.
    fn stop(&self, server: Server) -> Result<()> {
        let Some(id) = server else { return Ok(()) };
        Command::new("kill").arg(id.to_string()).stderr(Stdio::null()).status().context("run kill")?;
        // Further Ctrl-C reach the server; this loop waits until it has ended.
        while let Ok(Event::Stop) = self.events.recv() {}
        Ok(())
    }
}

/// Builds the program; cargo prints the errors.
fn build() -> Result<Option<PathBuf>> {
    let words =
        ["build", "--package", PROGRAM, "--bin", PROGRAM, "--message-format", "json-render-diagnostics"];
    let output = workspace::cargo(words).stderr(Stdio::inherit()).output().context("run cargo build")?;
    if !output.status.success() {
        return Ok(None);
    }
    let program = executable(&String::from_utf8_lossy(&output.stdout));
    program.context("cargo build does not say where the program is").map(Some)
}

/// The path of the program in cargo's messages.
fn executable(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.find(|path| path.file_stem().is_some_and(|name| name == PROGRAM))
}

fn say(text: &str) {
    eprintln!("dev: {text}");
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, fs};

    use super::*;

    #[test]
    fn program_path_comes_from_cargo() {
        let messages = format!(
            "{{\"reason\":\"compiler-artifact\",\"executable\":null}}\nno JSON\n\
             {{\"executable\":\"/t/build-script\"}}\n{{\"executable\":\"/t/debug/{PROGRAM}\"}}\n"
        );
        assert_eq!(executable(&messages), Some(format!("/t/debug/{PROGRAM}").into()));
        assert_eq!(executable(""), None);
    }

    /// The fake builds drive the session: each change leads to one.
    #[test]
    fn session_keeps_a_server_running_until_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("build.rs");
        let (sender, events) = mpsc::channel();
        let stop = sender.clone();
        let (mut builds, started) = (0, RefCell::new(Vec::new()));
        let mut build = || {
            builds += 1;
            // The change leads to the next build.
            fs::write(&source, "x".repeat(builds)).unwrap();
            match (builds, started.borrow().len()) {
                (1, _) => Ok(None),
                (_, 0) => Ok(Some("exit 3".into())),
                // Repeated until the session has seen that the first server ended.
                (_, 1) => Ok(Some("exec sleep 600".into())),
                _ => {
                    stop.send(Event::Stop).unwrap();
                    Ok(None)
                }
            }
        };
        let mut last = 0;
        let mut start = |program: &Path| {
            let child = Command::new("sh").arg("-c").arg(program).spawn()?;
            started.borrow_mut().push(program.to_owned());
            last = child.id();
            Ok(child)
        };
        Session {
            watch: Watch::new(folder.path()),
            poll: Duration::from_millis(2),
            build: &mut build,
            start: &mut start,
            sender,
            events,
        }
        .run()
        .unwrap();
        assert_eq!(*started.borrow(), [Path::new("exit 3"), Path::new("exec sleep 600")]);
        let alive = Command::new("kill").args(["-0", &last.to_string()]).stderr(Stdio::null()).status();
        assert!(!alive.unwrap().success(), "the session waited for the server");
    }
}
