"""Checks of answers that the API document cannot express, and requests about live
runs, for `cargo xtask schemathesis`.
"""

import base64
import itertools
import json
import os
from urllib.parse import parse_qs, urlsplit

import jsonschema_rs
import requests
import schemathesis

NDJSON = "application/x-ndjson"
TOKEN = os.environ.get("FUZZ_TOKEN")
VALIDATORS = {}
TURN = itertools.count()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes every other request be about a live run of its own, whose root may have
    children. The ids that a schema generates are unknown, or always the same one, and
    the answer to every request would be 404 or 409. Scenarios use links instead."""
    phase = case.meta.phase.name.value if case.meta else None
    if phase not in ("coverage", "fuzzing") or next(TURN) % 2:
        return
    names = case.path_parameters.keys() & {"run_id", "node_run_id"}
    body = case.body if isinstance(case.body, dict) else {}
    operation = case.operation.definition.raw.get("operationId")
    if operation == "start_run" and case.meta.generation.mode.is_positive:
        body.pop("run_id", None)
    if not names and operation != "create_node_runs":
        return
    run = start_run(case.operation.base_url)
    ids = {"run_id": run["run_id"], "node_run_id": run["root_node_run_id"]}
    for name in names:
        case.path_parameters[name] = ids[name]
    for member, name in (("run_id", "run_id"), ("parent_node_run_id", "node_run_id")):
        # A member that is missing or is not a string is wrong on purpose.
        if isinstance(body.get(member), str):
            body[member] = ids[name]


def start_run(url):
    headers = {"authorization": f"Bearer {TOKEN}"} if TOKEN else {}
    start = {"root_node_type_ref": {"node_type_id": "composite.plan", "version": "1"}, "input": {}}
    answer = requests.post(f"{url}/v1/runs", json=start, headers=headers, timeout=10)
    answer.raise_for_status()
    return answer.json()


def validator(case, name):
    """The validator of one schema of the document. Here `nullable` does not allow null:
    answers omit absent members."""
    if name not in VALIDATORS:
        components = case.operation.schema.raw_schema["components"]
        reference = {"$ref": f"#/components/schemas/{name}", "components": components}
        VALIDATORS[name] = jsonschema_rs.validator_for(reference)
    return VALIDATORS[name]


def hold(value, case, name, what):
    errors = [error.message for error in validator(case, name).iter_errors(value)]
    assert not errors, f"{what} is no {name}: {'; '.join(errors)}"


def media_type(response):
    return response.headers.get("content-type", [""])[0]


@schemathesis.check
def failures_are_envelopes(ctx, response, case):
    """Every failure is an error envelope, for any request."""
    if 200 <= response.status_code < 300 or response.request.method == "HEAD":
        return
    assert response.status_code >= 400, f"{response.status_code} is neither success nor failure"
    assert media_type(response) == "application/json", f"a failure of type {media_type(response)!r}"
    hold(response.json(), case, "ErrorEnvelope", "the failure")


@schemathesis.check
def successes_are_200_or_204(ctx, response, case):
    """The official client accepts only these as success."""
    if 200 <= response.status_code < 300:
        empty = not response.content and media_type(response) != NDJSON
        assert response.status_code == (204 if empty else 200), f"{response.status_code}, empty: {empty}"


@schemathesis.check
def answers_have_no_nulls(ctx, response, case):
    """Answers omit absent members of standard objects; `nullable` in the document is for
    requests (contract §3.4)."""
    if response.status_code != 200 or media_type(response) != "application/json":
        return
    schema = case.operation.definition.raw["responses"]["200"]["content"]["application/json"]["schema"]
    hold(response.json(), case, schema["$ref"].rpartition("/")[2], "the answer")


@schemathesis.check
def lines_are_events(ctx, response, case):
    """The lines are events of one run, in order, and not more than the limit; the stream
    of a run has no gaps."""
    if response.status_code != 200 or media_type(response) != NDJSON:
        return
    assert not response.content or response.content.endswith(b"\n"), "the last line has no end"
    events = [json.loads(line) for line in response.content.split(b"\n") if line]
    for event in events:
        hold(event, case, "RunEvent", f"line {event!r}")
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers)), f"out of order: {numbers}"
    assert len({event["run_id"] for event in events}) <= 1, "events of several runs"
    asked = parse_qs(urlsplit(response.request.url).query)
    limit, cursor = (asked.get(name, [default])[-1] for name, default in (("limit", "10000"), ("cursor", "MA==")))
    after = int(base64.urlsafe_b64decode(cursor.rstrip("=") + "=="))
    assert len(numbers) <= int(limit), f"{len(numbers)} lines, but limit={limit}"
    assert not numbers or numbers[0] > after, f"{numbers[0]} is not after {after}"
    if case.operation.path == "/v1/runs/{run_id}/events":
        assert numbers == list(range(after + 1, after + 1 + len(numbers))), f"not all events: {numbers}"
        assert [event["type"] for event in events].count("run_completed") <= 1, "it ends twice"


@schemathesis.check
def verbs_are_allowed_beside_get(ctx, response, case):
    """Instead of `allow_header_conformance` where the path ends with a verb."""
    if response.status_code == 405 and ":" in case.operation.path:
        allowed = ", ".join(response.headers.get("allow", []))
        assert allowed == "GET, POST", f"Allow: {allowed}"
