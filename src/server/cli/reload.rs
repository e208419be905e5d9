//! `--reload`: notice that the binary or an env file has changed, and become
//! the new binary. The server drains in between.
//!
//! Files are polled: two or three look-ups a few times a second cost nothing,
//! work on every file system, and need no further crate.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use crate::time::Clock;

const POLL: Duration = Duration::from_millis(300);

/// This program, as it was started.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    words: Vec<OsString>,
}

impl Program {
    /// To be called at start-up: once the file has been replaced, the system
    /// no longer knows the path of what is running.
    pub fn this() -> io::Result<Self> {
        Ok(Self { path: std::env::current_exe()?, words: std::env::args_os().collect() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces this process by the program as it now is on disk, with the same
    /// words and environment. Returns only if that fails. Nothing is unwound:
    /// what must be flushed or closed comes before.
    pub fn exec_again(&self) -> io::Error {
        self.command().exec()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        if let Some((name, words)) = self.words.split_first() {
            command.arg0(name).args(words);
        }
        command
    }
}

/// What tells one state of a file from another; `None` if there is no file.
type Stamp = Option<(SystemTime, u64)>;

/// Whether a file may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// That it is gone is a change as any other.
    Counts,
    /// It is being replaced: wait for what comes.
    IsPassing,
}

#[derive(Clone, Debug)]
struct Watched {
    path: PathBuf,
    absence: Absence,
    at_start: Stamp,
}

/// The files whose change means a new start.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    files: Vec<Watched>,
}

impl Watch {
    /// Remembers what `program` and `env_files` look like now.
    pub fn new(program: &Path, env_files: Vec<PathBuf>) -> Self {
        let watched = |path: PathBuf, absence| Watched { at_start: stamp(&path, absence), path, absence };
        let program = watched(program.to_owned(), Absence::IsPassing);
        let env_files = env_files.into_iter().map(|path| watched(path, Absence::Counts));
        Self { files: std::iter::once(program).chain(env_files).collect() }
    }

    /// Waits until a file differs from what it was at the start, and has been
    /// the same for one more look, so that it is complete. Returns its path.
    pub async fn changed(&self, clock: &dyn Clock) -> PathBuf {
        let mut before: Vec<Stamp> = self.look();
        loop {
            clock.sleep(POLL).await;
            let now = self.look();
            let settled = self.files.iter().zip(before.iter().zip(&now)).find(|(file, (before, now))| {
                let counts = match file.absence {
                    Absence::Counts => true,
                    Absence::IsPassing => now.is_some(),
                };
                counts && before == now && **now != file.at_start
            });
            if let Some((file, _)) = settled {
                return file.path.clone();
            }
            before = now;
        }
    }

    fn look(&self) -> Vec<Stamp> {
        self.files.iter().map(|file| stamp(&file.path, file.absence)).collect()
    }
}

/// Blocking, but no more than a look at what the kernel has in memory.
fn stamp(path: &Path, absence: Absence) -> Stamp {
    let data = fs::metadata(path).ok()?;
    // An empty program is one that is about to be written.
    let passing = absence == Absence::IsPassing && data.len() == 0;
    let stamp = (data.modified().ok()?, data.len());
    (!passing).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use async_trait::async_trait;

    use super::*;
    use crate::time::Timestamp;

    /// A clock on which each sleep lets the next thing happen. That nothing is
    /// left to happen ends the test: the watch has missed something.
    struct Script(Mutex<VecDeque<Box<dyn FnOnce() + Send>>>);

    #[async_trait]
    impl Clock for Script {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(0)
        }
        async fn sleep(&self, time: Duration) {
            assert_eq!(time, POLL);
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
        /// Which file is found changed, and how many steps are then left.
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
    async fn a_new_binary_counts_once_it_is_complete() {
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
    async fn env_files_count_when_they_appear_change_or_disappear() {
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
    async fn what_becomes_as_it_was_is_no_change() {
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
    fn the_program_is_started_with_its_own_words() {
        let program =
            Program { path: "/bin/echo".into(), words: vec!["name".into(), "a".into(), "b c".into()] };
        let output = program.command().output().expect("started");
        assert_eq!(output.stdout, b"a b c\n");
        let this = Program::this().expect("this test");
        assert!(this.path().is_absolute());
        let gone = Program { path: "/nowhere/at/all".into(), words: Vec::new() };
        assert_eq!(gone.exec_again().kind(), io::ErrorKind::NotFound);
    }
}
