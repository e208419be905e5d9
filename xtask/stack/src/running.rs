//! The parts of a stack as processes: each may be stopped, and started again at the
//! same address.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use xtask_support::process::{Log, Process};

use crate::{
    blueprint::{self, Blueprint},
    part::{Part, Profile, Turn, secret_of},
};

pub struct Stack {
    pub blueprint: Blueprint,
    running: Mutex<BTreeMap<Part, Process>>,
}

impl Stack {
    /// Starts all own parts of the blueprint, and waits until they listen.
    pub fn start(blueprint: Blueprint) -> Result<Self> {
        let stack = Self::at_rest(blueprint)?;
        for turn in [Turn::First, Turn::Then, Turn::Last] {
            let parts = stack.blueprint.own().iter().copied().filter(|part| part.turn() == turn);
            stack.start_parts(&parts.collect::<Vec<_>>())?;
        }
        Ok(stack)
    }

    /// A stack of which nothing is started yet.
    pub fn at_rest(blueprint: Blueprint) -> Result<Self> {
        let folder = &blueprint.folder;
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let (lock_file, text) = blueprint::lock_file(folder);
        fs::write(&lock_file, text).with_context(|| format!("write {}", lock_file.display()))?;
        Ok(Self { blueprint, running: Mutex::default() })
    }

    /// Starts parts, all at the same time.
    pub fn start_parts(&self, parts: &[Part]) -> Result<()> {
        let mut logs = Vec::new();
        for part in parts {
            self.stop(*part);
            let file = self.blueprint.log_file(*part);
            let process = Process::start(part.name(), self.blueprint.command(*part), Some(&file))?;
            logs.push(Arc::clone(process.log()));
            self.running().insert(*part, process);
        }
        for log in logs {
            log.line("that it listens", |line| {
                ["Uvicorn running on ", "listening"].iter().any(|word| line.contains(word)).then_some(())
            })?;
        }
        Ok(())
    }

    /// Stops a part with SIGKILL.
    pub fn stop(&self, part: Part) {
        self.running().remove(&part);
    }

    /// The log of a part since its last start.
    pub fn log(&self, part: Part) -> Arc<Log> {
        let running = self.running();
        let process = running.get(&part).unwrap_or_else(|| panic!("the {} is not running", part.name()));
        Arc::clone(process.log())
    }

    /// The processes of all parts that run, but for those of some.
    pub fn processes_but(&self, some: &[Part]) -> Vec<u32> {
        let running = self.running();
        running.iter().filter(|(part, _)| !some.contains(part)).map(|(_, process)| process.id()).collect()
    }

    /// The process of a part, for measurements.
    pub fn process(&self, part: Part) -> Option<u32> {
        self.running().get(&part).map(Process::id)
    }

    pub fn url(&self, part: Part) -> String {
        self.blueprint.url(part)
    }

    /// A token for calling a part, if it demands any.
    pub fn token(&self, client: &str, part: Part) -> Result<Option<String>> {
        match self.blueprint.profile {
            Profile::DevInsecure => return Ok(None),
            Profile::Jwt => {}
        }
        let secret = secret_of(client);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("client_secret", &secret),
            ("audience", part.audience()),
        ];
        let mut answer =
            ureq::post(self.blueprint.token_endpoint()).send_form(form).context("ask the STS")?;
        let answer: Value = answer.body_mut().read_json().context("read the STS's answer")?;
        let token = answer["access_token"].as_str().context("the STS's answer has no token")?;
        Ok(Some(token.to_owned()))
    }

    /// The number of token requests so far, of one client or of all.
    pub fn token_requests(&self, client: Option<&str>) -> Result<u64> {
        let url = format!("{}/counts", self.url(Part::Sts));
        let answer: Value = ureq::get(url).call()?.body_mut().read_json()?;
        let entries = answer["requests"].as_array().context("the STS's counts")?;
        let asked = entries.iter().filter(|entry| client.is_none_or(|client| entry["client"] == client));
        Ok(asked.filter_map(|entry| entry["count"].as_u64()).sum())
    }

    /// Fails if a part has ended by itself.
    pub fn check(&self) -> Result<()> {
        for (part, process) in self.running().iter_mut() {
            let ended = process.ended()?;
            ensure!(
                ended.is_none(),
                "the {} has ended: {ended:?}; see {}",
                part.name(),
                self.blueprint.log_file(*part).display()
            );
        }
        Ok(())
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Part, Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // In a failed test each process prints its log.
        if thread::panicking() {
            println!("=== the stack of the failed test, in {}", self.blueprint.folder.display());
        }
    }
}
