//! `webhooks`: who is sent what, and what could not be delivered.

use super::{
    args::{NewWebhook, WebhooksCommand},
    each::{Deed, each},
    exit::{Exit, Failure},
    listing::{self, Found, Identified, Row, pages, print_rows},
    output::Printer,
    remote::{OperatorClient, Remote, RemoteError},
    show::text,
};
use crate::clients::operator::types::{Webhook, WebhookCreate, WebhookDelivery, WebhookFilter, WebhookTest};

/// Runs the subcommand.
pub(super) async fn webhooks(
    remote: &Remote<OperatorClient>,
    printer: Printer,
    command: &WebhooksCommand,
) -> Result<Exit, Failure> {
    let client = remote.client();
    match command {
        WebhooksCommand::List { printed } => {
            let items = remote.answer("GET /x/webhooks", client.call(client.list_webhooks())).await?.items;
            listing::print(printer, &Found { items, is_all: true }, *printed)?;
        }
        WebhooksCommand::Get { webhook, printed } => {
            let items = vec![get(remote, webhook).await?];
            listing::print(printer, &Found { items, is_all: true }, *printed)?;
        }
        WebhooksCommand::Create(new) => {
            let made = create(remote, new).await?;
            if let Some(secret) = &made.secret {
                printer.note(&format!("Its secret, which is shown once: {secret}"));
            }
            listing::print(printer, &Found { items: vec![made], is_all: true }, new.printed)?;
        }
        WebhooksCommand::Delete { webhooks, change } => {
            let delete = async |id: &str| {
                let gone = get(remote, id).await?;
                let call = client.call(client.delete_webhook(id, Some(&change.reason)));
                remote.answer(&format!("DELETE /x/webhooks/{id}"), call).await?;
                Ok(gone)
            };
            let deed = Deed {
                verb: "delete",
                thing: "webhook",
                ids: webhooks,
                care: change.care,
                printed: change.printed,
            };
            return each(printer, deed, async |id| get(remote, id).await, delete).await;
        }
        WebhooksCommand::Test { webhook, shown } => {
            let asked = format!("POST /x/webhooks/{webhook}:test");
            let test = remote.answer(&asked, client.call(client.test_webhook(webhook))).await?;
            let exit = if test.delivered { Exit::Ok } else { Exit::Refused };
            print_rows(printer, &Found { items: vec![test], is_all: true }, *shown)?;
            return Ok(exit);
        }
        WebhooksCommand::Deliveries { webhook, at_most, shown } => {
            let asked = format!("GET /x/webhooks/{webhook}/deliveries");
            let found = pages(at_most.limit, async |wanted, token| {
                let call = client.call(client.list_webhook_deliveries(webhook, Some(wanted), token));
                let page = remote.answer(&asked, call).await?;
                Ok((page.items, page.next_page))
            })
            .await?;
            print_rows(printer, &found, *shown)?;
        }
        WebhooksCommand::Redeliver { webhook, delivery } => {
            let asked = format!("POST /x/webhooks/{webhook}/deliveries/{delivery}:redeliver");
            let call = client.call(client.redeliver_webhook(webhook, *delivery));
            printer.json(&remote.answer(&asked, call).await?)?;
        }
    }
    Ok(Exit::Ok)
}

async fn get(remote: &Remote<OperatorClient>, id: &str) -> Result<Webhook, RemoteError> {
    let client = remote.client();
    remote.answer(&format!("GET /x/webhooks/{id}"), client.call(client.get_webhook(id))).await
}

async fn create(remote: &Remote<OperatorClient>, new: &NewWebhook) -> Result<Webhook, RemoteError> {
    let client = remote.client();
    let NewWebhook { url, events, node_type, tenant, description, printed: _ } = new;
    let body = WebhookCreate {
        url: url.clone(),
        events: events.clone(),
        filter: Some(WebhookFilter { node_type: node_type.clone(), tenant: tenant.clone() }),
        description: description.clone(),
        secret: None,
    };
    remote.answer("POST /x/webhooks", client.call(client.create_webhook(&body))).await
}

impl Row for Webhook {
    const HEADS: &'static [&'static str] =
        &["WEBHOOK", "STATE", "EVENTS", "URL", "BACKLOG", "GIVEN UP", "FAILING SINCE", "LAST ERROR"];

    fn row(&self) -> Vec<String> {
        let status = &self.status;
        vec![
            self.webhook_id.clone(),
            status.state.to_string(),
            self.events.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            self.url.clone(),
            status.backlog.to_string(),
            status.given_up.to_string(),
            text(status.failing_since),
            status.last_error.clone().unwrap_or_default(),
        ]
    }
}

impl Identified for Webhook {
    fn id(&self) -> &str {
        &self.webhook_id
    }
}

impl Row for WebhookDelivery {
    const HEADS: &'static [&'static str] = &["DELIVERY", "EVENT", "CREATED", "TRIES", "NEXT", "LAST ERROR"];

    fn row(&self) -> Vec<String> {
        vec![
            self.delivery_id.to_string(),
            self.event.map(|event| event.to_string()).unwrap_or_default(),
            self.created_at.to_string(),
            self.tries.to_string(),
            text(self.next_at),
            self.last_error.clone().unwrap_or_default(),
        ]
    }
}

impl Row for WebhookTest {
    const HEADS: &'static [&'static str] = &["DELIVERED", "STATUS", "MILLISECONDS", "ERROR"];

    fn row(&self) -> Vec<String> {
        vec![
            if self.delivered { "yes" } else { "no" }.to_owned(),
            self.status.map(|status| status.to_string()).unwrap_or_default(),
            self.duration_ms.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }
}
