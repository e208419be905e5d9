//! Generates Rust from `openapi/*.yaml`, with progenitor.
//!
//! - `wire.rs`: the ARP types, from the run-coordinator document. The API, the
//!   engine and every client use them.
//! - `<service>.rs`: one typed client per document. A schema that the
//!   run-coordinator document has, too, is the type in `wire.rs`.
//!
//! The documents are those of the standard; adaptations for the generator are
//! made here, in memory. And it says what the program is built from ([`stamp`]).

#[path = "build/stamp.rs"]
mod stamp;

use std::{fs, path::Path};

use openapiv3::{MediaType, OpenAPI, Operation, ReferenceOr, Response, Schema, SchemaKind, StatusCode, Type};
use progenitor::{GenerationSettings, Generator, HooksMode, InterfaceStyle};
use quote::quote;
use schemars::schema::{ArrayValidation, InstanceType, NumberValidation, Schema as JsonSchema, SchemaObject};

const OWN: &str = "run-coordinator";
const PEERS: [&str; 9] = [
    "artifact-store",
    "atomic-executor",
    "composite-executor",
    "event-stream",
    "node-registry",
    "operator",
    "pdp",
    "run-store",
    "selection",
];

/// Schemas with hand-written Rust types, because generated ones would lose their
/// guarantees.
const HAND_WRITTEN: [(&str, &str); 4] = [
    ("EndpointLocator", "crate::types::Uri"),
    ("Extensions", "crate::types::Extensions"),
    ("NodeRunId", "crate::types::NodeRunId"),
    ("RunId", "crate::types::RunId"),
];

fn main() {
    let own = load(OWN);
    let shared: Vec<&String> = own.components.iter().flat_map(|all| all.schemas.keys()).collect();

    let mut types = settings();
    types.with_derive("schemars::JsonSchema");
    let code = generate(&own, &types, Generate::Types);
    // The API refuses unknown members by validating against the schema
    // (`api/body.rs`); answers of other services may have unknown members.
    write("wire", &code.replace("#[serde(deny_unknown_fields)]", "#[schemars(deny_unknown_fields)]"));

    for service in PEERS.iter().chain([&OWN]) {
        let document = load(service);
        let mut client = settings();
        for name in shared.iter().filter(|name| !HAND_WRITTEN.iter().any(|(hand, _)| hand == **name)) {
            client.with_replacement(name, format!("crate::types::{name}"), [].into_iter());
        }
        client
            .with_interface(InterfaceStyle::Positional)
            .with_inner_type(quote!(crate::clients::Peer))
            .with_hooks(HooksMode::Expected);
        let code = generate(&document, &client, Generate::Client);
        let code = with_our_paths(&code.replace("#[serde(deny_unknown_fields)]", ""));
        write(&service.replace('-', "_"), &code);
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build/stamp.rs");
    stamp::emit();
}

/// The settings of all generated code: validating scalars.
fn settings() -> GenerationSettings {
    let mut settings = GenerationSettings::default();
    settings.with_derive("PartialEq").with_map_type("::std::collections::BTreeMap");
    for (schema, rust) in HAND_WRITTEN {
        settings.with_replacement(schema, rust, [].into_iter());
    }
    let of = |kind: InstanceType| SchemaObject { instance_type: Some(kind.into()), ..Default::default() };
    let string = |format: &str| SchemaObject { format: Some(format.into()), ..of(InstanceType::String) };
    let number = |maximum| SchemaObject {
        number: Some(Box::new(NumberValidation { minimum: Some(0.0), maximum, ..Default::default() })),
        ..of(InstanceType::Number)
    };
    let non_empty = |items: SchemaObject| SchemaObject {
        array: Some(Box::new(ArrayValidation {
            items: Some(JsonSchema::Object(items).into()),
            min_items: Some(1),
            ..Default::default()
        })),
        ..of(InstanceType::Array)
    };
    let spec = SchemaObject {
        reference: Some("#/components/schemas/NodeRunCreateSpec".into()),
        ..Default::default()
    };
    for (schema, rust) in [
        (string("uri"), "crate::types::Uri"),
        (string("date-time"), "crate::time::Timestamp"),
        (number(Some(1.0)), "crate::types::UnitInterval"),
        (number(None), "crate::types::NonNegative"),
        (non_empty(of(InstanceType::String)), "crate::types::NonEmpty<::std::string::String>"),
        (non_empty(spec), "crate::types::NonEmpty<NodeRunCreateSpec>"),
    ] {
        settings.with_conversion(schema, rust, [].into_iter());
    }
    settings
}

#[derive(Clone, Copy)]
enum Generate {
    Types,
    Client,
}

fn generate(document: &OpenAPI, settings: &GenerationSettings, what: Generate) -> String {
    let title = &document.info.title;
    let mut generator = Generator::new(settings);
    let client = generator.generate_tokens(document).unwrap_or_else(|e| panic!("{title}: {e}"));
    let tokens = match what {
        Generate::Types => generator.get_type_space().to_stream(),
        Generate::Client => client,
    };
    let file = syn::parse2(tokens).unwrap_or_else(|e| panic!("{title}: {e}"));
    // Free-form objects are text, not trees.
    let tree = "::serde_json::Map<::std::string::String, ::serde_json::Value>";
    prettyplease::unparse(&file).replace(tree, "crate::types::JsonObject")
}

/// Replaces progenitor's function that encodes ids in paths, which does not encode
/// `\\` and dot segments (`clients/path.rs`).
fn with_our_paths(code: &str) -> String {
    const THEIRS: &str = "use progenitor_client::{encode_path, ";
    const OURS: &str = "use crate::clients::path::encode_path;\nuse progenitor_client::{";
    assert!(code.contains(THEIRS), "the generated import of `encode_path` has changed");
    code.replace(THEIRS, OURS)
}

fn load(service: &str) -> OpenAPI {
    let path = format!("openapi/{service}.yaml");
    println!("cargo:rerun-if-changed={path}");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut document: OpenAPI = serde_yaml_ng::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
    for operation in operations(&mut document) {
        one_error_body(operation);
    }
    let schemas = &mut document.components.as_mut().expect("a document has components").schemas;
    for schema in schemas.values_mut() {
        optional_means_nullable(schema);
    }
    document
}

fn write(name: &str, code: &str) {
    let path = Path::new(&std::env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join(format!("{name}.rs"));
    fs::write(&path, code).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}

fn operations(document: &mut OpenAPI) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        let ReferenceOr::Item(item) = item else { panic!("paths are written out") };
        [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.head].into_iter().flatten()
    })
}

/// Makes the envelope the type of every 4XX and 5XX answer: progenitor takes
/// `default` for "success or error", and supports one error type per operation.
/// `clients::Peer` converts every failed answer to an envelope.
fn one_error_body(operation: &mut Operation) {
    let envelope = MediaType {
        schema: Some(ReferenceOr::ref_("#/components/schemas/ErrorEnvelope")),
        ..Default::default()
    };
    let failure = Response {
        description: "failure".into(),
        content: [("application/json".into(), envelope)].into_iter().collect(),
        ..Default::default()
    };
    let responses = &mut operation.responses;
    responses.default = None;
    responses.responses.retain(|status, _| matches!(status, StatusCode::Code(200..=299)));
    for class in [4, 5] {
        responses.responses.insert(StatusCode::Range(class), ReferenceOr::Item(failure.clone()));
    }
}

/// Makes optional members nullable, which the generator turns into `Option`:
/// services written in Python send `null` for "absent", and for maps and lists
/// "absent" must stay distinguishable from "empty".
fn optional_means_nullable(schema: &mut ReferenceOr<Schema>) {
    let ReferenceOr::Item(schema) = schema else { return };
    if let SchemaKind::Type(Type::Object(object)) = &mut schema.schema_kind {
        for (name, property) in &mut object.properties {
            if let (ReferenceOr::Item(property), false) = (property, object.required.contains(name)) {
                property.schema_data.nullable = true;
            }
        }
    }
}
