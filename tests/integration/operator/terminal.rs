//! Commands on a terminal: tables, questions, lines that are redrawn.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::{Child, Command, Stdio},
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use serde_json::json;

use super::LISTEN;
use crate::support::{TestServer, soon};

const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// A command on a terminal of 80 columns and 24 rows.
struct Typed {
    child: Child,
    terminal: File,
    seen: String,
}

impl Typed {
    fn start(t: &TestServer, words: &[&str], vars: &[(&str, &str)]) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).and_then(|()| unlockpt(&controller)).expect("ours");
        let name = ptsname(&controller, Vec::new()).expect("its name").into_string().expect("UTF-8");
        let user = OpenOptions::new().read(true).write(true).open(name).expect("its other end");
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&user, size).expect("its size");
        let end = || Stdio::from(user.try_clone().expect("a descriptor"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_jarvis-run-coordinator"));
        command.args(words).env_clear().env("TERM", "xterm").envs(vars.iter().copied());
        command.env("JARVIS_RUN_COORDINATOR_OPERATOR_URL", t.operator_url());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the program starts");
        Self { child, terminal: File::from(controller), seen: String::new() }
    }

    /// Reads until this is seen. What was seen before counts, too.
    fn read_until(&mut self, text: &str) {
        while !self.seen.contains(text) {
            assert!(self.read(), "{text} in: {}", self.seen);
        }
    }

    fn read(&mut self) -> bool {
        let mut some = [0; 4096];
        match self.terminal.read(&mut some) {
            // The error is that the other end is closed.
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.seen.push_str(&String::from_utf8_lossy(&some[..read]));
                true
            }
        }
    }

    fn enter(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).expect("typed");
    }

    fn interrupt(&self) {
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(killed.expect("there is kill").success());
    }

    /// Everything that was shown, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        while self.read() {}
        (std::mem::take(&mut self.seen), self.child.wait().expect("it ends").code())
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        // It has usually ended by itself.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Does what blocks on a thread of its own, in good time.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    soon("the terminal", tokio::task::spawn_blocking(work)).await.expect("joined")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_runs_are_canceled_after_a_question() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for run in ["one", "two"] {
        t.run_start_with("composite.accept", json!({}), json!({"run_id": run})).await;
    }
    for (answer, code, states) in [("n\n", 1, ["running"; 2]), ("y\n", 0, ["canceled"; 2])] {
        let words = ["runs", "cancel", "one", "two", "--reason", "why", "--wait", "0"];
        let mut typed = Typed::start(&t, &words, &[]);
        let (seen, ended) = aside(move || {
            typed.read_until("cancel 2 runs? [y/N] ");
            typed.enter(answer);
            typed.end()
        })
        .await;
        assert_eq!(ended, Some(code), "{seen}");
        let found = ["one", "two"].map(|run| run.into());
        for (run, state) in found.iter().zip(states) {
            assert_eq!(t.run(run).await.state.to_string(), state, "{seen}");
        }
        // A table, because people read it.
        assert_eq!(seen.contains("RUN  STATE"), code == 0, "{seen}");
    }
    t.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_tree_is_redrawn_until_the_run_ends() {
    let t = TestServer::start_with(&[LISTEN]).await;
    for (run, colour) in [("plain", false), ("coloured", true)] {
        let id = t.run_start_with("composite.accept", json!({}), json!({"run_id": run})).await.run_id;
        let vars: &[(&str, &str)] = if colour { &[] } else { &[("NO_COLOR", "1")] };
        let words = ["runs", "tree", run, "--follow", "--url", t.url()];
        let mut typed = Typed::start(&t, &words, vars);
        let typed = aside(move || {
            typed.read_until("0 of 1 node runs over");
            typed
        })
        .await;
        t.cancel(&id).await;
        let (seen, ended) = aside(move || typed.end()).await;
        assert_eq!(ended, Some(0), "{seen}");
        assert!(seen.starts_with(HIDE_CURSOR) && seen.contains("1 of 1 node runs over"), "{seen}");
        let (_, after) = seen.rsplit_once(SHOW_CURSOR).expect("the cursor is back");
        assert!(after.contains(&format!("run {run} canceled: 1 node run, ")), "{seen}");
        assert_eq!(seen.contains("\x1b[1m"), colour, "{seen}");
    }
    t.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_list_ends_with_an_interrupt() {
    let t = TestServer::start_with(&[LISTEN]).await;
    t.run_start_with("composite.accept", json!({}), json!({"run_id": "one"})).await;
    let mut typed = Typed::start(&t, &["runs", "list", "--watch"], &[]);
    let (seen, ended) = aside(move || {
        typed.read_until("composite.accept@1.0.0");
        typed.interrupt();
        typed.end()
    })
    .await;
    assert_eq!(ended, Some(0), "{seen}");
    assert!(seen.starts_with(HIDE_CURSOR) && seen.ends_with(SHOW_CURSOR), "{seen}");
    t.stop().await;
}
