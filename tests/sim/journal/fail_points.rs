//! The faults inside a commit: before it, after it, and a dead process.

use std::sync::{Arc, Mutex};

use jarvis_run_coordinator::journal::{JournalError, sqlite::memory::FailPoints};

use super::injected;
use crate::{
    life::Life,
    scenario::WriteFault,
    world::{World, lock},
};

/// The faults inside the SQLite journal.
pub(super) struct Commits {
    pub(super) world: Arc<World>,
    pub(super) life: Arc<Life>,
    pub(super) next: Arc<Mutex<Option<WriteFault>>>,
}

impl Commits {
    fn crash(&self, when: &'static str) -> Result<(), JournalError> {
        self.world.count(when);
        self.life.end();
        Err(injected(when))
    }

    fn fail(&self, how: &'static str) -> Result<(), JournalError> {
        self.world.count(how);
        Err(injected(how))
    }
}

impl FailPoints for Commits {
    fn is_dead(&self) -> bool {
        self.life.is_over()
    }

    fn before_commit(&self) -> Result<(), JournalError> {
        let mut next = lock(&self.next);
        match next.take_if(|fault| matches!(fault, WriteFault::CrashInside | WriteFault::FailInside)) {
            Some(WriteFault::CrashInside) => self.crash("crash inside a transaction"),
            Some(_) => self.fail("transaction undone"),
            None => Ok(()),
        }
    }

    fn after_commit(&self) -> Result<(), JournalError> {
        match lock(&self.next).take() {
            Some(WriteFault::CrashAfter) => self.crash("crash after a write"),
            Some(WriteFault::FailAfter) => self.fail("write failed after"),
            Some(_) | None => Ok(()),
        }
    }

    fn served(&self, pieces: usize) {
        if pieces > 1 {
            self.world.count("several writes in one transaction");
        }
        self.world.look();
    }
}
