"""JSON over HTTP on loopback, for `sts.py` and `model.py`. It needs only the standard
library, so that it starts at once.

    python <script> --port <port>

A route is a method and a path, and a function of the request's body (bytes) that
returns a status and the answer for JSON. When the server is ready it prints
`listening on http://…`.
"""

import argparse
import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def main(routes_at):
    """Serves `routes_at(url)` until the process ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    server = Server((args.host, args.port), Handler)
    url = f"http://{args.host}:{server.server_port}"
    server.routes = routes_at(url)
    print(f"listening on {url}", flush=True)
    server.serve_forever()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Handler(BaseHTTPRequestHandler):
    # Connections are kept open, as real services do.
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        # Head and body are two writes, which Nagle's algorithm would delay.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        route = self.server.routes.get((self.command, self.path.split("?")[0]))
        status, answer = route(body) if route else (404, {"error": "not_found"})
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, form, *args):
        print(form % args, flush=True)
