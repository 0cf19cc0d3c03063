"""A cloud that gives one answer to every call, such as no real one should."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ack_preload.hooks.account import Account


@contextmanager
def odd_cloud(body: dict[str, Any] | bytes, status: int = 200) -> Iterator[Account]:
    """Serve ``body`` and yield the account that leads there."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    class Answer(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:  # the names that http.server looks for
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        place = f"127.0.0.1:{server.server_port}"
        yield Account(
            conn_id="odd",
            region="cn-hangzhou",
            access_key_id="a",
            access_key_secret="b",
            ecs_endpoint=place,
            cs_endpoint=place,
            protocol="http",
            installation="x",
        )
        server.shutdown()
