"""Stands in for the control plane where a test is about supervision: answers what `up` asks, does nothing else."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWERS = {
    "/readyz": {},
    "/api/v1/fleet/tokens": {"token": "a-token"},
    "/api/v1/fleet/agents": {"items": [{"name": f"local-{n}", "state": "ready"} for n in range(1, 4)]},
}


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.dumps(ANSWERS.get(self.path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


match sys.argv[1:]:
    case ["api"]:
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["SEEDLIFT_PORT"])), Answer).serve_forever()
    case ["work"]:
        ThreadingHTTPServer(("127.0.0.1", int(os.environ["SEEDLIFT_METRICS_PORT"])), Answer).serve_forever()
    case ["db-upgrade", "bootstrap"]:
        assert os.environ["SEEDLIFT_OWNER_DATABASE_URL"]
        asked = json.load(sys.stdin)
        print(json.dumps({"admin_created": asked["admin_password"] is not None}))
