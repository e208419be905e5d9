//! `dispatch`: keeps node runs from being dispatched, all or some, and lets them go on.

use super::{
    args::{DispatchCommand, PauseScope},
    exit::{Exit, Failure},
    listing::{Found, Row, print_rows},
    output::Printer,
    remote::{OperatorClient, Remote},
    show::actor,
};
use crate::clients::operator::types::{Pause, PauseRequest, Resumed, Scope, ScopeKind};

/// Runs the subcommand.
pub(super) async fn dispatch(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    command: &DispatchCommand,
) -> Result<Exit, Failure> {
    let client = remote.client();
    match command {
        DispatchCommand::List { shown } => {
            let call = client.call(client.list_dispatch_pauses());
            let items = remote.answer("GET /x/dispatch", call).await?.pauses;
            print_rows(printer, &Found { items, is_all: true }, *shown)?;
        }
        DispatchCommand::Pause { scope, reason, shown } => {
            let body = PauseRequest { scope: of(scope), reason: reason.clone() };
            let paused =
                remote.answer("POST /x/dispatch:pause", client.call(client.pause_dispatch(&body))).await?;
            print_rows(printer, &Found { items: vec![paused], is_all: true }, *shown)?;
        }
        DispatchCommand::Resume { scope, reason, shown } => {
            let body = PauseRequest { scope: of(scope), reason: reason.clone() };
            let resumed =
                remote.answer("POST /x/dispatch:resume", client.call(client.resume_dispatch(&body))).await?;
            print_rows(printer, &Found { items: vec![resumed], is_all: true }, *shown)?;
        }
    }
    Ok(Exit::Ok)
}

/// The scope that the flags name; clap has seen to it that it is one.
fn of(scope: &PauseScope) -> Scope {
    let PauseScope { all: _, executor, node_type, tenant } = scope.clone();
    let kind = match (&executor, &node_type, &tenant) {
        (Some(_), _, _) => ScopeKind::Executor,
        (None, Some(_), _) => ScopeKind::NodeType,
        (None, None, Some(_)) => ScopeKind::Tenant,
        (None, None, None) => ScopeKind::All,
    };
    Scope { kind, executor, node_type_id: node_type, tenant }
}

fn scope_shown(scope: &Scope) -> String {
    let Scope { kind, executor, node_type_id, tenant } = scope;
    let name = executor.as_ref().or(node_type_id.as_ref()).or(tenant.as_ref());
    name.map_or_else(|| kind.to_string(), |name| format!("{kind} {name}"))
}

impl Row for Pause {
    const HEADS: &'static [&'static str] = &["PAUSED", "SINCE", "BY", "REASON"];

    fn row(&self) -> Vec<String> {
        vec![scope_shown(&self.scope), self.since.to_string(), actor(&self.by), self.reason.clone()]
    }
}

impl Row for Resumed {
    const HEADS: &'static [&'static str] = &["RESUMED", "WAS PAUSED"];

    fn row(&self) -> Vec<String> {
        vec![scope_shown(&self.scope), if self.was_paused { "yes" } else { "no" }.to_owned()]
    }
}
