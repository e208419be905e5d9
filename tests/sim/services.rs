//! The Node Registry and the PDP, with the faults of the scenario.

use std::sync::Arc;

use async_trait::async_trait;
use jarvis_run_coordinator::{
    clients::{
        CallError, Failure, NotSent, Service, Subject,
        node_registry::types::NodeType,
        pdp::types::{PolicyDecision, PolicyDecisionRequest},
    },
    services::{node_registry::NodeRegistry, policy::DecisionPoint},
};
use serde_json::json;

use crate::{
    scenario::{DEMANDED, GATED, ServiceFault},
    world::World,
};

pub struct Services {
    world: Arc<World>,
}

impl Services {
    pub fn new(world: &Arc<World>) -> Self {
        Self { world: Arc::clone(world) }
    }

    async fn suffer(&self, service: Service) -> Result<(), CallError> {
        self.world.lag().await;
        match self.world.service_fault() {
            None => Ok(()),
            Some(fault) => {
                self.world.trace(format_args!("{service:?} {fault:?}"));
                self.world.count("registry or PDP failed");
                match fault {
                    ServiceFault::Fails => {
                        let reason = "injected".into();
                        let failure = Failure::HttpStatus { status: 503, reason, retry_after: None };
                        Err(CallError::new(service, failure))
                    }
                    ServiceFault::Hangs => std::future::pending().await,
                }
            }
        }
    }
}

#[async_trait]
impl NodeRegistry for Services {
    async fn node_type(&self, id: &str, _: Option<&str>) -> Result<Option<NodeType>, CallError> {
        self.suffer(Service::NodeRegistry).await?;
        let (kind, extensions) = match id {
            "sim.plan" => ("composite", json!({})),
            "sim.read" => {
                ("atomic", json!({"jarvis.side_effect": "read", "jarvis.retry": {"max_attempts": 3}}))
            }
            "sim.idempotent" => ("atomic", json!({"jarvis.side_effect": "write", "jarvis.idempotent": true})),
            GATED | DEMANDED => ("atomic", json!({"jarvis.side_effect": "read"})),
            "sim.write" | "sim.denied" => ("atomic", json!({"jarvis.side_effect": "write"})),
            _ => return Ok(None),
        };
        let mut about = json!({"node_type_id": id, "version": "1", "kind": kind, "extensions": extensions});
        if id == GATED {
            about["constraints"] = json!({"gates": {"require_approval": true}});
        }
        Ok(Some(serde_json::from_value(about).expect("a node type")))
    }
}

#[async_trait]
impl DecisionPoint for Services {
    async fn decide(
        &self,
        request: &PolicyDecisionRequest,
        _: &Subject,
    ) -> Result<PolicyDecision, CallError> {
        self.suffer(Service::Pdp).await?;
        if self.world.is_pdp_down() {
            return Err(CallError::new(Service::Pdp, Failure::NotSent(NotSent::NoConnection)));
        }
        let decision = match request.node_type_ref.as_ref().map(|node| node.node_type_id.as_str()) {
            Some("sim.denied") => "deny",
            Some(DEMANDED) => self.world.policy_of(request.node_run_id.as_ref()),
            Some(_) | None => "allow",
        };
        Ok(serde_json::from_value(json!({"decision": decision})).expect("a decision"))
    }
}
