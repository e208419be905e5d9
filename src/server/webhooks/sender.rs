//! The request to a target: signed, bounded in time and size, and only to where the
//! allow-list permits.

use std::{sync::Arc, time::Duration};

use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, RETRY_AFTER},
    redirect,
};

use super::{WebhookTargets, resolver::GuardedResolver, secret::SigningSecret};
use crate::{
    clients::with_causes,
    redact::Redactor,
    time::{Clock, within},
};

/// The time limit of a request, its answer included.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(4);
/// The part of an answer that is read to say why it is a refusal.
const ANSWER_BYTES: usize = 1024;
/// The longest error that is kept, in characters.
const ERROR_CHARS: usize = 300;
/// The longest pause that a target can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// How requests are sent.
pub struct SenderOptions {
    pub targets: WebhookTargets,
    pub connect_timeout: Duration,
    /// `None`: the system's roots are trusted.
    pub tls: Option<rustls::ClientConfig>,
    /// For what targets say.
    pub redactor: Redactor,
    /// The wall clock, which receivers compare with theirs.
    pub wall: Arc<dyn Clock>,
}

/// Sends reports.
pub(super) struct Sender {
    http: Client,
    targets: Arc<WebhookTargets>,
    redactor: Redactor,
    clock: Arc<dyn Clock>,
    wall: Arc<dyn Clock>,
}

/// Why a report was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: Option<u16>,
    pub(super) error: String,
    pub(super) says: Says,
}

/// What a failure says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// The target accepts nothing, for at least as long as it says.
    Unavailable { retry_after: Option<Duration> },
    /// The target is well, and rejects this report.
    Rejected,
    /// The target wants no more.
    Gone,
}

impl Failure {
    pub(super) fn of_target(error: impl Into<String>) -> Self {
        Self { status: None, error: error.into(), says: Says::Unavailable { retry_after: None } }
    }
}

impl Sender {
    pub(super) fn new(options: SenderOptions, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let SenderOptions { targets, connect_timeout, tls, redactor, wall } = options;
        let targets = Arc::new(targets);
        // No proxy: it would resolve names itself, and the addresses could not be
        // judged.
        let builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .dns_resolver(GuardedResolver(Arc::clone(&targets)))
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .referer(false)
            .user_agent(concat!("jarvis-run-coordinator/", env!("CARGO_PKG_VERSION")))
            .tcp_nodelay(true);
        let builder = match tls {
            Some(tls) => builder.tls_backend_preconfigured(tls),
            None => builder,
        };
        let http = builder.build().map_err(|error| format!("cannot set up webhooks: {error}"))?;
        Ok(Self { http, targets, redactor, clock, wall })
    }

    pub(super) fn targets(&self) -> &WebhookTargets {
        &self.targets
    }

    /// Sends one report. Returns the status of the answer that accepts it.
    pub(super) async fn send(
        &self,
        url: &str,
        secret: &SigningSecret,
        event_id: &str,
        body: &str,
    ) -> Result<u16, Failure> {
        // The list may have changed since the subscription was made. An address in
        // a URL is not resolved, so it is judged here.
        let url = self.targets.admits(url).map_err(|why| Failure::of_target(why.to_string()))?;
        let timestamp = self.wall.now().as_micros().div_euclid(1_000_000);
        let request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/cloudevents+json; charset=utf-8")
            .header("webhook-id", event_id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secret.sign(event_id, timestamp, body))
            .body(body.to_owned());
        let work = async {
            match request.send().await {
                Ok(answer) if answer.status().is_success() => Ok(answer.status().as_u16()),
                Ok(answer) => Err(self.refusal(answer).await),
                Err(error) => {
                    let text = with_causes(&error.without_url());
                    Err(Failure::of_target(self.bounded(&text)))
                }
            }
        };
        within(&*self.clock, TIMEOUT, work)
            .await
            .unwrap_or_else(|| Err(Failure::of_target(format!("no answer within {} s", TIMEOUT.as_secs()))))
    }

    async fn refusal(&self, mut answer: Response) -> Failure {
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| {
            let seconds = value.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
        });
        let mut said = Vec::new();
        while said.len() < ANSWER_BYTES {
            match answer.chunk().await {
                Ok(Some(chunk)) => said.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        said.truncate(ANSWER_BYTES);
        let said = String::from_utf8_lossy(&said);
        let error = match (status, said.trim()) {
            (300..=399, _) => format!("status {status}: redirects are not followed"),
            (_, "") => format!("status {status}"),
            (_, said) => format!("status {status}: {said}"),
        };
        let says = match status {
            400 | 409 | 413 | 415 | 422 => Says::Rejected,
            410 => Says::Gone,
            _ => Says::Unavailable { retry_after },
        };
        Failure { status: Some(status), error: self.bounded(&error), says }
    }

    /// A text of others: without secrets, on one line, not long.
    fn bounded(&self, text: &str) -> String {
        let text = self.redactor.text(text);
        let letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        letters.take(ERROR_CHARS).collect()
    }
}
