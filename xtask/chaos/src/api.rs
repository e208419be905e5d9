//! The coordinator's API, for callers who know that it may be killed at any
//! moment: no answer is an answer, and a decent caller asks again.

use std::{
    io::{BufRead, BufReader},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE};
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use super::{bell::Bells, history::History};

/// Longer than the coordinator is ever stopped.
const ANSWER: Duration = Duration::from_secs(10);
/// Waits between tries.
const AGAIN: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
];

pub(super) struct Api {
    agent: Agent,
    url: String,
    bells: Arc<Bells>,
    history: Arc<History>,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// "Not now": the caller may ask again.
    fn is_busy(&self) -> bool {
        matches!(self.status, 429 | 503)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }
}

impl Api {
    pub(super) fn new(url: &str, bells: Arc<Bells>, history: Arc<History>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(ANSWER))
            .build();
        Self { agent: config.into(), url: url.to_owned(), bells, history }
    }

    /// Asks once. `None`: no answer came. One with a status that nobody may
    /// expect here is a violation.
    pub(super) fn ask(&self, path: &str, body: Option<&Value>, expected: &[u16]) -> Option<Answer> {
        let answer = self.send(path, body).and_then(|mut response| {
            let text = response.body_mut().read_to_string().ok()?;
            let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
            Some(Answer { status: response.status().as_u16(), body })
        });
        match &answer {
            None => self.history.told().unanswered += 1,
            Some(answer) if answer.is_busy() => self.history.told().busy += 1,
            Some(Answer { status, .. }) if expected.contains(status) => {}
            Some(Answer { status, body }) => {
                self.history.violation("answers", path, format!("unexpected {status}: {body}"));
            }
        }
        answer
    }

    /// Asks until there is an answer other than "not now", or `patience` is at
    /// its end.
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
            let wait = waits.next().unwrap_or(ANSWER);
            if begin.elapsed() + wait > patience || self.bells.over.rings_within(wait) {
                return None;
            }
        }
    }

    /// The events of a run after `seq`, as they come, until the stream ends or
    /// breaks. The status, if there was an answer.
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
        // Half a line is no event: the connection broke off in it.
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
        let uri = format!("{}{path}", self.url);
        match body {
            Some(body) => {
                let request = Request::post(uri).header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).ok()?).ok()
            }
            None => self.agent.run(Request::get(uri).body(()).ok()?).ok(),
        }
    }
}
