//! The API as an OpenAPI document. It is the standard's: `cargo xtask check-spec`
//! compares it with `openapi/run-coordinator.yaml`.

use serde_json::Value;

use super::endpoints::{API_VERSION, endpoints};
use crate::http_server;

const TITLE: &str = "ARP Run Coordinator API";

/// Makes the document of the API that this server serves.
pub fn document() -> Value {
    http_server::document(&endpoints(), TITLE, API_VERSION)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::record::{Interface, Operation};

    #[test]
    fn only_health_and_version_are_public() {
        let document = document();
        let public: Vec<&str> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, item)| {
                item.as_object().unwrap().values().any(|operation| !operation["security"].is_null())
            })
            .map(|(path, _)| path.as_str())
            .collect();
        assert_eq!(public, ["/v1/health", "/v1/version"]);
    }

    /// What is secured is an `Operation`, for which `coordinator::access` has a rule.
    #[test]
    fn every_secured_operation_has_a_rule() {
        let document = document();
        let operations = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|item| item.as_object().unwrap().values());
        let secured: BTreeSet<&str> = operations
            .filter(|operation| operation["security"].is_null())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        assert_eq!(secured, Operation::of(Interface::Arp).map(Operation::as_str).collect());
    }

    #[test]
    fn internal_markers_are_not_in_the_document() {
        let text = document().to_string();
        for marker in ["Ndjson\"", "\"Authorization\"", "/:", "4XX", "cursor"] {
            assert!(!text.contains(marker), "{marker}");
        }
    }
}
