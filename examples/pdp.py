"""A policy decision point for the Run Coordinator, in one file, with nothing but
Python 3.9: rules in a JSON file, of which the first that fits decides.

    python3 examples/pdp.py --rules examples/policy.json --port 8086

The coordinator asks it before a run starts and before each node run is executed. What no
rule fits is denied. docs/examples.md explains the rules.
"""

import argparse
import hashlib
import json
import sys
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DECISIONS = ("allow", "deny", "require_approval")
FACTS = ("action", "node_type", "kind", "side_effect", "tenant_id", "principal")


class Policy:
    """The rules of a file. A file that is not understood is refused as a whole: a rule
    that is left out could be the one that denies."""

    def __init__(self, text):
        content = json.loads(text)
        self.version, self.rules = content["version"], content["rules"]
        self.hash = hashlib.sha256(text.encode()).hexdigest()
        for rule in self.rules:
            unknown = set(rule["if"]) - set(FACTS) | set(rule) - {"if", "decision", "reason"}
            if unknown or rule["decision"] not in DECISIONS or not rule["reason"]:
                raise ValueError(f"this rule is not understood: {json.dumps(rule)}")

    def decide(self, request):
        facts = facts_of(request)
        decision, reason = "deny", "no_rule"
        for rule in self.rules:
            if all(fits(pattern, facts[fact]) for fact, pattern in rule["if"].items()):
                decision, reason = rule["decision"], rule["reason"]
                break
        return {"decision": decision, "reason_code": reason,
                # They are kept with the decision, in an event of the run.
                "extensions": {"policy_hash": self.hash, "policy_version": self.version}}


def facts_of(request):
    """What rules are about. Of who asks, only what the coordinator has verified."""
    context = request.get("context") or {}
    return {"action": request["action"],
            "node_type": (request.get("node_type_ref") or {}).get("node_type_id"),
            **{fact: context.get(fact) for fact in ("kind", "side_effect", "tenant_id", "principal")}}


def fits(pattern, fact):
    """Whether a fact is as a pattern says, with `*` for anything. An unknown one is not."""
    return fact is not None and fnmatchcase(fact, pattern)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    policy = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path != "/v1/policy:decide":
            return self.refuse(404, "not_found", self.path)
        try:
            decided = self.policy.decide(json.loads(body))
        except (KeyError, TypeError, ValueError, AttributeError) as failure:
            return self.refuse(400, "invalid_request", repr(failure))
        self.answer(200, decided)

    def do_GET(self):
        if self.path == "/v1/version":
            self.answer(200, {"service_name": "example-pdp", "service_version": "1.0.0",
                              "supported_api_versions": ["v1"]})
        else:
            self.answer(200, {"status": "ok"})

    def refuse(self, status, code, message):
        self.answer(status, {"error": {"code": code, "message": message}})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A policy decision point for the Run Coordinator.")
    parser.add_argument("--rules", required=True, help="JSON file with the rules")
    parser.add_argument("--port", type=int, default=8086)
    args = parser.parse_args()
    try:
        with open(args.rules, encoding="utf-8") as file:
            Handler.policy = Policy(file.read())
    except (OSError, ValueError, KeyError, TypeError) as failure:
        sys.exit(f"{args.rules}: {failure!r}")
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
