//! The Event Stream: the events of runs, by number (contract §15).
//!
//! The numbers are ours: the stream refuses an event that is sent again as a
//! duplicate, so no event is in it twice.

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures::TryStreamExt;
use progenitor_client::{Error, ResponseValue};

use crate::{
    clients::{
        CallError, CallTimeout, Failure, NotSent, Service,
        event_stream::{Client, types::AppendEventsRequest},
    },
    types::{ErrorEnvelope, JsonObject, RunEvent, RunId},
};

/// Events per page of reading.
const PAGE: u64 = 1000;
/// The most events that are read of a run.
const EVENTS_MAX: usize = 500_000;

/// A client of the Event Stream.
#[derive(Clone)]
pub struct EventStream {
    client: Client,
    timeout: CallTimeout,
}

/// The outcome of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All events were appended.
    All,
    /// None was appended: at least one of them is in the stream already.
    Duplicate,
}

/// Where events are appended.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Checks that the stream answers.
    async fn reach(&self) -> Result<(), CallError>;

    /// Appends events of any runs, each a JSON object with its `run_id` and
    /// `seq`: all or nothing.
    async fn append(&self, events: &[String]) -> Result<Appended, CallError>;
}

impl EventStream {
    pub fn new(client: Client, timeout: CallTimeout) -> Self {
        Self { client, timeout }
    }

    /// Reads all events of a run, in order.
    pub async fn run_events(&self, run: &RunId) -> Result<Vec<RunEvent>, CallError> {
        let mut history = History::default();
        loop {
            let cursor = history.last().map(|seq| URL_SAFE.encode(seq.to_string()));
            let page = self.page(run, cursor.as_deref()).await?;
            let more = page.len() as u64 >= PAGE;
            history.add(page)?;
            if !more {
                return Ok(history.events);
            }
        }
    }

    async fn page(&self, run: &RunId, cursor: Option<&str>) -> Result<Vec<RunEvent>, CallError> {
        let read = async {
            let call = self.client.stream_run_events(run, cursor, None, PAGE.try_into().ok());
            let stream = self.client.call(call).await?.into_inner();
            let chunks: Result<Vec<bytes::Bytes>, _> = stream.try_collect().await;
            chunks.map_err(|error| self.client.failed(Error::ResponseBodyError(error)))
        };
        let body = self.timeout.call(Service::EventStream, read).await?.concat();
        let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|error| malformed(&format!("an event cannot be read: {error}")))
    }

    fn call<T>(
        &self,
        call: impl Future<Output = Result<ResponseValue<T>, Error<ErrorEnvelope>>>,
    ) -> impl Future<Output = Result<T, CallError>> {
        self.timeout.call(Service::EventStream, self.client.call(call))
    }
}

#[async_trait]
impl EventLog for EventStream {
    async fn reach(&self) -> Result<(), CallError> {
        self.call(self.client.health()).await.map(drop)
    }

    async fn append(&self, events: &[String]) -> Result<Appended, CallError> {
        let events: Result<Vec<JsonObject>, _> =
            events.iter().map(|event| serde_json::from_str(event)).collect();
        let events = events.map_err(|error| {
            let reason = format!("an event is not a JSON object: {error}");
            CallError::new(Service::EventStream, Failure::NotSent(NotSent::Invalid { reason }))
        })?;
        let body = AppendEventsRequest { events };
        match self.call(self.client.append_events(&body)).await {
            Ok(_) => Ok(Appended::All),
            Err(error) if error.status() == Some(409) => Ok(Appended::Duplicate),
            Err(error) => Err(error),
        }
    }
}

fn malformed(reason: &str) -> CallError {
    CallError::malformed(Service::EventStream, reason)
}

/// The events that the pages of a run's stream have brought so far.
#[derive(Default)]
struct History {
    events: Vec<RunEvent>,
}

impl History {
    fn last(&self) -> Option<u64> {
        self.events.last().map(|event| event.seq)
    }

    /// Adds a page, which must go beyond the last one: a store that returns the
    /// same page again would be read endlessly.
    fn add(&mut self, page: Vec<RunEvent>) -> Result<(), CallError> {
        let after = self.last().unwrap_or(0);
        if page.last().is_some_and(|last| last.seq <= after) {
            return Err(malformed("a page of events does not go beyond its cursor"));
        }
        self.events.extend(page);
        if self.events.len() > EVENTS_MAX {
            return Err(malformed(&format!("a run has more than {EVENTS_MAX} events")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(seq: u64) -> RunEvent {
        let event = json!({"run_id": "r", "seq": seq, "type": "run_started", "time": "2026-01-01T00:00:00Z",
            "data": {}});
        serde_json::from_value(event).expect("a RunEvent")
    }

    #[test]
    fn history_takes_pages_to_the_end_of_the_stream() {
        let mut history = History::default();
        for page in [1..=1000, 1001..=2000, 2002..=2500] {
            history.add(page.map(event).collect()).expect("progress");
        }
        history.add(Vec::new()).expect("the last page may be empty");
        assert_eq!((history.events.len(), history.last()), (2499, Some(2500)));
    }

    #[test]
    fn history_refuses_a_stream_without_progress() {
        type Page = fn(u64) -> Vec<RunEvent>;
        let cases: [(&str, Page); 3] = [
            ("the same page again", |_| (1..=PAGE).map(event).collect()),
            ("back again", |after| (1..=PAGE).map(|seq| event(after + PAGE - seq)).collect()),
            ("no end", |after| (after + 1..=after + PAGE).map(event).collect()),
        ];
        for (case, answer) in cases {
            let mut history = History::default();
            let refused = (0..1000).find_map(|_| history.add(answer(history.last().unwrap_or(0))).err());
            let error = refused.unwrap_or_else(|| panic!("{case}: read endlessly"));
            assert!(matches!(error.failure, Failure::Malformed { .. }), "{case}: {error:?}");
        }
    }
}
