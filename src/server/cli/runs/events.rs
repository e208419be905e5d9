//! `runs events` and `nodes events`: the event stream of the API, resumed after
//! broken connections without loss or repetition.

use std::sync::Arc;

use super::{
    super::{
        args::{Form, ReadEvents},
        connect::Both,
        exit::{Exit, Failure},
        live::event_text,
        output::Printer,
        table::printable,
    },
    outcome::outcome,
};
use crate::{
    clients::RunEvents,
    time::SystemClock,
    types::{NodeRunId, RunEvent, RunId},
};

/// Which events of the run.
pub(in super::super) enum Narrow<'n> {
    No,
    /// Those of one node run.
    To(&'n NodeRunId),
}

/// Prints the events of a run as they come. If it follows the run to its end, it fails
/// with it.
pub(in super::super) async fn print(
    both: &Both,
    printer: Printer,
    run: &RunId,
    read: ReadEvents,
    narrow: Narrow<'_>,
) -> Result<Exit, Failure> {
    let ReadEvents { follow, after, output } = read;
    let form = printer.form(output);
    let begin = if follow { RunEvents::follow } else { RunEvents::read };
    let mut events = begin(both.server.client().clone(), run.clone(), Arc::new(SystemClock)).after(after);
    if form == Form::Table {
        printer.line(&row("SEQ", "TIME", "EVENT", "NODE RUN", "DETAIL"))?;
    }
    let mut last = None;
    loop {
        let event = match events.next().await {
            Ok(Some(event)) => event,
            Ok(None) => return outcome(run, last.as_ref()),
            Err(error) => {
                let asked = format!("GET /v1/runs/{run}/events");
                let mut failure = Failure::from(both.server.failed(&asked, error));
                let last = events.last_seq();
                if last > after {
                    failure.message = format!("{}\nContinue with --after {last}.", failure.message);
                }
                return Err(failure);
            }
        };
        match narrow {
            Narrow::To(node) if event.node_run_id.as_ref() != Some(node) => continue,
            Narrow::No | Narrow::To(_) => {}
        }
        match form {
            Form::Table => printer.line(&line(&event))?,
            Form::Json => printer.json(&event)?,
        }
        match narrow {
            Narrow::No if follow => last = Some(event),
            Narrow::No | Narrow::To(_) => {}
        }
    }
}

fn line(event: &RunEvent) -> String {
    let detail = event_text(event);
    let node = event.node_run_id.as_ref().map_or("-", NodeRunId::as_str);
    row(
        &event.seq.to_string(),
        &event.time.to_string(),
        &event.type_.to_string(),
        &printable(node),
        &printable(&detail),
    )
}

/// Columns of fixed width: the events to come are not known.
fn row(seq: &str, time: &str, event: &str, node: &str, detail: &str) -> String {
    format!("{seq:>5}  {time:<27}  {event:<23}  {node:<41}  {detail}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn line_of_an_event_cannot_control_a_terminal() {
        let event = json!({"run_id": "r", "seq": 7, "type": "subtask_mapped", "time": "2026-11-28T12:00:00Z",
            "node_run_id": "n\u{1b}1", "data": {"subtask_id": "S1", "rationale": "because\nof \u{1b}[2J"}});
        let shown = line(&serde_json::from_value(event).expect("an event"));
        assert_eq!(
            shown,
            "    7  2026-11-28T12:00:00.000000Z  subtask_mapped           \
             n\\u{1b}1                                   S1: because\\nof \\u{1b}[2J"
        );
    }
}
