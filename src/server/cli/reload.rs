//! `--reload`: notices that the binary or an env file has changed, and executes
//! the new binary once the server has drained.
//!
//! Files are polled: a few look-ups per second are cheap, work on every file
//! system, and need no further crate.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use crate::time::Clock;

const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// This program, as it was started.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// Must be called at start-up: after the file has been replaced, the system no
    /// longer knows the path of the running program.
    pub fn this() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, arguments: std::env::args_os().collect() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces this process by the program now on disk, with the same arguments
    /// and environment. Returns only on failure. Nothing is unwound: the caller
    /// flushes and closes before.
    pub fn exec_again(&self) -> io::Error {
        self.command().exec()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some((name, arguments)) = self.arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        command
    }
}

/// Identifies the state of a file; `None` if there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// Whether a file may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// Its absence is a change.
    IsChange,
    /// It is being replaced: wait for the new file.
    IsTransient,
}

#[derive(Clone, Debug)]
struct Watched {
    path: PathBuf,
    absence: Absence,
    at_start: Stamp,
}

/// The files whose change causes a restart.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    files: Vec<Watched>,
}

impl Watch {
    /// Records the present state of `program` and `env_files`.
    pub fn new(program: &Path, env_files: Vec<PathBuf>) -> Self {
        let watched = |path: PathBuf, absence| Watched { at_start: stamp(&path, absence), path, absence };
        let program = watched(program.to_owned(), Absence::IsTransient);
        let env_files = env_files.into_iter().map(|path| watched(path, Absence::IsChange));
        Self { files: std::iter::once(program).chain(env_files).collect() }
    }

    /// Waits until a file differs from its state at the start and has not changed
    /// since the last poll, so that it is complete. Returns its path.
    pub async fn changed(&self, clock: &dyn Clock) -> PathBuf {
        let mut before: Vec<Stamp> = self.stamps();
        loop {
            clock.sleep(POLL_INTERVAL).await;
            let now = self.stamps();
            let settled = self.files.iter().zip(before.iter().zip(&now)).find(|(file, (before, now))| {
                let counts = match file.absence {
                    Absence::IsChange => true,
                    Absence::IsTransient => now.is_some(),
                };
                counts && before == now && **now != file.at_start
            });
            if let Some((file, _)) = settled {
                return file.path.clone();
            }
            before = now;
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.files.iter().map(|file| stamp(&file.path, file.absence)).collect()
    }
}

/// Blocks, but only for metadata that the kernel has in memory.
fn stamp(path: &Path, absence: Absence) -> Stamp {
    let data = fs::metadata(path).ok()?;
    // An empty program is about to be written.
    let transient = absence == Absence::IsTransient && data.len() == 0;
    let stamp = (data.modified().ok()?, data.len());
    (!transient).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::time::Timestamp;

    /// A clock on which each sleep runs the next step. Fails if no step is left:
    /// the watch has missed a change.
    struct Script(Mutex<VecDeque<Box<dyn FnOnce() + Send>>>);

    #[async_trait]
    impl Clock for Script {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
        async fn sleep(&self, time: Duration) {
            assert_eq!(time, POLL_INTERVAL);
            let step = self.0.lock().expect("unpoisoned").pop_front();
            step.expect("the change is noticed by now")();
        }
    }

    struct Files {
        directory: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            let files = Self { directory: tempfile::tempdir().expect("a directory") };
            write(&files.path("program"), "old", 1);
            write(&files.path(".env"), "A=1", 1);
            files
        }
        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }
        fn watch(&self) -> Watch {
            Watch::new(&self.path("program"), vec![self.path(".env.local"), self.path(".env")])
        }
        /// The file that is found changed, and the number of steps then left.
        async fn changed(&self, steps: Vec<Step>) -> (String, usize) {
            let watch = self.watch();
            let steps = steps.into_iter().map(|step| {
                let directory = self.directory.path().to_owned();
                Box::new(move || step.happen(&directory)) as Box<dyn FnOnce() + Send>
            });
            let clock = Script(Mutex::new(steps.collect()));
            let path = watch.changed(&clock).await;
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, clock.0.into_inner().expect("unpoisoned").len())
        }
    }

    enum Step {
        Nothing,
        Write(&'static str, &'static str, u64),
        Remove(&'static str),
    }

    impl Step {
        fn happen(self, directory: &Path) {
            match self {
                Self::Nothing => {}
                Self::Write(name, text, time) => write(&directory.join(name), text, time),
                Self::Remove(name) => fs::remove_file(directory.join(name)).expect("removed"),
            }
        }
    }

    fn write(path: &Path, text: &str, time: u64) {
        fs::write(path, text).expect("written");
        let file = fs::File::options().append(true).open(path).expect("open");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)).expect("a time");
    }

    #[tokio::test]
    async fn new_binary_is_noticed_once_complete() {
        let found = Files::new()
            .changed(vec![
                Step::Nothing,
                Step::Remove("program"),
                Step::Nothing,
                Step::Write("program", "", 2),
                Step::Nothing,
                Step::Write("program", "ne", 2),
                Step::Write("program", "new", 3),
                Step::Nothing,
                Step::Nothing,
            ])
            .await;
        assert_eq!(found, ("program".to_owned(), 1));
    }

    #[tokio::test]
    async fn env_files_that_appear_change_or_disappear_are_noticed() {
        let steps = |step| vec![Step::Nothing, step, Step::Nothing, Step::Nothing];
        for (step, name) in [
            (Step::Write(".env.local", "A=2", 2), ".env.local"),
            (Step::Write(".env", "A=2", 2), ".env"),
            (Step::Write(".env", "A=22", 1), ".env"),
            (Step::Remove(".env"), ".env"),
        ] {
            assert_eq!(Files::new().changed(steps(step)).await, (name.to_owned(), 1));
        }
    }

    #[tokio::test]
    async fn restored_file_is_not_a_change() {
        let found = Files::new()
            .changed(vec![
                Step::Remove(".env"),
                Step::Write(".env", "A=1", 1),
                Step::Nothing,
                Step::Write("program", "new", 2),
                Step::Nothing,
            ])
            .await;
        assert_eq!(found, ("program".to_owned(), 0));
    }

    #[test]
    fn program_is_executed_with_its_own_arguments() {
        let program =
            Program { path: "/bin/echo".into(), arguments: vec!["name".into(), "a".into(), "b c".into()] };
        let output = program.command().output().expect("started");
        assert_eq!(output.stdout, b"a b c\n");
        let this = Program::this().expect("this test");
        assert!(this.path().is_absolute());
        let gone = Program { path: "/nowhere/at/all".into(), arguments: Vec::new() };
        assert_eq!(gone.exec_again().kind(), io::ErrorKind::NotFound);
    }
}
