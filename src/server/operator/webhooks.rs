//! Webhooks: subscriptions, their tests, and what could not be delivered.

use dropshot::{
    ApiDescription, ApiDescriptionRegisterError, EmptyScanParams, HttpResponseAccepted, HttpResponseCreated,
    HttpResponseDeleted, HttpResponseOk, PaginationParams, Path, Query, RequestContext, endpoint,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    model::Actor,
    paging::{Page, after, limit, page},
};
use crate::{
    config::masked_url,
    coordinator::NewWebhook,
    http_server::{ApiError, Caller, Json, ServerContext, request_bodies},
    journal::{self, DeliveryId, StoredWebhook},
    record::{NoticeKind, WebhookId},
    time::Timestamp,
    webhooks::TestOutcome,
};

type Rq = RequestContext<ServerContext>;
type Answer<T> = Result<T, ApiError>;

/// The most deliveries on a page.
const PAGE_MAX: u32 = 200;

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(webhook_create)?;
    api.register(webhooks_list)?;
    api.register(webhook_get)?;
    api.register(webhook_delete)?;
    api.register(webhook_test)?;
    api.register(webhook_deliveries)?;
    api.register(webhook_redeliver)
}

/// What is reported to whom
#[derive(Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct WebhookCreate {
    /// Where reports are sent: https, to a host that the server's settings permit
    url: String,
    /// At least one
    events: Vec<NoticeKind>,
    #[serde(default)]
    filter: WebhookFilter,
    /// For people
    description: Option<String>,
    /// `whsec_` and 24 to 64 random bytes in base64. One is made if it is absent
    secret: Option<String>,
}

/// What a report must be about
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct WebhookFilter {
    /// A node run of this type, or a run whose root is
    #[serde(skip_serializing_if = "Option::is_none")]
    node_type: Option<String>,
    /// A run of this tenant. A caller of one tenant always gets its own
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

request_bodies! { WebhookCreate }

/// A webhook, and how its deliveries go
#[derive(Serialize, JsonSchema)]
struct Webhook {
    webhook_id: String,
    /// Without what is behind `?`
    url: String,
    events: Vec<NoticeKind>,
    filter: WebhookFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created_at: Timestamp,
    created_by: Actor,
    status: WebhookStatus,
    /// Only in the answer to its creation
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

/// How the deliveries of a webhook go
#[derive(Serialize, JsonSchema)]
struct WebhookStatus {
    state: WebhookState,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success_at: Option<Timestamp>,
    /// When the failures began, if the last delivery failed
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<Timestamp>,
    /// Since the last success
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    /// Nothing is sent before
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_until: Option<Timestamp>,
    /// When the target said that it wants no more (410)
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Timestamp>,
    /// Reports that the target has yet to accept
    backlog: u64,
    /// When the oldest of them was made
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_at: Option<Timestamp>,
    /// Reports that were given up and are still listed
    given_up: u64,
    /// Reports that were not stored, because the backlog was full
    dropped: u64,
}

/// Whether its target accepts reports
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum WebhookState {
    Ok,
    Failing,
    Disabled,
}

/// All webhooks that the caller may manage
#[derive(Serialize, JsonSchema)]
struct Webhooks {
    items: Vec<Webhook>,
}

/// A report that was not accepted at its first try
#[derive(Serialize, JsonSchema)]
struct WebhookDelivery {
    delivery_id: u64,
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<NoticeKind>,
    created_at: Timestamp,
    /// How often it was sent
    tries: u32,
    /// When it is sent next. Absent: it was given up
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

/// What came of a test
#[derive(Serialize, JsonSchema)]
struct WebhookTest {
    delivered: bool,
    event_id: String,
    /// The status of the target's answer
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    duration_ms: u64,
}

/// It is sent again
#[derive(Serialize, JsonSchema)]
struct Redelivery {
    delivery_id: u64,
}

#[derive(Deserialize, JsonSchema)]
struct WebhookPath {
    webhook_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct DeliveryPath {
    webhook_id: String,
    delivery_id: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Reason {
    /// Kept in the audit trail
    reason: Option<String>,
}

/// Where a page begins. No other list has a member of this name.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BeforeDelivery {
    before_delivery: u64,
}

/// Create a webhook: the answer has its secret, and no other answer will
#[endpoint { method = POST, path = "/x/webhooks", operation_id = "create_webhook", tags = ["webhooks"] }]
async fn webhook_create(
    rq: Rq,
    caller: Caller,
    body: Json<WebhookCreate>,
) -> Answer<HttpResponseCreated<Webhook>> {
    let WebhookCreate { url, events, filter, description, secret } = body.0;
    let WebhookFilter { node_type, tenant } = filter;
    let new = NewWebhook { url, events, node_type, tenant, description, secret };
    let (stored, secret) = rq.context().coordinator.webhook_create(&caller.0, new).await?;
    Ok(HttpResponseCreated(Webhook { secret: Some(secret), ..stored.into() }))
}

/// List the webhooks
#[endpoint { method = GET, path = "/x/webhooks", operation_id = "list_webhooks", tags = ["webhooks"] }]
async fn webhooks_list(rq: Rq, caller: Caller) -> Answer<HttpResponseOk<Webhooks>> {
    let stored = rq.context().coordinator.webhooks_list(&caller.0).await?;
    Ok(HttpResponseOk(Webhooks { items: stored.into_iter().map(Webhook::from).collect() }))
}

/// Get a webhook and how its deliveries go
#[endpoint { method = GET, path = "/x/webhooks/{webhook_id}", operation_id = "get_webhook", tags = ["webhooks"] }]
async fn webhook_get(rq: Rq, caller: Caller, path: Path<WebhookPath>) -> Answer<HttpResponseOk<Webhook>> {
    let id = WebhookId::new(path.into_inner().webhook_id);
    Ok(HttpResponseOk(rq.context().coordinator.webhook_get(&caller.0, &id).await?.into()))
}

/// Delete a webhook with all that its target has yet to accept
#[endpoint {
    method = DELETE,
    path = "/x/webhooks/{webhook_id}",
    operation_id = "delete_webhook",
    tags = ["webhooks"],
}]
async fn webhook_delete(
    rq: Rq,
    caller: Caller,
    path: Path<WebhookPath>,
    reason: Query<Reason>,
) -> Answer<HttpResponseDeleted> {
    let id = WebhookId::new(path.into_inner().webhook_id);
    let reason = reason.into_inner().reason;
    rq.context().coordinator.webhook_delete(&caller.0, &id, reason.as_deref()).await?;
    Ok(HttpResponseDeleted())
}

/// Send a test to the target, once and now
#[endpoint {
    method = POST,
    path = "/x/webhooks/{webhook_id}/:test",
    operation_id = "test_webhook",
    tags = ["webhooks"],
}]
async fn webhook_test(
    rq: Rq,
    caller: Caller,
    path: Path<WebhookPath>,
) -> Answer<HttpResponseOk<WebhookTest>> {
    let id = WebhookId::new(path.into_inner().webhook_id);
    Ok(HttpResponseOk(rq.context().coordinator.webhook_test(&caller.0, &id).await?.into()))
}

/// List the deliveries that failed at least once, newest first
#[endpoint {
    method = GET,
    path = "/x/webhooks/{webhook_id}/deliveries",
    operation_id = "list_webhook_deliveries",
    tags = ["webhooks"],
}]
async fn webhook_deliveries(
    rq: Rq,
    caller: Caller,
    path: Path<WebhookPath>,
    paging: Query<PaginationParams<EmptyScanParams, BeforeDelivery>>,
) -> Answer<HttpResponseOk<Page<WebhookDelivery>>> {
    let id = WebhookId::new(path.into_inner().webhook_id);
    let paging = paging.into_inner();
    let wanted = limit(&rq, &paging, PAGE_MAX)?;
    let before = after(paging, |place: BeforeDelivery| Some(DeliveryId(place.before_delivery)))?;
    let found = rq.context().coordinator.webhook_deliveries(&caller.0, &id, before, wanted).await?;
    let last = found.last().filter(|_| found.len() as u64 >= u64::from(wanted));
    let next = last.map(|last| BeforeDelivery { before_delivery: last.id.0 });
    page(found.into_iter().map(WebhookDelivery::from).collect(), next)
}

/// Send a delivery again, also one that was given up
#[endpoint {
    method = POST,
    path = "/x/webhooks/{webhook_id}/deliveries/{delivery_id}/:redeliver",
    operation_id = "redeliver_webhook",
    tags = ["webhooks"],
}]
async fn webhook_redeliver(
    rq: Rq,
    caller: Caller,
    path: Path<DeliveryPath>,
) -> Answer<HttpResponseAccepted<Redelivery>> {
    let DeliveryPath { webhook_id, delivery_id } = path.into_inner();
    let (id, delivery) = (WebhookId::new(webhook_id), DeliveryId(delivery_id));
    rq.context().coordinator.webhook_redeliver(&caller.0, &id, delivery).await?;
    Ok(HttpResponseAccepted(Redelivery { delivery_id }))
}

impl From<StoredWebhook> for Webhook {
    fn from(stored: StoredWebhook) -> Self {
        let StoredWebhook { webhook, status } = stored;
        Self {
            webhook_id: webhook.webhook_id.to_string(),
            url: masked_url(&webhook.url),
            events: webhook.events,
            filter: WebhookFilter { node_type: webhook.node_type, tenant: webhook.tenant },
            description: webhook.description,
            created_at: webhook.created_at,
            created_by: webhook.created_by.into(),
            status: status.into(),
            secret: None,
        }
    }
}

impl From<journal::WebhookStatus> for WebhookStatus {
    fn from(status: journal::WebhookStatus) -> Self {
        let state = match (status.disabled_at, status.failing_since) {
            (Some(_), _) => WebhookState::Disabled,
            (None, Some(_)) => WebhookState::Failing,
            (None, None) => WebhookState::Ok,
        };
        Self {
            state,
            last_success_at: status.last_success_at,
            failing_since: status.failing_since,
            consecutive_failures: status.failures,
            last_error: status.last_error,
            paused_until: status.paused_until,
            disabled_at: status.disabled_at,
            backlog: status.backlog,
            oldest_at: status.oldest,
            given_up: status.given_up,
            dropped: status.dropped,
        }
    }
}

impl From<journal::Delivery> for WebhookDelivery {
    fn from(delivery: journal::Delivery) -> Self {
        let journal::Delivery { id, event_id, kind, body: _, created_at, tries, next_at, last_error } =
            delivery;
        Self { delivery_id: id.0, event_id, event: kind, created_at, tries, next_at, last_error }
    }
}

impl From<TestOutcome> for WebhookTest {
    fn from(outcome: TestOutcome) -> Self {
        let TestOutcome { event_id, status, error, took } = outcome;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { delivered: error.is_none(), event_id, status, error, duration_ms }
    }
}
