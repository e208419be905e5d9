//! The Event Stream: events of runs by number.
//!
//! Its numbers are ours: an event that is sent again is refused as a duplicate,
//! and so nothing is there twice.

use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures::TryStreamExt;

use super::Patience;
use crate::{
    clients::{
        CallError, Service,
        event_stream::{Client, types::AppendEventsRequest},
    },
    ids::RunId,
    model::{JsonObject, RunEvent},
};

/// Events a page when reading.
const PAGE: u64 = 1000;

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
        let events = events.map_err(|error| {
            CallError::unavailable(Service::EventStream, &format!("an event cannot be sent: {error}"))
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
        let mut events: Vec<RunEvent> = Vec::new();
        loop {
            let cursor = events.last().map(|event| URL_SAFE.encode(event.seq.to_string()));
            let page = self.page(run, cursor.as_deref()).await?;
            let full = page.len() as u64 >= PAGE;
            events.extend(page);
            if !full {
                return Ok(events);
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
