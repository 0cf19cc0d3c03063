"""A cloud that answers every call alike, as no real one should."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ack_preload.hooks.account import Account


def answering(body: dict[str, Any] | bytes, status: int, then: str) -> type[BaseHTTPRequestHandler]:
    """Return what answers each request alike, or all but the first with a refusal."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answers = iter([(status, raw)])
    later = json.dumps({"Code": then, "Message": "then", "RequestId": "ODD-2"}).encode()

    class Answer(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, said = next(answers, (403, later)) if then else (status, raw)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def do_GET(self) -> None:  # the names that http.server looks for
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Answer


@contextmanager
def odd_cloud(
    body: dict[str, Any] | bytes, status: int = 200, *, then: str = ""
) -> Iterator[Account]:
    """Serve ``body`` and yield the account that leads there.

    :param then: the code that later calls are refused with, for what asks again.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), answering(body, status, then)) as server:
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
            poll_every_s=0.01,  # pauses between tries grow from here
        )
        server.shutdown()
