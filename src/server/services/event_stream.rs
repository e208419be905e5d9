//! The Event Stream: events of runs by number.
//!
//! Its numbers are ours: an event that is sent again is refused as a duplicate,
//! and so nothing is there twice.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures::TryStreamExt;

use super::{Patience, nonsense};
use crate::{
    clients::{
        CallError, Service,
        event_stream::{Client, types::AppendEventsRequest},
    },
    types::{JsonObject, RunEvent, RunId},
};

/// Events a page when reading.
const PAGE: u64 = 1000;
/// Events of a run that are read at most.
const EVENTS_MAX: usize = 500_000;

/// The Event Stream, as its callers want it.
#[derive(Clone)]
pub struct EventStream {
    client: Client,
    patience: Patience,
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// All of it.
    All,
    /// Nothing: at least one of the events is there already.
    Duplicate,
}

impl EventStream {
    pub fn new(client: Client, patience: Patience) -> Self {
        Self { client, patience }
    }

    /// Whether it answers at all.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.patience.call(Service::EventStream, self.client.health()).await.map(drop)
    }

    /// Appends events of any runs, each a JSON object with its `run_id` and
    /// `seq`: all or nothing.
    pub async fn append(&self, events: &[String]) -> Result<Appended, CallError> {
        let events: Result<Vec<JsonObject>, _> =
            events.iter().map(|event| serde_json::from_str(event)).collect();
        let events = events.map_err(|error| CallError {
            never_sent: true,
            retryable: false,
            ..CallError::unavailable(Service::EventStream, &format!("an event cannot be sent: {error}"))
        })?;
        let body = AppendEventsRequest { events };
        match self.patience.call(Service::EventStream, self.client.append_events(&body)).await {
            Ok(_) => Ok(Appended::All),
            Err(error) if error.status == Some(409) => Ok(Appended::Duplicate),
            Err(error) => Err(error),
        }
    }

    /// All events of a run that are there, in order.
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
            let answer = self.client.stream_run_events(run, cursor, None, PAGE.try_into().ok()).await?;
            let chunks: Vec<bytes::Bytes> = answer
                .into_inner_stream()
                .try_collect()
                .await
                .map_err(progenitor_client::Error::ResponseBodyError)?;
            Ok(chunks.concat())
        };
        let body = self.patience.call(Service::EventStream, read).await?;
        let lines = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(serde_json::from_slice).collect::<Result<_, _>>().map_err(|error| {
            CallError::unavailable(Service::EventStream, &format!("an event makes no sense: {error}"))
        })
    }
}

/// What the pages of a run's stream have brought so far.
#[derive(Default)]
struct History {
    events: Vec<RunEvent>,
}

impl History {
    fn last(&self) -> Option<u64> {
        self.events.last().map(|event| event.seq)
    }

    /// Adds a page, which must go beyond the last: a store that gives the same
    /// again and again would be followed for ever.
    fn add(&mut self, page: Vec<RunEvent>) -> Result<(), CallError> {
        let after = self.last().unwrap_or(0);
        if page.last().is_some_and(|last| last.seq <= after) {
            return Err(nonsense(Service::EventStream, "a page of events does not go beyond its cursor"));
        }
        self.events.extend(page);
        if self.events.len() > EVENTS_MAX {
            return Err(nonsense(Service::EventStream, &format!("a run has more than {EVENTS_MAX} events")));
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
    fn a_stream_is_read_to_its_end() {
        let mut history = History::default();
        for page in [1..=1000, 1001..=2000, 2002..=2500] {
            history.add(page.map(event).collect()).expect("it gets on");
        }
        history.add(Vec::new()).expect("the last page may be empty");
        assert_eq!((history.events.len(), history.last()), (2499, Some(2500)));
    }

    #[test]
    fn a_stream_that_does_not_get_on_is_refused() {
        type Page = fn(u64) -> Vec<RunEvent>;
        let cases: [(&str, Page); 3] = [
            ("the same page again", |_| (1..=PAGE).map(event).collect()),
            ("back again", |after| (1..=PAGE).map(|seq| event(after + PAGE - seq)).collect()),
            ("no end", |after| (after + 1..=after + PAGE).map(event).collect()),
        ];
        for (case, answer) in cases {
            let mut history = History::default();
            let refused = (0..1000).find_map(|_| history.add(answer(history.last().unwrap_or(0))).err());
            let error = refused.unwrap_or_else(|| panic!("{case}: it goes on for ever"));
            assert!(!error.retryable && error.status == Some(200), "{case}: {error:?}");
        }
    }
}
