//! A process whose output is kept, and which does not outlive its owner.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

use tokio::sync::watch;

use super::soon;

/// What processes inherit of our environment. Not what configures them, so that
/// they behave the same everywhere.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// A command in an environment of these variables.
pub fn command(program: impl AsRef<std::ffi::OsStr>, vars: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    let inherited = INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    command.env_clear().envs(inherited).envs(vars.iter().copied());
    command
}

pub struct Process {
    name: String,
    child: Child,
    output: Arc<watch::Sender<Output>>,
}

/// What a process has written, to stdout or stderr.
#[derive(Default)]
struct Output {
    lines: Vec<String>,
    /// Streams that have not ended.
    open: usize,
}

impl Process {
    /// Starts a command made by [`super::attended`].
    pub fn start(name: &str, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        let output = Arc::new(watch::Sender::new(Output { open: 2, ..Output::default() }));
        keep(child.stdout.take().expect("a pipe"), Arc::clone(&output));
        keep(child.stderr.take().expect("a pipe"), Arc::clone(&output));
        Self { name: name.into(), child, output }
    }

    /// Waits for a line in which `find` finds something. One that has been
    /// written already will do.
    pub async fn line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let what = format!("{what}, by the {}", self.name);
        let mut output = self.output.subscribe();
        let find = |output: &Output| output.lines.iter().find_map(|line| find(line));
        let seen = soon(&what, output.wait_for(|output| output.open == 0 || find(output).is_some())).await;
        find(&seen.expect("we hold the sender")).unwrap_or_else(|| panic!("{what}: it has ended"))
    }

    /// How many lines so far have all of `words`.
    pub fn count(&self, words: &[&str]) -> usize {
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        self.output.borrow().lines.iter().filter(has_all).count()
    }

    /// For the report of a test that has failed.
    pub fn print_output(&self) {
        println!("--- output of the {}:", self.name);
        for line in &self.output.borrow().lines {
            println!("{line}");
        }
        println!("--- end of the output of the {}", self.name);
    }

    /// Ends it without warning (SIGKILL).
    pub fn kill(&mut self) {
        // Fails if it has ended, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            self.print_output();
        }
    }
}

/// Runs a command to its end: its output, and whether it succeeded. What it
/// writes to stderr is printed.
pub async fn output_of(what: &str, command: Command) -> (String, bool) {
    let mut command = tokio::process::Command::from(command);
    let output = soon(what, command.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let output = output.unwrap_or_else(|error| panic!("start {what}: {error}"));
    print!("{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).expect("UTF-8"), output.status.success())
}

fn keep(stream: impl Read + Send + 'static, output: Arc<watch::Sender<Output>>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            output.send_modify(|output| output.lines.push(line));
        }
        output.send_modify(|output| output.open -= 1);
    });
}
