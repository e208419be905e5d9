//! Plain HTTP to the coordinator under test, without our own types in between, and
//! strict assertions about answers.

use std::{
    io::{BufRead, BufReader},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response},
};

use crate::verdict::{Stop, Verdict, ensure, fail, same};

/// The largest answer that is read.
const LARGEST: u64 = 64 << 20;
/// The maximum length of a body in a report.
const SHOWN: usize = 400;

pub struct Http {
    agent: Agent,
    url: String,
    token: Option<String>,
    exchanges: Mutex<Vec<String>>,
}

/// An answer of the coordinator.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request, for reports.
    what: String,
    pub status: u16,
    pub content_type: String,
    pub challenge: Option<String>,
    pub text: String,
}

/// The minimum time limit of a request, whatever the patience of the suite: a busy
/// machine is not the fault of the coordinator.
const ANSWER: Duration = Duration::from_secs(10);

/// The credentials of a request.
#[derive(Clone, Copy, Debug)]
pub enum As<'t> {
    /// With the suite's token, if it has one.
    Caller,
    /// Without a token.
    Anonymous,
    /// With this Authorization header.
    Header(&'t str),
}

impl Http {
    pub fn new(url: &str, token: Option<String>, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(patience.max(ANSWER)))
            .build();
        let url = url.trim_end_matches('/').to_owned();
        Self { agent: config.into(), url, token, exchanges: Mutex::default() }
    }

    /// Takes the requests since the last call.
    pub fn exchanges(&self) -> Vec<String> {
        std::mem::take(&mut *self.exchanges.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn get(&self, path: &str) -> Verdict<Answer> {
        self.send("GET", path, As::Caller, None, "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Verdict<Answer> {
        self.send("POST", path, As::Caller, Some("application/json"), &body.to_string())
    }

    /// Sends this body with this content type, if any.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        who: As<'_>,
        content_type: Option<&str>,
        body: &str,
    ) -> Verdict<Answer> {
        let mut response = self.begin(method, path, who, content_type, body)?;
        let what = format!("{method} {path}");
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let (content_type, challenge) =
            (header("content-type").unwrap_or_default(), header("www-authenticate"));
        let status = response.status().as_u16();
        match response.body_mut().with_config().limit(LARGEST).read_to_string() {
            Ok(text) => Ok(Answer { what, status, content_type, challenge, text }),
            Err(error) => fail(format!("{what}: {status}, and then {error}")),
        }
    }

    /// Reads the lines of an answer as they come, until `enough` or the end.
    pub fn lines(&self, path: &str, mut enough: impl FnMut(&str) -> bool) -> Verdict<Vec<String>> {
        let response = self.begin("GET", path, As::Caller, None, "")?;
        same(&format!("GET {path}: status"), &response.status().as_u16(), &200)?;
        let mut lines = Vec::new();
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let line = line
                .map_err(|error| Stop::Failed(format!("GET {path}: after {} lines: {error}", lines.len())))?;
            let last = enough(&line);
            lines.push(line);
            if last {
                break;
            }
        }
        Ok(lines)
    }

    fn begin(
        &self,
        method: &str,
        path: &str,
        who: As<'_>,
        content_type: Option<&str>,
        body: &str,
    ) -> Verdict<Response<Body>> {
        let what = format!("{method} {path}");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        let authorization = match who {
            As::Caller => self.token.as_ref().map(|token| format!("Bearer {token}")),
            As::Anonymous => None,
            As::Header(value) => Some(value.to_owned()),
        };
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let sent = match method {
            "GET" => request.body(()).map(|request| self.agent.run(request)),
            _ => request.body(body.to_owned()).map(|request| self.agent.run(request)),
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return fail(format!("{what}: no request: {error}")),
        };
        let seen = match &answer {
            Ok(response) => response.status().as_u16().to_string(),
            Err(error) => error.to_string(),
        };
        let exchange = format!("{what}: {seen}");
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange.clone());
        answer.or_else(|_| fail(exchange))
    }
}

impl Answer {
    pub fn json(&self) -> Verdict<Value> {
        match serde_json::from_str(&self.text) {
            Ok(body) => Ok(body),
            Err(_) => self.wrong("is not JSON"),
        }
    }

    /// The body of a success, which is 200 and nothing else (§3.3).
    pub fn ok(&self) -> Verdict<Value> {
        if self.status != 200 {
            return self.wrong("is not 200");
        }
        self.json()
    }

    pub fn no_content(&self) -> Verdict {
        if self.status == 204 && self.text.is_empty() { Ok(()) } else { self.wrong("is not an empty 204") }
    }

    /// The error of an envelope (§3.6) with this status and code.
    pub fn refused(&self, status: u16, code: &str) -> Verdict<Value> {
        let error = self.envelope()?;
        if self.status != status || error["code"] != code {
            return self.wrong(&format!("is not {status} {code}"));
        }
        Ok(error)
    }

    /// The same, with this message as well.
    pub fn says(&self, status: u16, code: &str, message: &str) -> Verdict {
        let error = self.refused(status, code)?;
        ensure(error["message"] == message, || {
            format!("{}: {}, not {message:?}", self.what, error["message"])
        })
    }

    /// The error of a valid envelope.
    pub fn envelope(&self) -> Verdict<Value> {
        let body = self.json().or_else(|_| self.wrong("is not an envelope"))?;
        let error = &body["error"];
        let members = |object: &Value, known: &[&str]| {
            object.as_object().is_some_and(|map| map.keys().all(|name| known.contains(&name.as_str())))
        };
        let sound = members(&body, &["error", "extensions"])
            && members(error, &["code", "message", "details", "retryable", "cause", "extensions"])
            && error["code"].is_string()
            && error["message"].is_string()
            && error.get("details").is_none_or(Value::is_object)
            && error.get("retryable").is_none_or(Value::is_boolean);
        if sound { Ok(error.clone()) } else { self.wrong("is not an envelope") }
    }

    pub fn wrong<T>(&self, how: &str) -> Verdict<T> {
        let shown: String = self.text.chars().take(SHOWN).collect();
        fail(format!("{}: {} {how}: {shown}", self.what, self.status))
    }
}
