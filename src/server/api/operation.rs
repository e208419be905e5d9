//! What the door has to know about an operation before it runs it.
//!
//! **Invariant:** every operation of the API document is in the table; a test
//! compares them.

/// How an operation is treated under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Does not depend on the caller, and is always answered.
    Public,
    /// Reads one thing: has a reserve, so that an overloaded server can be
    /// watched.
    Read,
    /// Ends work: has a reserve, so that an overloaded server can be steered.
    End,
    /// Everything else.
    Work,
}

/// An operation of the inner API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    id: &'static str,
    pub(super) class: Class,
    /// Whether its endpoint reads the request's body.
    pub(super) reads_body: bool,
}

const fn operation(id: &'static str, class: Class, reads_body: bool) -> Operation {
    Operation { id, class, reads_body }
}

const OPERATIONS: [Operation; 11] = [
    operation("cancel_run", Class::End, false),
    operation("complete_node_run", Class::End, true),
    operation("create_node_runs", Class::Work, true),
    operation("get_node_run", Class::Read, false),
    operation("get_run", Class::Read, false),
    operation("health", Class::Public, false),
    operation("report_node_run_evaluation", Class::End, true),
    operation("start_run", Class::Work, true),
    operation("stream_node_run_events", Class::Work, false),
    operation("stream_run_events", Class::Work, false),
    operation("version", Class::Public, false),
];

impl Operation {
    /// The operation with this id. What the table does not have (endpoints of
    /// tests) is ordinary work.
    pub(super) fn of(id: &str) -> Self {
        let found = OPERATIONS.iter().find(|operation| operation.id == id).copied();
        found.unwrap_or(operation("", Class::Work, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::openapi;

    #[test]
    fn table_has_the_operations_of_the_document() {
        let document = openapi::document();
        let paths = document["paths"].as_object().expect("paths");
        let mut documented: Vec<(String, bool, bool)> = paths
            .values()
            .flat_map(|item| item.as_object().expect("an item").values())
            .map(|operation| {
                let id = operation["operationId"].as_str().expect("an id").to_owned();
                let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
                (id, is_public, operation["requestBody"].is_object())
            })
            .collect();
        documented.sort();
        let of = |operation: &Operation| {
            (operation.id.to_owned(), operation.class == Class::Public, operation.reads_body)
        };
        assert_eq!(documented, OPERATIONS.iter().map(of).collect::<Vec<_>>());
    }
}
