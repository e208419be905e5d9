//! An API as an OpenAPI document: dropshot's description of the endpoints,
//! completed with what dropshot cannot express.
//!
//! Added here, each from the source of the behaviour itself:
//! - security: an endpoint that takes a `Caller` requires a token;
//! - the failures, which are the same for all operations;
//! - `application/x-ndjson` for answers that consist of lines;
//! - parameters that are the members of one object;
//! - `{id}:verb`, which the endpoints spell `{id}/:verb`.
//!
//! `cargo xtask check-spec` compares it with the file in `openapi/`.

use dropshot::{ApiDescription, CONTENT_TYPE_JSON, CONTENT_TYPE_NDJSON, semver};
use serde_json::{Map, Value, json};

use super::{context::ServerContext, query::MEMBERS};

const SCHEME: &str = "ArpBearerJWT";

/// Makes the document of an API.
pub(crate) fn document(endpoints: &ApiDescription<ServerContext>, title: &str, version: &str) -> Value {
    let definition = endpoints.openapi(title, semver::Version::new(1, 0, 0));
    let mut document = definition.json().expect("dropshot writes JSON");
    document["info"]["version"] = json!(version);
    document["security"] = json!([{ SCHEME: [] }]);
    document["paths"] = object(&mut document["paths"])
        .iter_mut()
        .map(|(path, operations)| {
            object(operations).values_mut().for_each(complete);
            (path.replace("/:", ":"), operations.take())
        })
        .collect::<Map<_, _>>()
        .into();
    let components = &mut document["components"];
    object(&mut components["schemas"]).remove("Ndjson");
    components["responses"] = json!({
        "UnauthorizedError": unauthorized(),
        "ForbiddenError": failure("The caller may not do this"),
    });
    components["securitySchemes"] =
        json!({ SCHEME: { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } });
    document
}

fn complete(operation: &mut Value) {
    let secured = take_credentials(operation);
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        if parameter["schema"]["format"] == MEMBERS {
            parameter["schema"] = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        }
    }
    let responses = object(&mut operation["responses"]);
    // Dropshot documents its own failures as 4XX and 5XX.
    responses.retain(|status, _| status.parse::<u16>().is_ok());
    responses.values_mut().for_each(name_lines);
    if secured {
        responses.insert("401".into(), json!({ "$ref": "#/components/responses/UnauthorizedError" }));
        responses.insert("403".into(), json!({ "$ref": "#/components/responses/ForbiddenError" }));
    }
    responses.insert("default".into(), failure("The request failed"));
    if !secured {
        operation["security"] = json!([]);
    }
}

/// Removes the header that stands for a `Caller`, and returns whether it was
/// there: the document expresses the same as a security requirement.
fn take_credentials(operation: &mut Value) -> bool {
    let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) else {
        return false;
    };
    let before = parameters.len();
    parameters.retain(|parameter| parameter["in"] != "header" || parameter["name"] != "Authorization");
    let secured = parameters.len() < before;
    if parameters.is_empty() {
        object(operation).remove("parameters");
    }
    secured
}

fn name_lines(response: &mut Value) {
    if response["content"][CONTENT_TYPE_JSON]["schema"]["$ref"] == "#/components/schemas/Ndjson" {
        response["content"] = json!({ CONTENT_TYPE_NDJSON: { "schema": { "type": "string" } } });
    }
}

fn unauthorized() -> Value {
    let mut response = failure("The token is missing or was not accepted");
    response["headers"] = json!({ "WWW-Authenticate": { "schema": { "type": "string" } } });
    response
}

fn failure(description: &str) -> Value {
    let schema = json!({ "$ref": "#/components/schemas/ErrorEnvelope" });
    json!({ "description": description, "content": { CONTENT_TYPE_JSON: { "schema": schema } } })
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("OpenAPI has an object there")
}
