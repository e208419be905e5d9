//! Policy, with a span for each question that another service answers.

use crate::{
    engine::PolicyDecided,
    record::{NodeRecord, RunRecord},
    services::policy::{PdpUnavailable, Policy, Question},
    traces::{CallSpan, Span, Traces, Value, current},
};

/// What is decided, or why nothing is.
type Answer = Result<PolicyDecided, PdpUnavailable>;

pub(super) struct TracedPolicy {
    pub(super) policy: Policy,
    pub(super) traces: Traces,
}

impl TracedPolicy {
    pub(super) fn is_local(&self) -> bool {
        self.policy.is_local()
    }

    pub(super) async fn decide(&self, question: Question<'_>) -> Answer {
        if self.policy.is_local() {
            return self.policy.decide(question).await;
        }
        let name = name_of(&question);
        let call = self.policy.decide(question);
        CallSpan::call(&self.traces, &name, call, note).await
    }

    /// As [`Policy::ask_again`].
    pub(super) async fn ask_again(&self, question: Question<'_>) -> Option<Answer> {
        let name = name_of(&question);
        let call = self.policy.ask_again(question);
        let noted =
            |answer: &Option<Answer>, span: &mut Span| answer.iter().for_each(|answer| note(answer, span));
        CallSpan::call(&self.traces, &name, call, noted).await
    }

    /// Asks about a node as a part of what is above its attempts: there may be none.
    pub(super) async fn within<F: Future>(&self, run: &RunRecord, node: &NodeRecord, asks: F) -> F::Output {
        if self.policy.is_local() {
            return asks.await;
        }
        current::scope(self.traces.of_node(run, node), asks).await
    }
}

fn name_of(question: &Question<'_>) -> String {
    format!("policy {}", question.action)
}

fn note(answer: &Answer, span: &mut Span) {
    match answer {
        Ok(decided) => {
            span.attributes.push(("arp.policy.action", Value::text(decided.action)));
            span.attributes.push(("arp.policy.decision", Value::text(decided.outcome.as_str())));
        }
        Err(PdpUnavailable(_)) => span.fail("pdp_unavailable"),
    }
}
