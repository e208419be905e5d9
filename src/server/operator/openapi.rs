//! The operator API as an OpenAPI document: `openapi/operator.yaml`, which the
//! client of the commands is generated from.
//!
//! After a change of the endpoints, rewrite the file with
//! `EXPECTORATE=overwrite cargo test --lib operator::openapi`. `cargo xtask
//! check-spec` compares, too.

use serde_json::Value;

use super::endpoints::endpoints;
use crate::http_server;

const TITLE: &str = "JARVIS Run Coordinator: operator API";
const VERSION: &str = "x1";

/// Makes the document of the operator API.
pub fn document() -> Value {
    http_server::document(&endpoints(), TITLE, VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order in which people read it.
    const MEMBERS: [&str; 6] = ["openapi", "info", "tags", "security", "paths", "components"];

    #[test]
    fn document_is_the_committed_one() {
        let mut document = document();
        let mut text =
            String::from("# Written by a test of the program: see src/server/operator/openapi.rs.\n");
        for name in MEMBERS {
            let member = document.as_object_mut().unwrap().remove(name).unwrap();
            text += &serde_yaml_ng::to_string(&serde_json::json!({ name: member })).unwrap();
        }
        assert_eq!(document, serde_json::json!({}), "a member more");
        expectorate::assert_contents("openapi/operator.yaml", &text);
    }
}
