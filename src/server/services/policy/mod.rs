//! Permission for runs and nodes (contract §10): from a Policy Decision Point
//! (PDP), or, without one, from the posture of the configuration.
//!
//! ```text
//!   question ──▶ posture ─────────────────────────▶ allow │ deny
//!            └─▶ PDP ──▶ decision ────────────────▶ allow │ deny │ require approval
//!                    └─▶ no decision ──▶ `outage` ▶ deny, or held: asked again later
//! ```
//!
//! **Invariant.** No failure allows anything.

mod outage;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
pub use outage::Outage;
use serde_json::{Map, Value};
use slog::{Logger, debug, warn};

use crate::{
    clients::{
        CallError, Failure, Service, Subject, call_within,
        pdp::{
            self,
            types::{PolicyDecision, PolicyDecisionRequest},
        },
    },
    config::PolicyPosture,
    engine::{PolicyDecided, PolicyOutcome},
    time::Clock,
    types::{ConstraintEnvelope, JsonObject, NodeRun, RunContext, json::canonical},
};

/// The checkpoint before a run starts.
pub const RUN_START: &str = "run.start";
/// The checkpoint before a node is sent to its executor.
pub const NODE_RUN_EXECUTE: &str = "node.run.execute";
/// The checkpoint after that, before irreversible work.
pub const NODE_RUN_IRREVERSIBLE: &str = "node.run.irreversible";

/// What decides.
pub enum Policy {
    Local(PolicyPosture),
    Pdp { pdp: Arc<dyn DecisionPoint>, timeout: Duration, outage: Outage, clock: Arc<dyn Clock>, log: Logger },
}

/// No decision was made: the question is to be asked again. The reason is for
/// the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PdpUnavailable(pub String);

/// The role of a PDP.
#[async_trait]
pub trait DecisionPoint: Send + Sync + 'static {
    async fn decide(
        &self,
        request: &PolicyDecisionRequest,
        subject: &Subject,
    ) -> Result<PolicyDecision, CallError>;
}

#[async_trait]
impl DecisionPoint for pdp::Client {
    async fn decide(
        &self,
        request: &PolicyDecisionRequest,
        subject: &Subject,
    ) -> Result<PolicyDecision, CallError> {
        self.call(self.on_behalf_of(subject).decide_policy(request)).await
    }
}

/// A question to the policy.
pub struct Question<'q> {
    pub action: &'static str,
    pub node: &'q NodeRun,
    pub run_context: Option<&'q RunContext>,
    pub constraints: Option<ConstraintEnvelope>,
    /// Further facts for the decision (G22).
    pub context: Map<String, Value>,
    /// On whose behalf it is asked.
    pub subject: Subject,
}

impl Policy {
    /// Whether decisions need no other service.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Local(_) => true,
            Self::Pdp { .. } => false,
        }
    }

    /// Asks the PDP whether it still decides as before about a node that waits for
    /// an approval. That it cannot be asked is no decision, whatever the setting.
    /// `None`: there is no PDP.
    pub async fn ask_again(&self, question: Question<'_>) -> Option<Result<PolicyDecided, PdpUnavailable>> {
        let Self::Pdp { pdp, timeout, outage, clock, .. } = self else { return None };
        let action = question.action;
        Some(match Box::pin(ask(&**pdp, *timeout, &**clock, question)).await {
            Ok(answer) => {
                outage.answered(clock.now());
                Ok(from_pdp(action, answer))
            }
            Err(error) => {
                outage.failed(&error, clock.now());
                Err(PdpUnavailable(error.to_string()))
            }
        })
    }

    pub async fn decide(&self, question: Question<'_>) -> Result<PolicyDecided, PdpUnavailable> {
        let action = question.action;
        Ok(match self {
            Self::Local(PolicyPosture::DevAllow) => {
                decided(action, PolicyOutcome::Allow, Some("policy_bypass".into()), None)
            }
            Self::Local(PolicyPosture::DenyUnconfigured) => decided(
                action,
                PolicyOutcome::Deny,
                Some("policy_unconfigured".into()),
                Some("No PDP configured for policy enforcement".into()),
            ),
            Self::Pdp { pdp, timeout, outage, clock, log } => {
                match Box::pin(ask(&**pdp, *timeout, &**clock, question)).await {
                    Err(error) if outage.holds(&error) => {
                        outage.failed(&error, clock.now());
                        return Err(PdpUnavailable(error.to_string()));
                    }
                    Ok(answer) => {
                        outage.answered(clock.now());
                        from_pdp(action, answer)
                    }
                    Err(error) => {
                        // The event has less: callers see it.
                        if outage.failed(&error, clock.now()) {
                            warn!(log, "denied: the PDP did not decide"; "action" => action, "error" => %error);
                        } else {
                            debug!(log, "denied, again: the PDP did not decide"; "error" => %error);
                        }
                        let message = Some(error.message().into_owned());
                        decided(action, PolicyOutcome::Deny, Some("pdp_unavailable".into()), message)
                    }
                }
            }
        })
    }
}

async fn ask(
    pdp: &dyn DecisionPoint,
    timeout: Duration,
    clock: &dyn Clock,
    question: Question<'_>,
) -> Result<PolicyDecision, CallError> {
    let subject = question.subject.clone();
    let request = request(question);
    let call = async {
        match pdp.decide(&request, &subject).await {
            // The connection broke off, perhaps an idle one. A question changes
            // nothing, so it is asked once more.
            Err(CallError { failure: Failure::NoResponse { .. }, .. }) => {
                pdp.decide(&request, &subject).await
            }
            answer => answer,
        }
    };
    call_within(clock, timeout, Service::Pdp, call).await
}

fn request(question: Question<'_>) -> PolicyDecisionRequest {
    let Question { action, node, run_context, constraints, context, subject: _ } = question;
    PolicyDecisionRequest {
        action: action.into(),
        run_id: Some(node.run_id.clone()),
        node_run_id: Some(node.node_run_id.clone()),
        node_type_ref: Some(node.node_type_ref.clone()),
        run_context: run_context.cloned(),
        constraints,
        context: Some(context.into()),
        extensions: None,
    }
}

fn from_pdp(action: &'static str, answer: PolicyDecision) -> PolicyDecided {
    let outcome = match answer.decision {
        pdp::types::PolicyDecisionOutcome::Allow => PolicyOutcome::Allow,
        pdp::types::PolicyDecisionOutcome::Deny => PolicyOutcome::Deny,
        pdp::types::PolicyDecisionOutcome::RequireApproval => PolicyOutcome::RequireApproval,
    };
    let mut evidence = BTreeMap::new();
    if let Some(approval) = answer.approval_ref.as_ref().and_then(canonical::text_of) {
        evidence.insert("approval_ref".to_owned(), approval);
    }
    for key in ["policy_hash", "policy_version"] {
        let raw = |key: &str| answer.extensions.as_ref().and_then(|extensions| extensions.raw(key));
        // As the JARVIS PDP writes it, or as the schema requires (D-01).
        if let Some(value) = raw(key).or_else(|| raw(&format!("jarvis.{key}"))) {
            evidence.insert(key.to_owned(), value.to_owned());
        }
    }
    let evidence = JsonObject::new().edited(|_| false, &evidence);
    PolicyDecided { evidence, ..decided(action, outcome, answer.reason_code, answer.message) }
}

fn decided(
    action: &'static str,
    outcome: PolicyOutcome,
    reason_code: Option<String>,
    message: Option<String>,
) -> PolicyDecided {
    PolicyDecided { action, outcome, reason_code, message, evidence: JsonObject::new(), after: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::PdpOutage;

    #[test]
    fn pdp_decision_reaches_the_event_with_its_evidence() {
        let answer = serde_json::from_value(json!({
            "decision": "require_approval", "reason_code": "r", "message": null,
            "approval_ref": {"approval_id": "a", "uri": "https://approvals.example/a"},
            "extensions": {"policy_hash": "h", "jarvis.policy_version": 3, "other": true}
        }))
        .expect("a decision");
        let decided = from_pdp(NODE_RUN_EXECUTE, answer);
        assert_eq!(decided.outcome, PolicyOutcome::RequireApproval);
        assert_eq!(
            Value::from(decided.evidence),
            json!({
                "approval_ref": {"approval_id": "a", "uri": "https://approvals.example/a"},
                "policy_hash": "h", "policy_version": 3
            })
        );
    }

    #[tokio::test]
    async fn question_is_repeated_once_if_its_connection_breaks() {
        use std::{io::Write, net::TcpListener};

        let node: NodeRun = serde_json::from_value(json!({
            "node_run_id": "n", "run_id": "r", "state": "queued",
            "node_type_ref": {"node_type_id": "t", "version": "1.0.0"}
        }))
        .expect("a node run");
        for (breaks, outcome) in [(1, PolicyOutcome::Allow), (2, PolicyOutcome::Deny)] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let pdp = std::thread::spawn(move || {
                for asked in 0..2 {
                    let (mut stream, _) = listener.accept().expect("a question");
                    let read = std::io::Read::read(&mut stream, &mut [0; 4096]).expect("a request");
                    assert_ne!(read, 0);
                    if asked >= breaks {
                        let body = r#"{"decision": "allow"}"#;
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                            .expect("sent");
                    }
                }
            });
            let peer = crate::clients::Peer::anonymous(Service::Pdp);
            let log = slog::Logger::root(slog::Discard, slog::o!());
            let watch = crate::resilience::ServiceWatch::new("pdp", "pdp", 1, log);
            let policy = Policy::Pdp {
                pdp: Arc::new(pdp::Client::new_with_client(&url, reqwest::Client::new(), peer)),
                timeout: std::time::Duration::from_secs(10),
                outage: Outage::new(PdpOutage::Deny, Arc::new(watch)),
                clock: Arc::new(crate::time::SystemClock),
                log: slog::Logger::root(slog::Discard, slog::o!()),
            };
            let question = Question {
                action: NODE_RUN_EXECUTE,
                node: &node,
                run_context: None,
                constraints: None,
                context: Map::new(),
                subject: Subject::Own,
            };
            assert_eq!(
                policy.decide(question).await.map(|decided| decided.outcome),
                Ok(outcome),
                "{breaks} broken"
            );
            pdp.join().expect("two questions");
        }
    }
}
