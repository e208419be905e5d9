"""An executor for the Run Coordinator, in one file, with nothing but Python 3.9:
two atomic node types that do something, and a composite one that plans.

    python3 examples/executor.py --port 8082

docs/writing-an-executor.md explains it, and says how to start the coordinator for it.
"""

import argparse
import json
import random
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def greet(inputs):
    return {"text": f"Hello, {inputs['name']}!"}


def roll(inputs):
    return {"number": random.randint(1, inputs.get("sides", 6))}


def party(node):
    """Greets each guest, all at once, and lets dice decide who washes up."""
    guests = node.inputs["guests"]
    children = [child("atomic.greet", f"greet-{guest}", name=guest) for guest in guests]
    children.append(child("atomic.roll", "roll", sides=len(guests)))
    *greetings, rolled = succeeded(node.create_and_wait(children))
    washes = guests[rolled["outputs"]["number"] - 1]
    return {"greetings": [each["outputs"]["text"] for each in greetings], "washes_up": washes}


ATOMIC = {"atomic.greet": greet, "atomic.roll": roll}
COMPOSITE = {"composite.party": party}


def child(node_type, key, constraints=None, **inputs):
    """What a child is created from. The key makes the creation safe to repeat."""
    spec = {"node_type_ref": {"node_type_id": node_type, "version": "1.0.0"}, "inputs": inputs,
            "idempotency_key": key}
    return spec if constraints is None else {**spec, "constraints": constraints}


def succeeded(nodes):
    """The same nodes. One that has not succeeded ends the plan."""
    for node in nodes:
        if node["state"] != "succeeded":
            raise RuntimeError(f"{node['node_run_id']} has {node['state']}")
    return nodes


def execute(request):
    """An atomic node run: the answer is its end. The call lasts as long as the work."""
    answer = {"node_run_id": request["node_run_id"]}
    work = ATOMIC.get(request["node_type_ref"]["node_type_id"])
    if work is None:
        return {**answer, "state": "failed", "error": error("unknown_node_type", "not one of mine")}
    try:
        return {**answer, "state": "succeeded", "outputs": work(request["inputs"])}
    except Exception as failure:
        return {**answer, "state": "failed", "error": error("handler_error", str(failure))}


def begin(request):
    """A composite node run: it is accepted at once, and completed when its plan is done."""
    plan = COMPOSITE.get(request["node_type_ref"]["node_type_id"])
    if plan is None:
        return {"accepted": False, "message": "not one of mine"}
    threading.Thread(target=Node(request).carry_out, args=(plan,), daemon=True).start()
    return {"accepted": True}


def budgets_of(request):
    """What this node run may spend: of steps, what is left of them."""
    return (request.get("constraints") or {}).get("budgets") or {}


def error(code, message):
    return {"code": code, "message": message}


class Node:
    """A composite node run, and the calls of the coordinator that its plan needs."""

    def __init__(self, request):
        self.run, self.id, self.inputs = request["run_id"], request["node_run_id"], request["inputs"]
        self.budgets = budgets_of(request)
        self.coordinator = request["coordinator_endpoint"].rstrip("/")
        # Only with this does the coordinator accept calls about the node run, once
        # callers need tokens.
        self.token = request.get("assignment_token")

    def carry_out(self, plan):
        try:
            end = {"state": "succeeded", "outputs": plan(self)}
        except Exception as failure:
            end = {"state": "failed", "error": error("plan_failed", str(failure))}
        try:
            # The same end again is no error, so this may be repeated.
            self.call("POST", f"/v1/node-runs/{self.id}:complete", end)
        except urllib.error.HTTPError as refused:
            # It has ended already: its run was cancelled, or it ran out of time.
            print(f"{self.id}: {refused.code} {refused.read().decode()}", flush=True)

    def create_and_wait(self, children):
        """Creates children, and returns them when they have ended, in the same order."""
        body = {"run_id": self.run, "parent_node_run_id": self.id, "node_runs": children}
        created = self.call("POST", "/v1/node-runs", body)["node_runs"]
        ended = dict.fromkeys(each["node_run_id"] for each in created)
        # The events of this node run and of all below it, from the first on.
        with self.open("GET", f"/v1/node-runs/{self.id}/events?follow=1") as events:
            for line in events:
                of = json.loads(line).get("node_run_id")
                if of in ended and ended[of] is None:
                    ended[of] = self.if_ended(of)
                if all(ended.values()):
                    break
        return list(ended.values())

    def if_ended(self, node_run_id):
        node = self.call("GET", f"/v1/node-runs/{node_run_id}")
        return node if node["state"] in ("succeeded", "failed", "canceled") else None

    def call(self, method, path, body=None):
        with self.open(method, path, body) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def open(self, method, path, body=None):
        headers = {"content-type": "application/json"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.coordinator + path, data, headers, method=method)
        return urllib.request.urlopen(request)


class Handler(BaseHTTPRequestHandler):
    """The executor APIs: execute and begin. Cancels are acknowledged, and nothing more:
    what a cancelled node run answers later does not count."""

    protocol_version = "HTTP/1.1"
    # As functions of the class, so that another example can replace them.
    execute, begin = staticmethod(execute), staticmethod(begin)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/v1/atomic-node-runs:execute":
            self.answer(200, self.execute(json.loads(body)))
        elif self.path == "/v1/composite-node-runs:begin":
            self.answer(200, self.begin(json.loads(body)))
        elif self.path.endswith(":cancel"):
            self.answer(204)
        else:
            self.answer(404, {"error": error("not_found", self.path)})

    def do_GET(self):
        self.answer(200, {"status": "ok"})

    def answer(self, status, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def serve(handler):
    parser = argparse.ArgumentParser(description="An executor for the Run Coordinator.")
    parser.add_argument("--port", type=int, default=8082)
    server = ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Handler)
