"""Load for the Run Coordinator, in one file, with nothing but Python 3.9: clients that
start runs one after the other, each waiting until its run has ended. Prints how many
runs a second ended, and how long they took.

    jarvis-run-coordinator demo --keep      # in another terminal
    python3 examples/load.py --url http://127.0.0.1:8081 --runs 1000 --clients 16

The variable JARVIS_RUN_COORDINATOR_TOKEN may hold a bearer token. The clients are
threads of one Python process: they need as much of the processor as the server does, so
on the same machine the figures are lower bounds.
"""

import argparse
import http.client
import json
import os
import queue
import sys
import threading
import time
from urllib.parse import urlsplit


class Client(threading.Thread):
    """Starts runs over one connection, until there is no ticket left."""

    def __init__(self, args, tickets):
        super().__init__(daemon=True)
        self.args, self.tickets = args, tickets
        self.took, self.failures = [], []

    def run(self):
        url = urlsplit(self.args.url)
        connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = connect(url.hostname, url.port, timeout=self.args.wait + 10)
        while True:
            try:
                self.tickets.get_nowait()
            except queue.Empty:
                return
            began = time.perf_counter()
            try:
                failure = self.one(connection)
            except (OSError, ValueError, http.client.HTTPException) as error:
                # The next request opens another connection.
                connection.close()
                failure = repr(error)
            if failure is None:
                self.took.append(time.perf_counter() - began)
            else:
                self.failures.append(failure)

    def one(self, connection):
        """One run. Returns what is wrong with it, if anything is."""
        headers = {"content-type": "application/json", "prefer": f"wait={self.args.wait}"}
        if token := os.environ.get("JARVIS_RUN_COORDINATOR_TOKEN"):
            headers["authorization"] = f"Bearer {token}"
        body = {"root_node_type_ref": {"node_type_id": self.args.node_type, "version": "1.0.0"},
                "input": self.args.input}
        connection.request("POST", "/v1/runs", json.dumps(body), headers)
        answer = connection.getresponse()
        answered = json.loads(answer.read())
        if answer.status != 200:
            return f"{answer.status} {answered.get('error', {}).get('code')}"
        return None if answered["state"] == "succeeded" else f"the run is {answered['state']}"


def percentile(sorted_values, share):
    """The value that this share of all is not above (the nearest rank)."""
    return sorted_values[max(0, -(-len(sorted_values) * share // 100) - 1)]


def main():
    parser = argparse.ArgumentParser(description="Starts runs and measures how long they take.")
    parser.add_argument("--url", default="http://127.0.0.1:8081")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--node-type", default="atomic.nap")
    parser.add_argument("--input", type=json.loads, default={"seconds": 0}, help="a JSON object")
    parser.add_argument("--wait", type=int, default=60, help="the seconds that a run may take")
    args = parser.parse_args()

    tickets = queue.SimpleQueue()
    for number in range(args.runs):
        tickets.put(number)
    clients = [Client(args, tickets) for _ in range(args.clients)]
    began = time.perf_counter()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    seconds = time.perf_counter() - began

    took = sorted(each for client in clients for each in client.took)
    failures = [each for client in clients for each in client.failures]
    rate = len(took) / seconds
    print(f"{len(took)} runs in {seconds:.1f} s with {args.clients} clients: {rate:.0f} runs/s")
    if took:
        p50, p99, most = (1000 * each for each in (percentile(took, 50), percentile(took, 99), took[-1]))
        print(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {most:.1f} ms")
    for failure in sorted(set(failures)):
        print(f"failed: {failures.count(failure)} times: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
