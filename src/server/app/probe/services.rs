//! Every service that is configured: whether it answers, as what, and whether it takes
//! our token.
//!
//! ```text
//!   GET /v1/health ──▶ GET /v1/version ──▶ GET of what does not exist, with the token
//!      no answer │         another coordinator │       401, 403 │
//!                └─────────────────────────────┴────────────────┴──▶ failed
//! ```

use std::collections::BTreeMap;

use futures::future::join_all;

use super::{
    Scope,
    ask::{Answer, Asker, NoAnswer},
    clock::Heard,
    finding::Finding,
    tokens::Tokens,
};
use crate::{
    clients::Service,
    config::{
        Endpoint, ExecutorUrls, Executors, HttpUrl, Mode, Settings, variable::Variable, variables as v,
    },
};

/// One service, or a member of a pool.
struct Target<'s> {
    service: Service,
    url: &'s HttpUrl,
    set_by: &'static Variable,
    audience: &'s str,
    audience_set_by: &'static Variable,
    /// What is asked for with the token: it does not exist.
    absent: Option<&'static str>,
    /// It is called without a token, whatever there is.
    is_anonymous: bool,
}

/// The audiences of all services that are called with tokens, and what sets them.
pub(super) fn audiences(settings: &Settings) -> BTreeMap<String, &'static str> {
    let called = targets(settings).into_iter().filter(|target| !target.is_anonymous);
    called.map(|target| (target.audience.to_owned(), target.audience_set_by.name)).collect()
}

/// Asks all of them at once.
pub(super) async fn services(
    settings: &Settings,
    asker: &Asker<'_>,
    tokens: &Tokens,
    scope: Scope,
    heard: &mut Heard,
) -> Vec<Finding> {
    let all = targets(settings);
    let found = join_all(all.iter().map(|target| target.look(asker, tokens, scope))).await;
    found
        .into_iter()
        .map(|(finding, ahead)| {
            heard.note(&finding.check, ahead);
            finding
        })
        .collect()
}

fn of<'s>(
    service: Service,
    endpoint: &'s Endpoint,
    set_by: &'static Variable,
    audience_set_by: &'static Variable,
    absent: Option<&'static str>,
) -> Target<'s> {
    Target {
        service,
        url: &endpoint.url,
        set_by,
        audience: &endpoint.audience,
        audience_set_by,
        absent,
        is_anonymous: false,
    }
}

fn targets(settings: &Settings) -> Vec<Target<'_>> {
    let mut targets = Vec::new();
    if let Some(stores) = &settings.stores {
        targets.extend([
            of(
                Service::RunStore,
                &stores.run_store,
                &v::RUN_STORE_URL,
                &v::RUN_STORE_AUDIENCE,
                Some("/v1/runs/doctor"),
            ),
            of(
                Service::EventStream,
                &stores.event_stream,
                &v::EVENT_STREAM_URL,
                &v::EVENT_STREAM_AUDIENCE,
                Some("/v1/runs/doctor/events"),
            ),
            of(
                Service::ArtifactStore,
                &stores.artifact_store,
                &v::ARTIFACT_STORE_URL,
                &v::ARTIFACT_STORE_AUDIENCE,
                Some("/v1/artifacts/doctor/metadata"),
            ),
        ]);
    }
    for (service, executors, set_by, audience_set_by) in [
        (
            Service::AtomicExecutor,
            &settings.atomic_executor,
            &v::ATOMIC_EXECUTOR_URL,
            &v::ATOMIC_EXECUTOR_AUDIENCE,
        ),
        (
            Service::CompositeExecutor,
            &settings.composite_executor,
            &v::COMPOSITE_EXECUTOR_URL,
            &v::COMPOSITE_EXECUTOR_AUDIENCE,
        ),
    ] {
        let Some(Executors { urls, audience }) = executors else { continue };
        let urls: Vec<&HttpUrl> = match urls {
            ExecutorUrls::Single(url) => vec![url],
            ExecutorUrls::Addresses(members) | ExecutorUrls::Named(members) => {
                members.iter().map(|member| &member.url).collect()
            }
        };
        targets.extend(urls.into_iter().map(|url| Target {
            service,
            url,
            set_by,
            audience,
            audience_set_by,
            absent: None,
            is_anonymous: false,
        }));
    }
    if let Some(registry) = &settings.node_registry {
        let absent = Some("/v1/node-types/doctor");
        let target =
            of(Service::NodeRegistry, registry, &v::NODE_REGISTRY_URL, &v::NODE_REGISTRY_AUDIENCE, absent);
        // Contract §20.
        targets.push(Target { is_anonymous: settings.inbound.mode == Mode::Disabled, ..target });
    }
    let pdp = settings.pdp.as_ref();
    targets.extend(pdp.map(|pdp| of(Service::Pdp, pdp, &v::PDP_URL, &v::PDP_AUDIENCE, None)));
    let selection = settings.selection.as_ref();
    targets.extend(
        selection.map(|found| of(Service::Selection, found, &v::SELECTION_URL, &v::SELECTION_AUDIENCE, None)),
    );
    targets
}

impl Target<'_> {
    /// The finding, and by how many seconds our clock is ahead of the service's.
    async fn look(&self, asker: &Asker<'_>, tokens: &Tokens, scope: Scope) -> (Finding, Option<i64>) {
        let token = tokens.get(self.audience).filter(|_| !self.is_anonymous);
        let health = match asker.get(&self.at("/v1/health"), token).await {
            Ok(health) => health,
            Err(error) => return (self.no_answer(&error), None),
        };
        let ahead = health.ahead_seconds;
        if !health.is_success() {
            return (self.refused("/v1/health", &health), ahead);
        }
        let version = asker.get(&self.at("/v1/version"), token).await.ok().filter(Answer::is_success);
        let said = |member| version.as_ref().and_then(|version| version.text(member)).unwrap_or_default();
        if said("service_name").ends_with("run-coordinator") {
            let message = format!("{} is a run coordinator", self.url.address());
            return (
                self.failed(message, format!("Set {} to the {}.", self.set_by.name, self.service.label())),
                ahead,
            );
        }
        if let Some(path) = self.absent.filter(|_| scope == Scope::Everything)
            && let Ok(answer) = asker.get(&self.at(path), token).await
            && matches!(answer.status, 401 | 403)
        {
            return (self.refused(path, &answer), ahead);
        }
        let name = [said("service_name"), said("service_version")].join(" ");
        let state = health.text("status").unwrap_or("answers");
        let name = if name.trim().is_empty() { String::new() } else { format!(", {}", name.trim()) };
        let message = format!("{}: {state}{name}", self.url.address());
        let finding = match state {
            "ok" | "answers" => Finding::ok(self.service.name(), message),
            _ => Finding::warning(
                self.service.name(),
                message,
                format!("Its own health says why: {}.", self.shown()),
            ),
        };
        (finding, ahead)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str())
    }

    /// Where its health is, without credentials.
    fn shown(&self) -> String {
        format!("{}/v1/health", self.url.without_credentials())
    }

    fn failed(&self, message: String, remedy: String) -> Finding {
        Finding::failed(self.service.name(), message, remedy)
    }

    fn no_answer(&self, error: &NoAnswer) -> Finding {
        let (label, name) = (self.service.label(), self.set_by.name);
        let remedy = if error.is_about_certificates() {
            format!("Set the roots to trust with {}, or correct {name}.", v::CA_BUNDLE.name)
        } else {
            format!("Start the {label}, let this machine reach it, or correct {name}.")
        };
        self.failed(format!("{}: {}", self.url.address(), error.reason), remedy)
    }

    fn refused(&self, path: &str, answer: &Answer) -> Finding {
        let (status, address) = (answer.status, self.url.address());
        let message = format!("{address} answers {status} to GET {path}");
        match status {
            401 | 403 => self.failed(
                message,
                format!(
                    "It does not take our token: {} must be the audience that it requires, and the client of {} must \
                     have the right to call it.",
                    self.audience_set_by.name,
                    v::AUTH_CLIENT_ID.name
                ),
            ),
            500.. => self.failed(message, format!("Look at the {} and its log.", self.service.label())),
            _ => Finding::warning(
                self.service.name(),
                message,
                format!("Is it the {}? {} says where that is.", self.service.label(), self.set_by.name),
            ),
        }
    }
}
