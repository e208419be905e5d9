//! Parts of requests that many tests send.

use serde_json::{Value, json};

/// The spec of a child of this node type, with empty inputs.
pub fn spec(node_type: &str) -> Value {
    json!({"node_type_ref": {"node_type_id": node_type, "version": "1.0.0"}, "inputs": {}})
}

/// A request to start a run with a root of this node type, with empty input.
pub fn start_of(node_type: &str) -> Value {
    json!({"root_node_type_ref": {"node_type_id": node_type, "version": "1.0.0"}, "input": {}})
}
