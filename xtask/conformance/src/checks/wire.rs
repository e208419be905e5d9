//! The wire format: bodies, members, nulls, times, paths (§3).

use serde_json::{Value, json};

use crate::{
    bench::Bench,
    check::Check,
    http::As,
    values::{id_of, text, with},
    verdict::{Verdict, ensure, equal},
};
use scripted_executor::Behaviour::Echo;

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "core/3.1/json-content-types",
        "application/json and application/<x>+json are read",
        json_types,
    ),
    Check::new("core/3.1/no-other-content-types", "Any other content type, or none, is 400", other_types),
    Check::new(
        "core/3.2/unknown-members-refused",
        "A member that its object does not know is 400",
        unknown_members,
    ),
    Check::new("core/3.2/no-coercion", "A value of another JSON type is 400, not converted", no_coercion),
    Check::new("core/3.2/bounds", "Lower bounds, ranges and enums are enforced", bounds),
    Check::new(
        "core/3.2/null-is-absence",
        "null for an optional member equals its absence (D-18)",
        null_is_absence,
    ),
    Check::new("core/3.2/last-duplicate-wins", "Of duplicate keys the last one counts", duplicates),
    Check::new("core/3.2/strict-json", "NaN, 1e999 and lone surrogates are 400", strict_json).differs("G46"),
    Check::new("core/3.2/uris-normalised", "URIs come back in normal form; a bare path is 400", uris),
    Check::new(
        "core/3.3/no-foreign-members",
        "Objects have the members of the standard and no others",
        members,
    ),
    Check::new("core/3.4/absent-members-omitted", "A member without a value is left out, not null", omitted)
        .differs("D-02"),
    Check::new("core/3.4/nulls-in-maps-kept", "Nulls inside free-form maps are data and stay", nulls_in_maps),
    Check::new("core/3.5/times", "Times are RFC 3339 with a zone", times),
    Check::new("core/3.7/last-colon", "The verb is what follows the last colon of the segment", last_colon),
    Check::new("core/3.7/encoded-ids", "Segments are percent-decoded; a decoded slash is 404", encoded_ids),
    Check::new("core/3.7/odd-ids-refused", "A run id that no URL would survive is 400", odd_ids)
        .differs("G17, D-21"),
    Check::new("deep/3.1/nesting", "A body nested 100,000 deep is 400, and the next is read", nesting)
        .differs("G46"),
];

fn json_types(b: &Bench) -> Verdict {
    for content_type in ["application/json", "Application/JSON; charset=latin-1", "application/arp+json;v=1"]
    {
        let id = b.fresh("types");
        let body = b.atomic_request(Echo, json!({ "run_id": id })).to_string();
        let answer = b.http.send("POST", "/v1/runs", As::Caller, Some(content_type), &body)?;
        equal("run_id", &answer.ok()?["run_id"], &json!(id))?;
    }
    Ok(())
}

fn other_types(b: &Bench) -> Verdict {
    let body = b.atomic_request(Echo, json!({})).to_string();
    for content_type in
        [Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("text/json"), None]
    {
        b.http.send("POST", "/v1/runs", As::Caller, content_type, &body)?.refused(400, "invalid_request")?;
    }
    Ok(())
}

fn refused(b: &Bench, requests: &[Value]) -> Verdict {
    for more in requests {
        let answer = b.start(&b.atomic_request(Echo, more.clone()))?;
        if answer.refused(400, "invalid_request").is_err() {
            return answer.wrong(&format!("is not 400 invalid_request, for {more}"));
        }
    }
    Ok(())
}

fn unknown_members(b: &Bench) -> Verdict {
    let mut odd_type = b.atomic_type();
    odd_type["kind"] = json!("atomic");
    let requests = [
        json!({"unknown": 1}),
        json!({"root_node_type_ref": odd_type}),
        json!({"run_context": {"unknown": 1}}),
        json!({"run_context": {"trace": {"unknown": 1}}}),
        json!({"constraints": {"structural": {"unknown": 1}}}),
        json!({"constraints": {"unknown": {}}}),
        json!({"metadata": {"unknown": {}}}),
    ];
    refused(b, &requests)
}

fn no_coercion(b: &Bench) -> Verdict {
    let depth = |value: Value| json!({"constraints": {"structural": {"max_depth": value}}});
    let requests = [
        json!({"run_id": 1}),
        json!({"input": []}),
        json!({"input": null}),
        json!({"root_node_type_ref": "atomic.conformance"}),
        depth(json!("1")),
        depth(json!(true)),
        depth(json!(1.5)),
        json!({"constraints": {"gates": {"require_approval": "yes"}}}),
        json!({"constraints": {"gates": {"require_approval": 1}}}),
        json!({"constraints": {"budgets": {"max_cost": "5"}}}),
        json!({"metadata": {"labels": {"a": 1}}}),
    ];
    refused(b, &requests)?;
    // Integers may be written as numbers.
    let cost = b.started(&b.atomic_request(Echo, json!({"constraints": {"budgets": {"max_cost": 5}}})))?;
    ensure(cost.body["run_id"].is_string(), || "5 is a number".into())
}

fn bounds(b: &Bench) -> Verdict {
    let requests = [
        json!({"constraints": {"structural": {"max_depth": -1}}}),
        json!({"constraints": {"candidates": {"max_candidates_per_subtask": 0}}}),
        json!({"constraints": {"budgets": {"max_cost": -0.5}}}),
        json!({"constraints": {"gates": {"side_effect_class": "Read"}}}),
    ];
    refused(b, &requests)?;
    let run = b.started(&b.atomic_request(Echo, json!({})))?;
    let path = format!("{}:evaluation", run.root_path());
    for report in [json!({"status": "success", "confidence": 1.5}), json!({"status": "maybe"})] {
        b.post(&path, &json!({ "evaluation_result": report }))?.refused(400, "invalid_request")?;
    }
    Ok(())
}

fn null_is_absence(b: &Bench) -> Verdict {
    for member in ["run_id", "run_context", "constraints", "metadata", "extensions"] {
        let run = b.started(&b.atomic_request(Echo, json!({ member: null })))?;
        // The coordinator may add its own (contract §12).
        let extensions = run.body["extensions"].as_object();
        let is_own = extensions.is_none_or(|extensions| extensions.keys().all(|key| key == "jarvis.owner"));
        ensure(is_own && run.body["run_context"].is_null(), || format!("{member} was null: {}", run.body))?;
    }
    let constraints = json!({"structural": null, "gates": {"require_approval": null}});
    b.started(&b.atomic_request(Echo, json!({ "constraints": constraints }))).map(|_| ())
}

fn duplicates(b: &Bench) -> Verdict {
    let [first, last] = [b.fresh("first"), b.fresh("last")];
    let body = b.atomic_request(Echo, json!({})).to_string();
    let twice = body.replacen('{', &format!("{{\"run_id\":\"{first}\",\"run_id\":\"{last}\","), 1);
    equal("run_id", &b.start_text(&twice)?.ok()?["run_id"], &json!(last))
}

fn strict_json(b: &Bench) -> Verdict {
    for value in ["NaN", "Infinity", "1e999", r#""\ud800""#] {
        let id = b.fresh("strict");
        let body = format!(
            "{{\"run_id\":\"{id}\",\"root_node_type_ref\":{},\"input\":{{\"x\":{value}}}}}",
            b.atomic_type()
        );
        let answer = b.start_text(&body)?;
        if answer.refused(400, "invalid_request").is_err() {
            return answer.wrong(&format!("is not 400 invalid_request, for {value}"));
        }
    }
    Ok(())
}

fn uris(b: &Bench) -> Verdict {
    let actor = |uri: &str| json!({"run_context": {"actor": {"type": "user", "id": "u", "uri": uri}}});
    for (given, normal) in [
        ("http://h:8081", "http://h:8081/"),
        ("HTTP://Host.Example:80/a b", "http://host.example/a%20b"),
        ("urn:a:b", "urn:a:b"),
    ] {
        let run = b.started(&b.atomic_request(Echo, actor(given)))?;
        equal(given, &run.body["run_context"]["actor"]["uri"], &json!(normal))?;
    }
    refused(b, &[actor("/a/path")])
}

const RUN: &str = "run_id state root_node_run_id run_context started_at ended_at extensions";
const NODE: &str = "node_run_id run_id node_type_ref state kind parent_node_run_id created_at started_at ended_at \
    inputs outputs output_artifacts executor_binding evaluation_result recovery_actions extensions";

fn members(b: &Bench) -> Verdict {
    let run = b.started(&b.atomic_request(Echo, json!({})))?;
    b.run_ended(&run)?;
    let objects = [
        ("/v1/health".to_owned(), "status time checks extensions"),
        ("/v1/version".to_owned(), "service_name service_version supported_api_versions build extensions"),
        (run.path(), RUN),
        (run.root_path(), NODE),
    ];
    for (path, known) in objects {
        let object = b.get(&path)?.ok()?;
        for name in object.as_object().into_iter().flat_map(|members| members.keys()) {
            ensure(known.split_whitespace().any(|known| known == name), || {
                format!("{path} has a member {name}")
            })?;
        }
    }
    for event in b.events(&run)? {
        for name in event.as_object().into_iter().flat_map(|members| members.keys()) {
            let known = ["run_id", "seq", "type", "time", "node_run_id", "data", "extensions"];
            ensure(known.contains(&name.as_str()), || format!("an event has a member {name}"))?;
        }
    }
    Ok(())
}

fn omitted(b: &Bench) -> Verdict {
    let run = b.started(&b.atomic_request(Echo, json!({})))?;
    let node = b.node(&run.root)?;
    for object in [&run.body, &node] {
        for (name, value) in object.as_object().into_iter().flatten() {
            ensure(!value.is_null(), || format!("{name} is null in {object}"))?;
        }
    }
    b.get("/v1/health")?
        .ok()?
        .as_object()
        .into_iter()
        .flatten()
        .try_for_each(|(name, value)| ensure(!value.is_null(), || format!("{name} is null in the health")))
}

fn nulls_in_maps(b: &Bench) -> Verdict {
    let inputs = json!({"keep": null, "deep": {"list": [null, {"too": null}]}});
    let more = json!({"input": inputs, "extensions": {"conformance.keep": {"x": null}}});
    let run = b.started(&b.atomic_request(Echo, more))?;
    let node = b.node(&run.root)?;
    equal("inputs", &node["inputs"], &inputs)?;
    equal("an extension", &node["extensions"]["conformance.keep"], &json!({"x": null}))
}

fn times(b: &Bench) -> Verdict {
    let run = b.started(&b.atomic_request(Echo, json!({})))?;
    b.run_ended(&run)?;
    let (ended, node) = (b.run(&run)?, b.node(&run.root)?);
    let mut times = vec![text(&ended, "started_at")?, text(&ended, "ended_at")?, text(&node, "created_at")?];
    times.push(text(&node, "ended_at")?);
    times.push(text(&b.get("/v1/health")?.ok()?, "time")?);
    for event in b.events(&run)? {
        times.push(text(&event, "time")?);
    }
    times
        .iter()
        .try_for_each(|time| ensure(is_time(time), || format!("{time:?} is no RFC 3339 time with a zone")))
}

/// `2026-11-22T12:22:49.078778Z`, with a fraction or without, `Z` or `+00:00`.
fn is_time(text: &str) -> bool {
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    let Some((second, rest)) = text.split_at_checked("2026-11-22T12:22:49".len()) else { return false };
    let zone =
        rest.strip_prefix('.').map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let offset = zone.strip_prefix(['+', '-']).is_some_and(|offset| shape(offset, "00:00"));
    shape(second, "0000-00-00T00:00:00") && (zone == "Z" || offset) && !rest.starts_with(".Z")
}

fn last_colon(b: &Bench) -> Verdict {
    let id = format!("{}:cancel", b.fresh("colon"));
    let run = b.started(&b.composite_request(json!({ "run_id": id })))?;
    equal("GET by that id", &b.run(&run)?["run_id"], &json!(id))?;
    let canceled = b.post(&format!("/v1/runs/{id}:cancel"), &json!({}))?.ok()?;
    equal("the run canceled", &canceled["run_id"], &json!(id))
}

fn encoded_ids(b: &Bench) -> Verdict {
    let id = b.fresh("a~b@c");
    let run = b.started(&b.atomic_request(Echo, json!({ "run_id": id })))?;
    let encoded = id.replace('~', "%7E").replace('@', "%40").replace('a', "%61");
    equal("GET by the encoded id", &b.get(&format!("/v1/runs/{encoded}"))?.ok()?["run_id"], &json!(run.id))?;
    let slashed = b.get(&format!("/v1/runs/{encoded}%2Fx"))?;
    if slashed.status == 404 { Ok(()) } else { slashed.wrong("is not 404") }
}

fn odd_ids(b: &Bench) -> Verdict {
    let long = "x".repeat(201);
    let odd = ["a/b", "a b", "a?b", "a#b", "a%b", "\u{fc}", "a\nb", &long];
    refused(b, &odd.map(|id| json!({ "run_id": id })))
}

fn nesting(b: &Bench) -> Verdict {
    const DEPTH: usize = 100_000;
    let deep = format!("{}1{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let body = with(b.atomic_request(Echo, json!({})), json!({"input": {"x": "HERE"}}));
    let answer = b.start_text(&body.to_string().replace("\"HERE\"", &deep))?;
    answer.refused(400, "invalid_request")?;
    let run = b.atomic(Echo)?;
    id_of(&b.node(&run.root)?).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn times_are_recognized() {
        for good in ["2026-11-22T12:22:49Z", "2026-11-22T12:22:49.078778Z", "2026-11-22T12:22:49.1+00:00"] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "2026-11-22T12:22:49",
            "2026-11-22 12:22:49Z",
            "2026-11-22T12:22:49.Z",
            "2026-11-22T12:22:49+0000",
            "x",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }
}
