//! The coordinator's API, for callers that expect it to be killed at any moment:
//! a missing answer is normal, and a well-behaved caller repeats its call. Among
//! several replicas each call goes to the next one, also when it is a repetition.

use std::{
    io::{BufRead, BufReader},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use super::{history::History, signal::Signals};

/// Waits between calls.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];

pub(super) struct Api {
    agent: Agent,
    /// Of each replica.
    urls: Vec<String>,
    next: AtomicUsize,
    signals: Arc<Signals>,
    history: Arc<History>,
}

/// An answer of the coordinator.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// Whether the caller may repeat the call later.
    fn is_busy(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }
}

impl Api {
    /// For calls to these replicas, with a time limit for each call.
    pub(super) fn new(
        urls: Vec<String>,
        limit: Duration,
        signals: Arc<Signals>,
        history: Arc<History>,
    ) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(limit))
            .build();
        Self { agent: config.into(), urls, next: AtomicUsize::new(0), signals, history }
    }

    /// Calls once; `None` if there was no answer. A status that is not expected
    /// here is a violation.
    pub(super) fn ask(&self, path: &str, body: Option<&Value>, expected: &[u16]) -> Option<Answer> {
        let answer = self.send(path, body).and_then(|mut response| {
            let text = response.body_mut().read_to_string().ok()?;
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Some(Answer { status: response.status().as_u16(), body })
        });
        match &answer {
            None => self.history.answers().unanswered += 1,
            Some(answer) if answer.is_busy() => self.history.answers().busy += 1,
            Some(Answer { status, .. }) if expected.contains(status) => {}
            Some(Answer { status, body }) => {
                self.history.violation("answers", path, format!("unexpected {status}: {body}"));
            }
        }
        answer
    }

    /// Repeats the call until there is an answer other than "busy", for at most
    /// `patience`.
    pub(super) fn insist(
        &self,
        path: &str,
        body: Option<&Value>,
        expected: &[u16],
        patience: Duration,
    ) -> Option<Answer> {
        let begin = Instant::now();
        let mut waits = AGAIN.iter().copied().chain(std::iter::repeat(AGAIN[AGAIN.len() - 1]));
        loop {
            if let Some(answer) = self.ask(path, body, expected).filter(|answer| !answer.is_busy()) {
                return Some(answer);
            }
            let wait = waits.next().unwrap_or_default();
            if begin.elapsed() + wait > patience || self.signals.over.raised_within(wait) {
                return None;
            }
        }
    }

    /// Follows the events of a run after `seq` until the stream ends or breaks.
    /// Returns the status, if there was an answer.
    pub(super) fn follow(&self, run: &str, seq: u64, mut each: impl FnMut(Value)) -> Option<u16> {
        let mut path = format!("/v1/runs/{run}/events?follow=1");
        if seq > 0 {
            path += &format!("&cursor={}", BASE64_URL_SAFE.encode(seq.to_string()));
        }
        let response = self.send(&path, None)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Some(status);
        }
        let mut reader = BufReader::new(response.into_body().into_reader());
        let mut line = String::new();
        // A line without its end is no event: the connection broke off.
        while reader.read_line(&mut line).is_ok_and(|_| line.ends_with('\n')) {
            match serde_json::from_str(&line) {
                Ok(event) => each(event),
                Err(error) => self.history.violation("events", run, format!("{error} in {line}")),
            }
            line.clear();
        }
        Some(status)
    }

    fn send(&self, path: &str, body: Option<&Value>) -> Option<Response<Body>> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        let uri = format!("{}{path}", self.urls[place]);
        match body {
            Some(body) => {
                let request = Request::post(uri).header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).ok()?).ok()
            }
            None => self.agent.run(Request::get(uri).body(()).ok()?).ok(),
        }
    }
}
