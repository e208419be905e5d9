//! Differences are accepted exactly as the file lists them, and no others.

use serde_json::json;
use specification::openapi::Document;
use xtask::check_spec::{Accepted, Against, Pair, Report, check};

fn documents() -> (Document, Document) {
    let document = |state: &str, more: &str| {
        let text = format!(
            "
openapi: 3.0.3
paths:
  /a:
    get:
      responses:
        200: {{content: {{a/b: {{schema: {{type: string, enum: [{state}]}}}}}}}}
        {more}: {{}}
"
        );
        Document::parse("a", &text).expect("a document")
    };
    (document("on, off", "404"), document("on", "409"))
}

fn report(against: Against, accepted: &str) -> Report {
    let (ours, theirs) = documents();
    let accepted = Accepted::parse(accepted).expect("a list");
    check(&[Pair { against, service: "store", ours, theirs }], &accepted).expect("comparable")
}

const ENUM: &str = "#/paths/~1a/get/responses/200/content/a~1b/schema/enum";
const ALL: &str = "
services:
  - documents: [store]
    pointers: ['#/paths/*/get/responses/200/content/a~1b/schema/enum']
    ours: 'off'
    reason: It can be switched off.
  - documents: [store]
    pointers: ['#/paths/*/*/responses/404']
    ours: '*'
    reason: It may be missing.
  - documents: [store]
    pointers: ['#/paths/~1a/get/responses/409']
    theirs: {}
    reason: Cannot happen.
";

#[test]
fn listed_differences_are_accepted_with_their_reason() {
    let report = report(Against::Service, ALL);
    assert!(report.agrees(), "{}", report.as_text());
    let accepted = &report.as_json()["comparisons"][0]["accepted"];
    assert_eq!(accepted[0]["pointer"], ENUM);
    assert_eq!(accepted[0]["reason"], "It can be switched off.");
    assert!(report.as_text().ends_with("check-spec: 1 comparison, no differences, 3 accepted\n"));
}

#[test]
fn entry_accepts_exactly_its_difference() {
    for (from, to) in [
        ("ours: 'off'", "ours: 'on'"),
        ("ours: 'off'", "theirs: 'off'"),
        ("ours: 'off'", "ours: 'off'\n    theirs: '*'"),
        ("/schema/enum", "/schema"),
        ("/schema/enum", "/schema/enum/0"),
        ("[store]", "[shop]"),
        ("services:", "official:"),
    ] {
        assert!(ALL.contains(from));
        let report = report(Against::Service, &ALL.replacen(from, to, 1));
        assert!(!report.agrees());
        let text = report.as_text();
        assert!(text.contains(&format!("  {ENUM}\n")), "{from} → {to}: {text}");
        assert!(text.contains("accepted, but no longer a difference: "), "{from} → {to}: {text}");
    }
}

#[test]
fn unused_entry_is_an_error() {
    let more = "
  - documents: [store]
    pointers: ['#/paths/~1a/get/responses/409', '#/paths/~1b/get/responses/409']
    theirs: {}
    reason: As above.
";
    let report = report(Against::Service, &format!("{ALL}{more}"));
    assert_eq!(report.unused, ["store: #/paths/~1b/get/responses/409 (service)"]);
    assert!(!report.agrees());
    assert_eq!(report.as_json()["agrees"], json!(false));
}

#[test]
fn differences_from_the_program_are_never_accepted() {
    let report = report(Against::Program, ALL);
    assert_eq!((report.checked[0].comparison.differences.len(), report.unused.len()), (3, 3));
}

#[test]
fn invalid_lists_are_refused() {
    for (text, message) in [
        ("services: [{documents: [a], pointers: ['#/a'], reason: ' '}]", "no reason for #/a"),
        ("services: [{documents: [], pointers: ['#/a'], reason: b}]", "without documents or pointers"),
        ("services: [{documents: [a], pointers: ['#/a']}]", "missing field `reason`"),
        ("program: []", "unknown field `program`"),
        ("services: [{documents: [a], pointers: ['#/a'], reason: b, our: 1}]", "unknown field `our`"),
    ] {
        let error = format!("{:#}", Accepted::parse(text).expect_err(message));
        assert!(error.contains(message), "{error}");
    }
}
