//! A child process whose output is kept, and which does not outlive its owner.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use crate::venv::Venv;

/// The time limit for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The variables that processes inherit. Variables that configure them are not
/// among them, so that they behave the same everywhere.
const INHERITED: [&str; 5] = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "LLVM_PROFILE_FILE"];

/// A command with no other environment than these variables.
pub fn command<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    vars: impl IntoIterator<Item = (K, V)>,
) -> Command {
    let mut command = Command::new(program);
    let inherited = INHERITED.iter().filter_map(|name| Some((name, env::var_os(name)?)));
    command.env_clear().envs(inherited).envs(vars);
    command
}

/// The same for a program that does not outlive us (see `attended.py`).
pub fn attended<K: AsRef<OsStr>, V: AsRef<OsStr>>(
    venv: &Venv,
    program: &Path,
    vars: impl IntoIterator<Item = (K, V)>,
) -> Command {
    let mut command = command(venv.python(), vars);
    // Isolated and without packages, Python starts quickly.
    command.args(["-I", "-S"]).arg(venv.script("attended.py")).arg(program);
    command
}

pub struct Process {
    child: Child,
    log: Arc<Log>,
}

impl Process {
    /// Starts a command made by [`attended`]. Its output also goes to this file.
    pub fn start(name: &str, mut command: Command, file: Option<&Path>) -> Result<Self> {
        let file = file.map(|path| File::options().create(true).append(true).open(path)).transpose();
        let file = Arc::new(Mutex::new(file.with_context(|| format!("open the log of the {name}"))?));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start the {name}"))?;
        let log = Arc::new(Log {
            name: name.to_owned(),
            written: Mutex::new(Written { lines: Vec::new(), open: 2 }),
            grown: Condvar::new(),
        });
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let (log, file) = (Arc::clone(&log), Arc::clone(&file));
            thread::spawn(move || log.keep(stream, &file));
        }
        Ok(Self { child, log })
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Its number, for measurements.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the process has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("ask for a process")
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).stderr(Stdio::null()).status();
        let sent = sent.context("run kill")?;
        ensure!(sent.success(), "SIG{name} for process {id}: {sent}");
        Ok(())
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        // Fails only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            self.log.print();
        }
    }
}

/// The output of a process, of stdout and stderr.
pub struct Log {
    name: String,
    written: Mutex<Written>,
    grown: Condvar,
}

struct Written {
    lines: Vec<String>,
    /// The number of streams that have not ended.
    open: usize,
}

impl Log {
    /// Waits for a line in which `find` finds something. Earlier lines count.
    pub fn line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let mut read = 0;
        let mut found = None;
        let look = |written: &mut Written| {
            found = written.lines[read..].iter().find_map(|line| find(line));
            read = written.lines.len();
            found.is_none() && written.open > 0
        };
        let (written, waited) = self
            .grown
            .wait_timeout_while(self.written(), PATIENCE, look)
            .unwrap_or_else(PoisonError::into_inner);
        let Some(found) = found else {
            let last = written
                .lines
                .iter()
                .rev()
                .take(20)
                .rev()
                .fold(String::new(), |all, line| all + "\n  " + line);
            let how = if waited.timed_out() {
                format!("not within {PATIENCE:?}")
            } else {
                "the process has ended".into()
            };
            bail!("{what}, by the {}: {how}; its last lines:{last}", self.name);
        };
        Ok(found)
    }

    /// The number of lines so far that contain all of `words`.
    pub fn count(&self, words: &[&str]) -> usize {
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        self.written().lines.iter().filter(has_all).count()
    }

    /// Prints the log, for the report of a failed test.
    pub fn print(&self) {
        self.print_last(usize::MAX);
    }

    /// Prints the last lines, for a process that several tests share.
    pub fn print_last(&self, count: usize) {
        println!("--- output of the {}:", self.name);
        let written = self.written();
        for line in &written.lines[written.lines.len().saturating_sub(count)..] {
            println!("{line}");
        }
        println!("--- end of the output of the {}", self.name);
    }

    fn keep(&self, stream: impl Read, file: &Mutex<Option<File>>) {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if let Some(file) = &mut *file.lock().unwrap_or_else(PoisonError::into_inner) {
                // The lines are kept in memory even if the file cannot be written.
                let _ = writeln!(file, "{line}");
            }
            self.written().lines.push(line);
            self.grown.notify_all();
        }
        self.written().open -= 1;
        self.grown.notify_all();
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
