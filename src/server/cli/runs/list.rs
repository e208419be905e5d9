//! `runs list` and `runs count`.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::super::{
    args::{BasicSelect, Form, Listed, Select, Shown},
    exit::{Exit, Failure},
    listing::{self, Found, Identified, Row, lines, pages},
    live::Screen,
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    show::{text, type_of},
    table::table,
};
use crate::{
    clients::operator::types::{CountBy, RunEntry},
    time::{Clock, SystemClock, Timestamp},
};

/// The time between two looks of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Lists runs, the newest first.
pub(super) async fn list(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    select: &Select,
    page: Listed,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let found = found(remote, select, &labels(select)?, page.at_most.limit, now).await?;
    listing::print(printer, &found, page.printed)?;
    Ok(Exit::Ok)
}

/// Lists runs again and again, in place.
pub(super) async fn watch(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    select: &Select,
    page: Listed,
) -> Result<Exit, Failure> {
    let Some(mut screen) = Screen::open(printer)? else {
        return Err(Failure::new(Exit::Usage, "--watch needs a terminal: `runs list` lists once"));
    };
    let labels = labels(select)?;
    loop {
        let now = SystemClock.now();
        let found = tokio::select! {
            found = found(remote, select, &labels, page.at_most.limit, now) => found?,
            () = screen.ended() => return Ok(Exit::Ok),
        };
        let head = format!("runs at {now}, again in {} s, Ctrl-C ends it", WATCH_EVERY.as_secs());
        let table = lines(&found);
        let frame: Vec<String> = std::iter::once(head).chain(table.lines().map(str::to_owned)).collect();
        screen.draw(&frame)?;
        if screen.ended_within(WATCH_EVERY).await {
            return Ok(Exit::Ok);
        }
    }
}

async fn found(
    remote: &Remote<OperatorClient>,
    select: &Select,
    labels: &BTreeMap<String, String>,
    limit: u32,
    now: Timestamp,
) -> Result<Found<RunEntry>, RemoteError> {
    let client = remote.client();
    let (since, before) = times(select, now);
    let (held, attention) = (flag(select.basic.held), flag(select.attention));
    let BasicSelect { state, node_type, tenant, owner, error_code, id_prefix, .. } = &select.basic;
    pages(limit, async |wanted, token| {
        let call = client.call(client.list_runs(
            attention,
            error_code.as_deref(),
            held,
            id_prefix.as_deref(),
            labels,
            Some(wanted),
            node_type.as_deref(),
            owner.as_deref(),
            token,
            since.as_ref(),
            before.as_ref(),
            state.as_ref(),
            tenant.as_deref(),
        ));
        let page = remote.answer("GET /x/runs", call).await?;
        Ok((page.items, page.next_page))
    })
    .await
}

/// Counts runs by state.
pub(super) async fn count(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    select: &Select,
    shown: Shown,
    now: Timestamp,
) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Count {
        runs: BTreeMap<String, u64>,
    }
    let client = remote.client();
    let (since, before) = times(select, now);
    let (labels, held, attention) = (labels(select)?, flag(select.basic.held), flag(select.attention));
    let BasicSelect { state, node_type, tenant, owner, error_code, id_prefix, .. } = &select.basic;
    let (mut runs, mut token) = (BTreeMap::<String, u64>::new(), None::<String>);
    loop {
        let call = client.call(client.count_runs(
            attention,
            CountBy::State,
            error_code.as_deref(),
            held,
            id_prefix.as_deref(),
            &labels,
            None,
            node_type.as_deref(),
            owner.as_deref(),
            token.as_deref(),
            since.as_ref(),
            before.as_ref(),
            state.as_ref(),
            tenant.as_deref(),
        ));
        let page = remote.answer("GET /x/runs:count", call).await?;
        for (state, count) in page.runs {
            *runs.entry(state).or_default() += count;
        }
        token = page.next_page;
        if token.is_none() {
            break;
        }
    }
    match printer.form(shown.output) {
        Form::Table => {
            let rows: Vec<_> =
                runs.into_iter().map(|(state, count)| vec![state, count.to_string()]).collect();
            printer.line(&table(&["STATE", "RUNS"], &rows))?;
        }
        Form::Json => printer.json(&Count { runs })?,
    }
    Ok(Exit::Ok)
}

fn times(select: &Select, now: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    (select.basic.since.map(|since| since.from(now)), select.basic.before.map(|before| before.from(now)))
}

/// What the API calls them, as members of the query.
fn labels(select: &Select) -> Result<BTreeMap<String, String>, Failure> {
    let labels = select.basic.labels()?.into_iter();
    Ok(labels.map(|(name, value)| (format!("label.{name}"), value)).collect())
}

/// Absent, or true: no flag asks for the opposite.
fn flag(is_given: bool) -> Option<bool> {
    is_given.then_some(true)
}

impl Row for RunEntry {
    const HEADS: &'static [&'static str] =
        &["RUN", "STATE", "NODE TYPE", "STARTED", "ENDED", "TENANT", "OWNER", "ERROR", "ATTENTION"];

    fn row(&self) -> Vec<String> {
        let owner = self.owner.as_ref();
        vec![
            self.run_id.clone(),
            if self.held { format!("{}, held", self.state) } else { self.state.to_string() },
            self.node_type_ref.as_ref().map(type_of).unwrap_or_default(),
            self.started_at.to_string(),
            text(self.ended_at),
            owner.and_then(|owner| owner.tenant.clone()).unwrap_or_default(),
            owner.map(|owner| owner.subject.clone()).unwrap_or_default(),
            self.error_code.clone().unwrap_or_default(),
            self.attention.map(|attention| attention.to_string()).unwrap_or_default(),
        ]
    }
}

impl Identified for RunEntry {
    fn id(&self) -> &str {
        &self.run_id
    }
}
