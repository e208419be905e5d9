"""Runs a node to its end and cancels another run, with the official SDK.

    python sdk_run.py <coordinator url> <version of jarvis.core.echo and .sleep>

Prints what it saw, as JSON.
"""

import json
import sys
import time

from arp_standard_client.errors import ArpApiError
from arp_standard_client.run_coordinator import RunCoordinatorClient
from arp_standard_model import (
    NodeTypeRef,
    RunCoordinatorCancelRunParams,
    RunCoordinatorCancelRunRequest,
    RunCoordinatorGetNodeRunParams,
    RunCoordinatorGetNodeRunRequest,
    RunCoordinatorGetRunParams,
    RunCoordinatorGetRunRequest,
    RunCoordinatorHealthRequest,
    RunCoordinatorStartRunRequest,
    RunCoordinatorStreamNodeRunEventsParams,
    RunCoordinatorStreamNodeRunEventsRequest,
    RunCoordinatorStreamRunEventsParams,
    RunCoordinatorStreamRunEventsRequest,
    RunCoordinatorVersionRequest,
    RunStartRequest,
)

TERMINAL = {"succeeded", "failed", "canceled"}
PATIENCE_SECONDS = 60

url, version = sys.argv[1:]
client = RunCoordinatorClient(url)


def start(node_type, inputs):
    body = RunStartRequest(
        root_node_type_ref=NodeTypeRef(node_type_id=node_type, version=version), input=inputs
    )
    return client.start_run(RunCoordinatorStartRunRequest(body=body))


def get(run_id):
    return client.get_run(RunCoordinatorGetRunRequest(params=RunCoordinatorGetRunParams(run_id=run_id)))


def get_node(node_run_id):
    params = RunCoordinatorGetNodeRunParams(node_run_id=node_run_id)
    return client.get_node_run(RunCoordinatorGetNodeRunRequest(params=params))


def cancel(run_id):
    return client.cancel_run(RunCoordinatorCancelRunRequest(params=RunCoordinatorCancelRunParams(run_id=run_id)))


def until(what, look, done):
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not done(seen := look()):
        assert time.monotonic() < give_up, f"{what}: not within {PATIENCE_SECONDS} s, last: {seen}"
        time.sleep(0.02)
    return seen


def run_events(run_id):
    params = RunCoordinatorStreamRunEventsParams(run_id=run_id)
    text = client.stream_run_events(RunCoordinatorStreamRunEventsRequest(params=params))
    return [json.loads(line) for line in text.splitlines()]


def node_events(node_run_id):
    params = RunCoordinatorStreamNodeRunEventsParams(node_run_id=node_run_id)
    text = client.stream_node_run_events(RunCoordinatorStreamNodeRunEventsRequest(params=params))
    return [json.loads(line) for line in text.splitlines()]


def names(events):
    seqs = [event["seq"] for event in events]
    assert seqs == sorted(set(seqs)), f"seq goes up: {seqs}"
    return [event["type"] for event in events]


health = client.health(RunCoordinatorHealthRequest())
about = client.version(RunCoordinatorVersionRequest())
assert "v1" in about.supported_api_versions, about

started = start("jarvis.core.echo", {"echo": "from the SDK"})
ended = until("the end of the run", lambda: get(started.run_id), lambda run: run.state.value in TERMINAL)
root = get_node(ended.root_node_run_id)
assert root.run_id == ended.run_id and root.kind.value == "atomic", root

slow = start("jarvis.core.sleep", {"seconds": 600, "duration_seconds": None})
running = until(
    "the slow node running",
    lambda: get_node(slow.root_node_run_id),
    lambda node: node.state.value == "running",
)
assert running.executor_binding is not None, running
canceled = cancel(slow.run_id)
canceled_root = get_node(slow.root_node_run_id)

try:
    get("run_that_never_was")
    raise AssertionError("an unknown run was found")
except ArpApiError as error:
    unknown = {"code": error.code, "status": error.status_code}

print(
    json.dumps(
        {
            "health": health.status.value,
            "service": about.service_name,
            "echo": {
                "started": started.state.value,
                "ended": ended.state.value,
                "root": root.state.value,
                "outputs": root.outputs,
                "events": names(run_events(started.run_id)),
                "node_events": names(node_events(root.node_run_id)),
            },
            "canceled": {
                "answer": canceled.state.value,
                "run": get(slow.run_id).state.value,
                "root": canceled_root.state.value,
                "events": names(run_events(slow.run_id)),
            },
            "unknown": unknown,
        }
    )
)
